//! Whoever finds the owner of a key.

use althing_ring::{KeyHasher as _, Placement as _, RapidHash, Ring};

/// Sixteen hexadecimal digits.
pub(super) type Key = [u8; 16];

/// Points of a node, wherever there are any.
pub(super) const POINTS: usize = 160;

/// One way to find the owner of a key. Nodes are numbers, and their names are made of them. What is
/// measured is inlined into the loop that measures it, so that nobody pays for a call that another
/// does not.
pub(super) trait Contestant: Sized + 'static {
    /// What to call it in the report.
    const NAME: &'static str;
    /// Above this, building it takes minutes or all the memory.
    const NODES_MAX: u32 = u32::MAX;

    /// Nodes `first..first + nodes`.
    fn build(first: u32, nodes: u32) -> Self;

    /// The number of the node that owns `key`.
    fn owner(&self, key: &Key) -> u32;

    /// Three different nodes for `key`, for those that can say.
    fn three(&self, _key: &Key) -> Option<[u32; 3]> {
        None
    }

    /// Adds a node; `false` for those that can only be built again.
    fn add(&mut self, _node: u32) -> bool {
        false
    }
}

/// Something to be done with each contestant in turn, whatever its type.
pub(super) trait Visitor {
    fn visit<C: Contestant>(&mut self);
}

/// Althing's ring as it comes.
pub(super) struct Althing(pub(super) Ring<u32>);

impl Contestant for Althing {
    const NAME: &'static str = "althing-ring";

    fn build(first: u32, nodes: u32) -> Self {
        Self(Ring::new(first..first + nodes).expect("the numbers are different"))
    }

    #[inline(always)]
    fn owner(&self, key: &Key) -> u32 {
        *self.0.owner(key).expect("there are nodes")
    }

    #[inline(always)]
    fn three(&self, key: &Key) -> Option<[u32; 3]> {
        let [one, two, three] = self.0.replica_array(key);
        Some([*one?, *two?, *three?])
    }

    fn add(&mut self, node: u32) -> bool {
        self.0.add(node).expect("the number is new");
        true
    }
}

/// The bound: what no lookup by hash can do without.
pub(super) struct Bound(Vec<u32>);

impl Contestant for Bound {
    const NAME: &'static str = "bound: hash and one load";

    fn build(_first: u32, _nodes: u32) -> Self {
        let words = 512 * 1024 / size_of::<u32>() as u32;
        Self((0..words).map(|word| word.wrapping_mul(0x9e37_79b9)).collect())
    }

    #[inline(always)]
    fn owner(&self, key: &Key) -> u32 {
        let hash = RapidHash.hash_bytes(key);
        self.0[(hash >> 32) as usize & (self.0.len() - 1)]
    }
}

/// Keys as they come: the same in every run, in no order.
pub(super) fn keys(count: u64) -> Vec<Key> {
    let mix = |number: u64| RapidHash.hash_bytes(&number.to_le_bytes());
    let key = |number| format!("{:016x}", mix(number)).into_bytes().try_into().expect("16 digits");
    (0..count).map(key).collect()
}

/// Whether `contestant` is one that the plan wants, among `nodes` nodes.
pub(super) fn wanted<C: Contestant>(only: &str, nodes: u32) -> bool {
    nodes <= C::NODES_MAX && C::NAME.contains(only)
}

/// The ring answers the same by hash and by key; a benchmark of anything else would be of no use.
pub(super) fn check(ring: &Althing, keys: &[Key]) {
    for key in keys.iter().take(1000) {
        assert_eq!(ring.0.owner(key), ring.0.owner_of(ring.0.hash(key)));
    }
}
