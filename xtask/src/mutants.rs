//! Plants every bug of the simulator's catalogue and looks whether the simulator finds it.

use std::path::Path;

use anyhow::Result;

use crate::command::{cargo, succeeds};

/// Builds the pure crates so that bugs can be planted in them, and hunts; whether all were killed.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let arguments = [
        "run",
        "--locked",
        "--release",
        "--package",
        "althing-sim",
        "--features",
        "planted-bugs",
        "--example",
        "mutants",
    ];
    succeeds(&mut cargo(root, &arguments))
}
