//! Paxos, in the words of Leslie Lamport's *Paxos Made Simple* (2001): here "the paper".
//!
//! [`synod`] decides one value, or keeps one that changes. It is the part of the paper that is
//! proven in two pages, and it is usable alone.

pub mod synod;
