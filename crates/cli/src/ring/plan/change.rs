//! The nodes before and after, from what the command line says.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use althing_ring::NodeName;
use althing_ring::formats::Server;

use super::super::nodes::parse;
use crate::failure::Failure;

/// All nodes of the plan in their order: those that were there, then those that come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    planned: Vec<Planned>,
}

/// A node of the plan, with its weight on both sides; `None` where it is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) name: String,
    pub(super) before: Option<u32>,
    pub(super) after: Option<u32>,
}

/// A node's name with its position in the plan, by which keys are counted. Only the name says where
/// its points are, so that the ring is the one of the name alone.
#[derive(Clone, Debug)]
pub(super) struct Numbered {
    name: String,
    pub(super) number: usize,
}

impl Change {
    /// Takes the lists of the options apart. Each node may be in one of them.
    pub(super) fn new(
        nodes: Vec<Server>,
        add: Option<&str>,
        remove: Option<&str>,
        reweight: Option<&str>,
    ) -> Result<Self, Failure> {
        let mut change = Self { planned: Vec::new() };
        let mut positions = BTreeMap::new();
        for node in nodes {
            let weight = Some(node.weight());
            change.push(&mut positions, &node, weight, weight, "--nodes")?;
        }
        let mut changed = vec![false; change.planned.len()];
        for name in list(remove) {
            let position = find(&positions, &mut changed, name, "--remove")?;
            change.planned[position].after = None;
        }
        for text in list(reweight) {
            let node = parse(text, "--reweight")?;
            if !text.contains('=') {
                let message = format!("`{text}` in --reweight has no weight");
                return Err(Failure::usage(message).hint("write NAME=WEIGHT, commas between"));
            }
            let position = find(&positions, &mut changed, node.label(), "--reweight")?;
            change.planned[position].after = Some(node.weight());
        }
        for text in list(add) {
            let node = parse(text, "--add")?;
            change.push(&mut positions, &node, None, Some(node.weight()), "--add")?;
        }
        change.check()?;
        Ok(change)
    }

    fn push(
        &mut self,
        positions: &mut BTreeMap<String, usize>,
        node: &Server,
        before: Option<u32>,
        after: Option<u32>,
        option: &str,
    ) -> Result<(), Failure> {
        let name = node.label().to_owned();
        if positions.insert(name.clone(), self.planned.len()).is_some() {
            let message = format!("the node `{name}` in {option} is there already");
            return Err(Failure::usage(message));
        }
        self.planned.push(Planned { name, before, after });
        Ok(())
    }

    /// On both sides somebody has to own the keys.
    fn check(&self) -> Result<(), Failure> {
        let has_weight = |weight: Option<u32>| weight.is_some_and(|weight| weight > 0);
        for (side, is_owned) in [
            ("before the change", self.planned.iter().any(|planned| has_weight(planned.before))),
            ("after the change", self.planned.iter().any(|planned| has_weight(planned.after))),
        ] {
            if !is_owned {
                return Err(Failure::usage(format!("no node has a weight above 0 {side}")));
            }
        }
        Ok(())
    }

    /// The nodes of the plan, in order.
    pub(super) fn planned(&self) -> &[Planned] {
        &self.planned
    }

    /// The same, each with what a ring knows it by.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (Numbered, &Planned)> {
        let numbered =
            |(number, planned): (usize, &Planned)| Numbered { name: planned.name.clone(), number };
        self.planned.iter().enumerate().map(move |entry| (numbered(entry), entry.1))
    }
}

fn list(option: Option<&str>) -> impl Iterator<Item = &str> {
    option.into_iter().flat_map(|text| text.split(','))
}

fn find(
    positions: &BTreeMap<String, usize>,
    changed: &mut [bool],
    name: &str,
    option: &str,
) -> Result<usize, Failure> {
    let Some(&position) = positions.get(name) else {
        let message = format!("there is no node `{name}`, which {option} names");
        return Err(Failure::usage(message).hint("its name stands before the @, or is its address"));
    };
    if std::mem::replace(&mut changed[position], true) {
        return Err(Failure::usage(format!("the node `{name}` is changed twice")));
    }
    Ok(position)
}

impl NodeName for Numbered {
    fn write_name(&self, bytes: &mut Vec<u8>) {
        self.name.write_name(bytes);
    }
}

impl PartialEq for Numbered {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Numbered {}

impl PartialOrd for Numbered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Numbered {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(
        nodes: &str,
        add: Option<&str>,
        remove: Option<&str>,
        reweight: Option<&str>,
    ) -> Result<Vec<Planned>, String> {
        let nodes = nodes.split(',').map(|node| node.parse().expect("a node")).collect();
        let change = Change::new(nodes, add, remove, reweight);
        change.map(|change| change.planned).map_err(|failure| failure.message)
    }

    #[test]
    fn each_list_changes_its_nodes() {
        let planned = change("a=1,x@h:1=2,c=3,d=4", Some("e=5,f"), Some("x"), Some("c=0,d=9"));
        let expected = [
            ("a", Some(1), Some(1)),
            ("x", Some(2), None),
            ("c", Some(3), Some(0)),
            ("d", Some(4), Some(9)),
            ("e", None, Some(5)),
            ("f", None, Some(1)),
        ];
        let planned_of =
            |(name, before, after): (&str, _, _)| Planned { name: name.to_owned(), before, after };
        let expected = expected.map(planned_of);
        assert_eq!(planned.expect("a change"), expected);
    }

    #[test]
    fn what_contradicts_itself_is_named() {
        for (nodes, add, remove, reweight, wrong) in [
            ("a,a", None, None, None, "`a` in --nodes is there already"),
            ("a,b", Some("b"), None, None, "`b` in --add is there already"),
            ("a,b", Some("c,c"), None, None, "`c` in --add is there already"),
            ("a,b", None, Some("c"), None, "no node `c`, which --remove names"),
            ("a,b", None, Some(""), None, "no node ``, which --remove names"),
            ("a,b", None, Some("a,a"), None, "`a` is changed twice"),
            ("a,b", None, Some("a"), Some("a=2"), "`a` is changed twice"),
            ("a,b", None, None, Some("c=2"), "no node `c`, which --reweight names"),
            ("a,b", None, None, Some("a"), "`a` in --reweight has no weight"),
            ("a,b", None, None, Some("a=x"), "`a=x` in --reweight cannot be read"),
            ("a", None, Some("a"), None, "no node has a weight above 0 after the change"),
            ("a=0", Some("b"), None, None, "no node has a weight above 0 before the change"),
        ] {
            let message = change(nodes, add, remove, reweight).expect_err(wrong);
            assert!(message.contains(wrong), "{message}");
        }
    }
}
