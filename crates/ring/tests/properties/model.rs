//! A ring that is slow and plain: all points in one list, looked through from the front.

use althing_ring::{KeyHasher, Node, PointBits, Settings};

/// Every point with the number of its node, sorted by point and id.
pub(crate) struct Model {
    nodes: Vec<Node<u32>>,
    points: Vec<(u64, usize)>,
    mask: u64,
}

impl Model {
    pub(crate) fn new(settings: Settings, hasher: &impl KeyHasher, nodes: &[Node<u32>]) -> Self {
        let mask = match settings.point_bits {
            PointBits::ThirtyTwo => 0xffff_ffff_0000_0000,
            PointBits::SixtyFour => 0xffff_ffff_fff0_0000,
        };
        let mut nodes = nodes.to_vec();
        nodes.sort_by_key(|node| node.id);
        let mut points = Vec::new();
        for (number, node) in nodes.iter().enumerate() {
            for point in 0..node.weight * settings.points_per_weight {
                let mut name = node.id.to_string().into_bytes();
                name.extend(point.to_le_bytes());
                points.push((hasher.hash_bytes(&name) & mask, number));
            }
        }
        points.sort_unstable();
        Self { nodes, points, mask }
    }

    pub(crate) fn points(&self) -> impl Iterator<Item = (u64, u32)> {
        self.points.iter().map(|&(point, number)| (point, self.nodes[number].id))
    }

    pub(crate) fn owner(&self, hash: u64) -> Option<u32> {
        self.around(hash).next().map(|number| self.nodes[number].id)
    }

    /// First those that bring a new zone, then those that bring a new rack, then the rest.
    pub(crate) fn replicas(&self, hash: u64, count: usize) -> Vec<u32> {
        let mut chosen: Vec<usize> = Vec::new();
        let zone = |number: usize| &self.nodes[number].zone;
        let rack = |number: usize| (zone(number), &self.nodes[number].rack);
        for pass in 0..3 {
            for number in self.around(hash) {
                let new = match pass {
                    0 => chosen.iter().all(|&other| zone(other) != zone(number)),
                    1 => chosen.iter().all(|&other| rack(other) != rack(number)),
                    _ => !chosen.contains(&number),
                };
                if new && chosen.len() < count {
                    chosen.push(number);
                }
            }
        }
        chosen.into_iter().map(|number| self.nodes[number].id).collect()
    }

    fn around(&self, hash: u64) -> impl Iterator<Item = usize> {
        let behind = self.points.iter().filter(move |(point, _)| *point < hash & self.mask);
        let ahead = self.points.iter().filter(move |(point, _)| *point >= hash & self.mask);
        ahead.chain(behind).map(|&(_, number)| number)
    }
}
