//! Which nodes fail together: the zone and the rack of each slot, as numbers.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// Zones, and racks within them, of the nodes that own something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Domains {
    zones: Groups<Option<String>>,
    racks: Groups<(Option<String>, Option<String>)>,
}

impl Domains {
    /// The node in `slot` begins to own something.
    pub(crate) fn join(&mut self, slot: u32, zone: Option<&String>, rack: Option<&String>) {
        self.zones.join(slot, zone.cloned());
        self.racks.join(slot, (zone.cloned(), rack.cloned()));
    }

    /// The node in `slot`, which had joined with the same zone and rack, owns nothing any more.
    pub(crate) fn leave(&mut self, zone: Option<&String>, rack: Option<&String>) {
        self.zones.leave(&zone.cloned());
        self.racks.leave(&(zone.cloned(), rack.cloned()));
    }

    /// From the widest domain to the narrowest: how many there are and, by slot, which one.
    pub(crate) fn levels(&self) -> [(usize, &[u32]); 2] {
        [(self.zones.len(), &self.zones.of_slot), (self.racks.len(), &self.racks.of_slot)]
    }

    /// Whether there is nothing to choose between: all nodes are in one rack of one zone.
    #[inline]
    pub(crate) fn is_flat(&self) -> bool {
        self.racks.len() <= 1
    }
}

/// Numbers for names, as low as can be, and how many members each name has.
#[derive(Clone, Debug)]
struct Groups<Name> {
    numbers: BTreeMap<Name, Group>,
    free: Vec<u32>,
    of_slot: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    number: u32,
    members: u32,
}

impl<Name> Default for Groups<Name> {
    fn default() -> Self {
        Self { numbers: BTreeMap::new(), free: Vec::new(), of_slot: Vec::new() }
    }
}

impl<Name: Ord> Groups<Name> {
    #[inline]
    fn len(&self) -> usize {
        self.numbers.len()
    }

    fn join(&mut self, slot: u32, name: Name) {
        let next = self.numbers.len() as u32;
        let free = &mut self.free;
        let group = self
            .numbers
            .entry(name)
            .or_insert_with(|| Group { number: free.pop().unwrap_or(next), members: 0 });
        group.members += 1;
        if self.of_slot.len() <= slot as usize {
            self.of_slot.resize(slot as usize + 1, 0);
        }
        self.of_slot[slot as usize] = group.number;
    }

    fn leave(&mut self, name: &Name) {
        let group = self.numbers.get_mut(name).expect("who leaves had joined");
        group.members -= 1;
        if group.members == 0 {
            self.free.push(group.number);
            self.numbers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn racks_of_the_same_name_in_different_zones_are_different() {
        let mut domains = Domains::default();
        let (zone, other, rack) = ("z".to_string(), "y".to_string(), "r".to_string());
        domains.join(0, Some(&zone), Some(&rack));
        domains.join(1, Some(&other), Some(&rack));
        let [(zones, _), (racks, of_slot)] = domains.levels();
        assert_eq!((zones, racks), (2, 2));
        assert_ne!(of_slot[0], of_slot[1]);
    }

    #[test]
    fn the_number_of_an_empty_domain_is_used_again() {
        let mut groups = Groups::default();
        groups.join(0, "a");
        groups.join(1, "b");
        groups.leave(&"a");
        groups.join(2, "c");
        assert_eq!(groups.of_slot, [0, 1, 0]);
        assert_eq!(groups.len(), 2);
    }
}
