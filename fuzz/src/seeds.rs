//! The inputs that each corpus begins with: one of each kind that there is.

use std::sync::Arc;

use althing_consensus::replication::{AppendOutcome, Body, Message, Protocol};
use althing_consensus::{Chunk, Message as _, Proposal, ProposalId, ReadId, Refusal};
use althing_consensus::{paxos, raft};
use althing_core::codec::Writer;
use althing_core::{
    Acceptance, Ballot, Change, Configuration, Entry, Index, LogId, NodeId, Payload, Record,
};
use althing_keyspace::{
    Command, Compare, CompareResult, CompareTarget, DeleteRange, Keyspace, Operation, Put, Txn,
};

use crate::bytes::of_snapshot;

/// The inputs that the corpus of this target begins with.
///
/// # Panics
/// There is no such target.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "raft_message" => {
            let vote = raft::Ask::Vote { last: id(4), handed_over: true };
            let asks = [raft::Ask::PreVote { last: id(4) }, vote];
            messages::<raft::Terms>(Ballot::unvoted(7), asks)
        }
        "paxos_message" => messages::<paxos::Ballots>(ballot(), paxos_asks()),
        "record" => {
            let records = [
                Record::Promise(ballot()),
                Record::Append(entries()),
                Record::Begin(id(5)),
                Record::Accept(acceptance()),
            ];
            records.iter().map(|record| written(|writer| record.encode(writer))).collect()
        }
        "configuration" => {
            let all = configurations();
            all.iter().map(|members| written(|writer| members.encode(writer))).collect()
        }
        "command" => commands().iter().map(encoded).collect(),
        "state" => {
            let all = commands().iter().map(encoded).collect::<Vec<_>>();
            let length = |bytes: &Vec<u8>| u8::try_from(bytes.len()).expect("they are short");
            vec![
                all.iter()
                    .flat_map(|bytes| [vec![length(bytes)], bytes.clone()].concat())
                    .collect(),
            ]
        }
        "snapshot" => vec![[vec![100], of_snapshot(&keyspace())].concat()],
        // The first byte of the second file, one in its middle, eight, and a cut.
        "log" => vec![
            vec![1, 0, 0, 1, 0],
            vec![1, 16, 9, 255, 2],
            vec![2, 4, 4, 1, 1, 3, 0, 40, 9, 0],
            vec![3, 5, 0, 0, 254],
        ],
        // Nothing goes wrong, everything does, and every third thing.
        "raft_life" | "paxos_life" => [0x00, 0xff, 0b1001_0010]
            .into_iter()
            .zip(1_u64..)
            .map(|(bits, seed)| [&seed.to_le_bytes()[..], &[bits; 300]].concat())
            .collect(),
        _ => panic!("{target} has no seeds"),
    }
}

fn node(number: u64) -> NodeId {
    NodeId::new(number).expect("not zero")
}

fn ballot() -> Ballot {
    Ballot::new(7, node(3))
}

fn id(index: u64) -> LogId {
    LogId::new(ballot(), Index(index))
}

fn configurations() -> [Configuration; 3] {
    let founding = Configuration::of([1, 2, 3].map(node));
    let exchange = [
        Change::Remove { node: node(1) },
        Change::AddVoter { node: node(4), card: Arc::from(&b"here"[..]) },
        Change::AddLearner { node: node(5), card: Arc::default() },
    ];
    let joint = founding.changed(&exchange).expect("it fits");
    [founding, joint.clone(), joint.settled()]
}

fn paxos_asks() -> [paxos::Ask; 5] {
    let outline = || paxos::Outline { begin: id(1), runs: vec![id(3), id(5)] };
    let promise = paxos::Promise {
        previous: Index(1),
        entries: entries(),
        more: true,
        commit: Index(2),
        acceptances: vec![acceptance()],
    };
    [
        paxos::Ask::Canvass { outline: outline() },
        paxos::Ask::Prepare { outline: outline(), handed_over: false },
        paxos::Ask::More { after: Index(9) },
        paxos::Ask::Promise(promise),
        paxos::Ask::Outbid,
    ]
}

fn acceptance() -> Acceptance {
    Acceptance { ballot: ballot(), through: Index(6) }
}

fn entries() -> Vec<Entry> {
    let members = Configuration::of([node(3)]);
    vec![
        Entry { id: id(5), payload: Payload::Opening },
        Entry { id: id(6), payload: Payload::Command(encoded(&commands()[0]).into()) },
        Entry { id: id(7), payload: Payload::Configuration(members.into()) },
    ]
}

fn written(encode: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut Writer(&mut bytes));
    bytes
}

fn messages<P: Protocol>(epoch: Ballot, asks: impl IntoIterator<Item = P::Ask>) -> Vec<Vec<u8>> {
    let accepted = AppendOutcome::Accepted { matched: Index(6) };
    let rejected = AppendOutcome::Rejected { previous: Index(9), hint: id(6) };
    let chunk = Chunk { snapshot: id(9), offset: 4, data: b"bytes"[..].into(), last: true };
    let proposal = Proposal { id: ProposalId(1), command: encoded(&commands()[0]).into() };
    let bodies = [
        Body::PreVoteReply { granted: true },
        Body::Append { previous: id(4), entries: entries(), commit: Index(3), round: 8 },
        Body::AppendReply { round: 1, loyal_for: 1000, outcome: accepted },
        Body::AppendReply { round: 1, loyal_for: 0, outcome: rejected },
        Body::Commit { commit: id(2) },
        Body::Snapshot(chunk),
        Body::SnapshotReply { snapshot: id(9), offset: 77 },
        Body::TimeoutNow,
        Body::Removed,
        Body::Propose { proposals: vec![proposal] },
        Body::Refuse { ids: vec![ProposalId(1)], reason: Refusal::Overloaded },
        Body::Read { id: ReadId(5) },
        Body::ReadReply { id: ReadId(5), index: Index(12) },
    ];
    let bodies = bodies.into_iter().chain(asks.into_iter().map(Body::<P>::Ask));
    let message = |body| Message { epoch, body };
    bodies.map(|body| written(|writer| message(body.clone()).encode(writer))).collect()
}

fn encoded(command: &Command) -> Vec<u8> {
    let mut bytes = Vec::new();
    command.encode(&mut bytes);
    bytes
}

fn commands() -> Vec<Command> {
    let compare = Compare {
        key: b"a"[..].into(),
        range_end: b""[..].into(),
        result: CompareResult::Equal,
        target: CompareTarget::Version(1),
    };
    let inner =
        Txn { success: vec![Operation::Put(Put::new(&b"c"[..], &b"3"[..]))], ..Txn::default() };
    let txn = Txn {
        compare: vec![compare],
        success: vec![Operation::DeleteRange(DeleteRange::key(&b"b"[..])), Operation::Txn(inner)],
        failure: vec![Operation::Put(Put::new(&b"d"[..], &b"4"[..]))],
    };
    vec![
        Command::Put(Put::new(&b"a"[..], &b"1"[..])),
        Command::LeaseGrant { id: 9, ttl: 60 },
        Command::Put(Put { lease: 9, prev_kv: true, ..Put::new(&b"b"[..], &b"2"[..]) }),
        Command::Txn(txn),
        Command::Put(Put::new(&b"a"[..], &b"5"[..])),
        Command::Compact { revision: 3 },
        Command::LeaseNote { remaining: vec![(9, 30)] },
        Command::LeaseExpire { ids: vec![9] },
        Command::LeaseRevoke { id: 10 },
    ]
}

fn keyspace() -> Keyspace {
    let mut keyspace = Keyspace::new();
    for (command, index) in commands().iter().take(6).zip(1..) {
        keyspace.apply(Index(index), &encoded(command)).expect("it fits");
    }
    keyspace
}
