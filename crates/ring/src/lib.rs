//! Consistent hashing: which node owns this key, and what moves when the nodes change.
//!
#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "tower"))]
extern crate std;

mod circle;
mod domains;
mod error;
#[cfg(feature = "formats")]
pub mod formats;
mod hasher;
mod index;
mod loads;
mod name;
mod node;
mod placement;
mod ranges;
mod replicas;
mod ring;
mod roster;
#[cfg(feature = "serde")]
mod serial;
mod settings;
mod siblings;
#[cfg(feature = "tower")]
pub mod tower;
mod update;
mod word;

pub use circle::{Circle, Walk, hash_of_u32};
pub use error::RingError;
pub use hasher::KeyHasher;
#[cfg(feature = "md5")]
pub use hasher::Md5;
#[cfg(feature = "rapidhash")]
pub use hasher::RapidHash;
#[cfg(feature = "sha1")]
pub use hasher::Sha1;
pub use loads::{Loads, LoadsError};
pub use name::NodeName;
pub use node::{IntoNode, Node};
pub use placement::Placement;
pub use ranges::{Move, Owned};
pub use ring::{DefaultHash, Ring};
pub use settings::{PointBits, Settings};
pub use siblings::{Jump, Maglev, Memento, MultiProbe, Rendezvous, jump};
