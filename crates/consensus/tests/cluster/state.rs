use std::collections::BTreeMap;
use std::fmt;

use althing_core::{Entry, Index, LogId, Payload};

/// The state machine behind the log: names and values.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    values: BTreeMap<String, String>,
    /// The last entry that was applied.
    pub(super) at: LogId,
}

impl State {
    pub(super) fn apply(&mut self, entry: &Entry) {
        assert_eq!(entry.id.index, self.at.index.next(), "entries are applied one after another");
        self.at = entry.id;
        let text = command(&entry.payload);
        if let Some((name, value)) = text.split_once('=') {
            self.values.insert(name.to_owned(), value.to_owned());
        }
    }

    /// The whole state as bytes, for a snapshot.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    pub(super) fn from_bytes(at: LogId, bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
        let values = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { values, at }
    }

    pub(super) fn has_come_to(&self, index: Index) -> bool {
        self.at.index >= index
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (name, value)) in self.values.iter().enumerate() {
            let space = if position == 0 { "" } else { " " };
            write!(f, "{space}{name}={value}")?;
        }
        Ok(())
    }
}

/// What an entry carries, as a script shows it.
pub(super) fn command(payload: &Payload) -> String {
    match payload {
        Payload::Opening => "opening".to_owned(),
        Payload::Command(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Payload::Configuration(configuration) => format!("[{configuration}]"),
    }
}
