//! The project's own chores, one command each: `cargo xtask check`, `test` and `dist`.
//!
//! `check` answers whether the tree may be merged without running it: formatting, lints,
//! documentation, the direction of the arrows between crates, tidiness and the dependency policy.
//! `test` finds or installs what the tests need, runs them all and says what did not run.
//! Both are what the continuous integration calls, so a pass here is a pass there.

mod check;
mod clients;
mod command;
mod dist;
mod layering;
mod mutants;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <chore>

  check                          format, clippy, docs, layering, tidiness, dependency policy
  tidy                           only the layering and the tidiness, in a second
  test [--no-skip] [--soak] [-- ARGS]
                                 find or install what the tests need, run all of them, and say
                                 what was skipped; ARGS go to `cargo test`
                                 --no-skip  a skipped test is a failure (the default under CI)
                                 --soak     also the long runs (sets ALTHING_SOAK=1)
  mutants                        plant every bug of the catalogue; each must be found
  dist                           build what people install: an archive and a Debian package

example: cargo xtask test -- --package althing-core
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some("check") if arguments.len() == 1 => check::run(&root()),
        Some("tidy") if arguments.len() == 1 => check::run_tidy(&root()),
        Some("test") => match test::Options::parse(&arguments[1..]) {
            Ok(options) => test::run(&root(), &options),
            Err(complaint) => return usage(&complaint),
        },
        Some("mutants") if arguments.len() == 1 => mutants::run(&root()),
        Some("dist") if arguments.len() == 1 => dist::run(&root()),
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some(other) => return usage(&format!("there is no chore `{other}`")),
        None => return usage("no chore given"),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage(complaint: &str) -> ExitCode {
    eprintln!("error: {complaint}\n\n{USAGE}");
    ExitCode::from(2)
}

/// The checkout: the folder above this crate.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the xtask crate lies inside the checkout").to_owned()
}
