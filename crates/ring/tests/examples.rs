//! Every public item has an example of its own: the documentation is where a library is learned.

use std::fs;
use std::path::Path;

const KINDS: [&str; 7] = ["fn", "struct", "enum", "trait", "type", "const", "async"];

/// The lines, from 1, of public items whose comment has no example. Tests stand last in a file.
/// What exists only while a feature is off is left out: documentation is built with all of them.
fn without_example(source: &str) -> Vec<usize> {
    let mut above: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for (number, line) in (1..).zip(source.lines().map(str::trim)) {
        if line == "#[cfg(test)]" {
            break;
        }
        if line.starts_with("///") || line.starts_with("#[") {
            above.push(line);
            continue;
        }
        let kind = line.strip_prefix("pub ").and_then(|item| item.split(' ').next());
        if kind.is_some_and(|kind| KINDS.contains(&kind)) {
            // Of two fences the first opens a block, and one that names a language is no example.
            let mut fences = above.iter().filter(|line| line.starts_with("/// ```")).step_by(2);
            let is_off = above.iter().any(|line| line.starts_with("#[cfg(not(feature"));
            if !is_off && !fences.any(|fence| *fence == "/// ```") {
                found.push(number);
            }
        }
        above.clear();
    }
    found
}

fn check(folder: &Path, missing: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("the sources lie beside the tests") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            check(&path, missing);
        } else {
            let lines = without_example(&fs::read_to_string(&path).expect("a source is text"));
            missing.extend(lines.iter().map(|line| format!("{}:{line}", path.display())));
        }
    }
}

#[test]
fn every_public_item_has_an_example() {
    let mut missing = Vec::new();
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut missing);
    assert!(missing.is_empty(), "public items without an example:\n{}", missing.join("\n"));
}

#[test]
fn an_item_without_an_example_is_found() {
    let (shown, text) = ("/// ```\n/// f();\n/// ```\n", "/// ```text\n/// f\n/// ```\n");
    let source = format!("{shown}#[must_use]\npub fn f() {{}}\n{text}pub const fn g() {{}}\n");
    assert_eq!(without_example(&source), [9]);
}
