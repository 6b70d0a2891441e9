use std::collections::VecDeque;
use std::fmt;

use althing_core::Time;

/// The last things that happened, for people. Costs nothing unless it is kept.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// Zero when nobody will look.
    lines_max: usize,
    lines: VecDeque<String>,
}

impl Timeline {
    pub(crate) const fn new(lines_max: usize) -> Self {
        Self { lines_max, lines: VecDeque::new() }
    }

    pub(crate) const fn is_kept(&self) -> bool {
        self.lines_max > 0
    }

    pub(crate) fn note(&mut self, at: Time, line: impl FnOnce() -> String) {
        if self.lines_max == 0 {
            return;
        }
        if self.lines.len() == self.lines_max {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:>16} {}", at.to_string(), line()));
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

/// Who and what, in columns.
pub(crate) struct Did<W, T>(pub(crate) W, pub(crate) T);

impl<W: fmt::Display, T: fmt::Display> fmt::Display for Did<W, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<4}{}", self.0.to_string(), self.1)
    }
}
