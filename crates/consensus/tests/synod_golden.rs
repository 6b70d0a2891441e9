//! Golden scripts of single-decree Paxos: each file in `tests/synod_scripts` is a story, with every
//! message in it. Acceptors are A, B and C, proposers n1, n2 and so on; L learns.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p althing-consensus --test synod_golden` writes them anew.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use althing_consensus::paxos::synod::{
    Accept, Accepted, Acceptor, Decide, Learner, Prepare, Promise, Proposer, Refused,
};
use althing_core::{Majority, NodeId};

const ACCEPTORS: [&str; 3] = ["A", "B", "C"];

fn acceptor(position: usize) -> NodeId {
    NodeId::new(position as u64 + 100).expect("not zero")
}

fn group() -> Majority {
    Majority::new((0..ACCEPTORS.len()).map(acceptor))
}

#[derive(Clone)]
enum Message {
    Prepare(Prepare),
    Promise(Promise<String>),
    Accept(Accept<String>),
    Accepted(Accepted<String>),
    Refused(Refused),
}

impl Message {
    fn kind(&self) -> &'static str {
        match self {
            Self::Prepare(_) => "prepare",
            Self::Promise(_) => "promise",
            Self::Accept(_) => "accept",
            Self::Accepted(_) => "accepted",
            Self::Refused(_) => "refused",
        }
    }
}

impl std::fmt::Display for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Prepare(Prepare(ballot)) => write!(f, "Prepare({ballot})"),
            Self::Promise(Promise { ballot, accepted: None }) => write!(f, "Promise({ballot})"),
            Self::Promise(Promise {
                ballot,
                accepted: Some(Accept { ballot: earlier, value }),
            }) => {
                write!(f, "Promise({ballot}), having accepted {value:?} under {earlier}")
            }
            Self::Accept(Accept { ballot, value }) => write!(f, "Accept({ballot}, {value:?})"),
            Self::Accepted(Accepted { ballot, value }) => {
                write!(f, "Accepted({ballot}, {value:?})")
            }
            Self::Refused(Refused { ballot, promised }) => {
                write!(f, "Refused({ballot}), having promised {promised}")
            }
        }
    }
}

/// Everybody, and what is on its way.
struct Stage {
    proposers: BTreeMap<u64, Proposer<String, Majority, Decide<String>>>,
    acceptors: Vec<Acceptor<String>>,
    learner: Learner<String, Majority>,
    /// Who sent what to whom.
    flying: Vec<(String, String, Message)>,
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            proposers: BTreeMap::new(),
            acceptors: vec![Acceptor::default(); ACCEPTORS.len()],
            learner: Learner::new(group()),
            flying: Vec::new(),
        }
    }
}

impl Stage {
    fn send(&mut self, from: &str, to: &str, message: Message, told: &mut String) {
        writeln!(told, "{from} → {to} {message}").expect("a string takes it");
        self.flying.push((from.to_owned(), to.to_owned(), message));
    }

    fn send_to_acceptors(&mut self, from: &str, message: &Message, told: &mut String) {
        for to in ACCEPTORS {
            self.send(from, to, message.clone(), told);
        }
    }

    /// Takes the messages that are from, to and of a kind, where that is said.
    fn take(&mut self, wanted: [&Option<String>; 3]) -> Vec<(String, String, Message)> {
        let fits = |message: &(String, String, Message)| {
            let found = [message.0.as_str(), message.1.as_str(), message.2.kind()];
            let pairs = wanted.iter().zip(found);
            pairs.into_iter().all(|(wanted, it)| wanted.as_ref().is_none_or(|wanted| wanted == it))
        };
        let (taken, kept) = std::mem::take(&mut self.flying).into_iter().partition(fits);
        self.flying = kept;
        taken
    }

    fn propose(&mut self, number: u64, value: &str, told: &mut String) {
        let node = NodeId::new(number).expect("not zero");
        let new = || Proposer::new(node, group(), 0);
        let proposer = self.proposers.entry(number).or_insert_with(new);
        let prepare = proposer.prepare(Decide(value.to_owned())).written();
        self.send_to_acceptors(&format!("n{number}"), &Message::Prepare(prepare), told);
    }

    fn arrive(&mut self, from: &str, to: &str, message: Message, told: &mut String) {
        if let Some(position) = ACCEPTORS.iter().position(|name| *name == to) {
            self.ask(position, from, message, told);
        } else if to == "L" {
            let Message::Accepted(accepted) = message else { return };
            let node = ACCEPTORS.iter().position(|name| *name == from).expect("an acceptor");
            if let Some(value) = self.learner.accepted(acceptor(node), accepted) {
                writeln!(told, "L learns {value:?}").expect("a string takes it");
            }
        } else {
            self.answer(to, from, message, told);
        }
    }

    fn ask(&mut self, position: usize, from: &str, message: Message, told: &mut String) {
        let asked = &mut self.acceptors[position];
        let name = ACCEPTORS[position];
        let answer = match message {
            Message::Prepare(prepare) => {
                asked.prepare(prepare).map(|promise| Message::Promise(promise.written()))
            }
            Message::Accept(accept) => {
                asked.accept(accept).map(|accepted| Message::Accepted(accepted.written()))
            }
            _ => return,
        };
        match answer {
            Ok(accepted @ Message::Accepted(_)) => self.send(name, "L", accepted, told),
            Ok(answer) => self.send(name, from, answer, told),
            Err(refused) => self.send(name, from, Message::Refused(refused), told),
        }
    }

    fn answer(&mut self, to: &str, from: &str, message: Message, told: &mut String) {
        let number = to.trim_start_matches('n').parse().expect("a proposer");
        let node = ACCEPTORS.iter().position(|name| *name == from).expect("an acceptor");
        let proposer = self.proposers.get_mut(&number).expect("it proposed");
        match message {
            Message::Promise(promise) => {
                let Ok(accept) = proposer.promised(acceptor(node), promise);
                if let Some(accept) = accept {
                    self.send_to_acceptors(to, &Message::Accept(accept), told);
                }
            }
            Message::Refused(refused) => proposer.refused(refused),
            _ => {}
        }
    }
}

/// What a script can say.
#[derive(goldenscript::Command)]
enum Order {
    /// A proposer begins an attempt. Example: `propose n1 blue`
    Propose(String, String),
    /// Messages that are on their way arrive, those that fit.
    Deliver {
        #[arg(key)]
        from: Option<String>,
        #[arg(key)]
        to: Option<String>,
        #[arg(key)]
        kind: Option<String>,
    },
    /// Messages are lost, those that fit.
    Lose {
        #[arg(key)]
        from: Option<String>,
        #[arg(key)]
        to: Option<String>,
        #[arg(key)]
        kind: Option<String>,
    },
}

impl goldenscript::Runner for Stage {
    type Command = Order;

    fn run(
        &mut self,
        order: &Order,
        _context: &goldenscript::Context,
    ) -> Result<String, Box<dyn Error>> {
        let mut told = String::new();
        match order {
            Order::Propose(who, value) => {
                self.propose(who.trim_start_matches('n').parse()?, value, &mut told);
            }
            Order::Deliver { from, to, kind } => {
                for (from, to, message) in self.take([from, to, kind]) {
                    self.arrive(&from, &to, message, &mut told);
                }
            }
            Order::Lose { from, to, kind } => drop(self.take([from, to, kind])),
        }
        Ok(told)
    }
}

#[test]
fn every_script_still_says_what_it_said() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/synod_scripts");
    let mut count = 0;
    for file in std::fs::read_dir(folder).expect("the scripts lie beside this file") {
        let path = file.expect("a readable folder").path();
        goldenscript::run(&mut Stage::default(), &path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        count += 1;
    }
    assert!(count >= 5, "only {count} scripts");
}
