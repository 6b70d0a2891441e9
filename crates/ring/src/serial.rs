//! A ring as data: its settings and nodes, from which the points follow.

use alloc::vec::Vec;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hasher::KeyHasher;
use crate::name::NodeName;
use crate::node::Node;
use crate::ring::Ring;
use crate::settings::Settings;

/// What is hashed to see whether the reader's hash is the writer's.
const CHECKED: &[u8] = b"althing-ring";

#[derive(Serialize)]
struct Written<'a, Id> {
    settings: Settings,
    hash_check: u64,
    nodes: Vec<&'a Node<Id>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<Id> {
    settings: Settings,
    hash_check: u64,
    nodes: Vec<Node<Id>>,
}

/// Writes the settings and the nodes by ascending id, and a value of the hash by which a reader
/// notices that it has another.
impl<Id: Serialize + NodeName, H: KeyHasher> Serialize for Ring<Id, H> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = Written {
            settings: self.settings,
            hash_check: self.hasher.hash_bytes(CHECKED),
            nodes: self.nodes().collect(),
        };
        written.serialize(serializer)
    }
}

/// Refuses what [`Ring::with`] refuses, another hash, and, since it may come from outside, more
/// points than [`Settings::default`] allows.
impl<'de, Id, H> Deserialize<'de> for Ring<Id, H>
where
    Id: Deserialize<'de> + NodeName,
    H: KeyHasher + Default,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::<Id>::deserialize(deserializer)?;
        let hasher = H::default();
        if hasher.hash_bytes(CHECKED) != read.hash_check {
            return Err(D::Error::custom("the ring was written by a program with another hash"));
        }
        Self::with(read.settings, hasher, read.nodes).map_err(D::Error::custom)
    }
}
