//! What went wrong, in the words and the exit code the user sees.

use std::fmt;
use std::io::{IsTerminal as _, Write as _};

use crate::output::Format;

/// Why a command ended, as a script sees it. The numbers are a promise and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// None of the others: the server refused the request, a file cannot be read.
    Other = 1,
    /// The command line or a setting is wrong. Nothing was tried.
    Usage = 2,
    /// The key, the lease or the leader that was asked for does not exist.
    NotFound = 3,
    /// The comparison of a transaction did not hold.
    CompareFailed = 4,
    /// No endpoint could be reached. Nothing was done.
    Unreachable = 5,
    /// No answer in time, or the connection broke after the request was sent: a write may have
    /// happened or not.
    Unknown = 6,
    /// The cluster has no leader that a quorum follows. Nothing was done.
    NoLeader = 7,
    /// Whoever asks has no right to that, or did not prove who they are. Nothing was done.
    Denied = 8,
    /// The lock or the leadership ended before what it protects did.
    Lost = 9,
    /// The lock was not obtained in the time that was given. Nothing was done.
    Busy = 10,
    /// The cluster removed this node, for good: to start it again is of no use.
    Removed = 11,
}

/// A command that did not succeed: one line, perhaps its cause, perhaps the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) cause: Option<String>,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), cause: None, hint: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Adds why it happened.
    pub(crate) fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Adds what the user could do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Tells the user, on the standard error, as text or as one line of JSON.
    pub(crate) fn report(&self, format: Format) {
        let text = if format == Format::Json { self.as_json() } else { self.as_text(is_painted()) };
        // Where even the standard error is closed there is nobody left to tell.
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    fn as_json(&self) -> String {
        serde_json::json!({
            "code": self.kind as u8,
            "message": self.message,
            "cause": self.cause,
            "hint": self.hint,
        })
        .to_string()
    }

    fn as_text(&self, is_painted: bool) -> String {
        let (red, plain) = if is_painted { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
        let mut text = format!("{red}error:{plain} {}", self.message);
        if let Some(cause) = &self.cause {
            text.push_str(&format!("\ncause: {cause}"));
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\ntry:   {hint}"));
        }
        text
    }
}

/// Colour is for people: a terminal, and nobody who said `NO_COLOR`.
pub(crate) fn is_painted() -> bool {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !is_refused
}

/// The deepest source of an error, which names what the system said.
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_with_a_cause_and_a_next_step() {
        let failure = Failure::new(Kind::NotFound, "no key `a`").cause("it is gone").hint("look");
        assert_eq!(failure.as_text(false), "error: no key `a`\ncause: it is gone\ntry:   look");
        assert_eq!(
            failure.as_json(),
            r#"{"cause":"it is gone","code":3,"hint":"look","message":"no key `a`"}"#
        );
    }

    #[test]
    fn what_is_not_known_is_left_out_or_null() {
        let failure = Failure::usage("no");
        assert_eq!(failure.as_text(false), "error: no");
        assert_eq!(failure.as_json(), r#"{"cause":null,"code":2,"hint":null,"message":"no"}"#);
    }
}
