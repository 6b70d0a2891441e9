//! The rules for Rust files.

use super::lexer::{blank_out, cut_tests, functions};
use super::{File, Finding};

/// Code lines above which a file asks to be taken apart.
const FILE_LINES_WARN: usize = 600;
/// Code lines above which a file is refused.
const FILE_LINES_MAX: usize = 1000;
/// Lines of a function above which it is refused, unless it stands in [`LONG_FUNCTIONS`].
const FUNCTION_LINES_MAX: usize = 70;
/// Columns of a line.
const COLUMNS_MAX: usize = 100;

/// The ratchet: functions that were longer when the rule came, with their length. One may shrink,
/// never grow, and leaves the list when it fits. Do not add to it: take the function apart.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[];

/// Macros that say "not finished", and what to do instead.
const UNFINISHED: [(&str, &str); 3] = [
    (concat!("to", "do!"), "finish it, or refuse the input with an error that says so"),
    (concat!("unim", "plemented!"), "finish it, or refuse the input with an error that says so"),
    (concat!("db", "g!"), "remove it, or return what you wanted to see"),
];

/// Holds the rules for one file against it.
pub(crate) fn check(file: &File) -> Vec<Finding> {
    let blanked = blank_out(&file.text);
    let mut findings = Vec::new();
    findings.extend(size(file, &cut_tests(&blanked)));
    findings.extend(unfinished(file, &blanked));
    findings.extend(introduction(file));
    for (number, line) in (1..).zip(file.text.lines()) {
        if line.chars().count() > COLUMNS_MAX {
            let message = format!("longer than {COLUMNS_MAX} columns; break the line");
            findings.push(Finding::new(&file.path, number, message));
        }
    }
    findings
}

fn size(file: &File, code: &str) -> Option<Finding> {
    let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
    let advice = "take it apart along its nouns, a file each";
    if lines > FILE_LINES_MAX {
        let message = format!("{lines} lines of code (never over {FILE_LINES_MAX}); {advice}");
        Some(Finding::new(&file.path, 0, message))
    } else if lines > FILE_LINES_WARN {
        let message = format!("{lines} lines of code (at most {FILE_LINES_WARN}); {advice}");
        Some(Finding::warning(&file.path, message))
    } else {
        None
    }
}

fn unfinished(file: &File, blanked: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(blanked.lines()) {
        for (word, instead) in UNFINISHED {
            if line.contains(word) {
                let message = format!("`{word}`: {instead}");
                findings.push(Finding::new(&file.path, number, message));
            }
        }
    }
    findings
}

/// The root of a crate opens with what the crate is.
fn introduction(file: &File) -> Option<Finding> {
    let is_root = file.path.ends_with("src/lib.rs") || file.path.ends_with("src/main.rs");
    let is_introduced = file.text.trim_start().starts_with("//!");
    (is_root && !is_introduced).then(|| {
        Finding::new(&file.path, 1, "the crate does not say what it is; open it with a `//!`")
    })
}

/// Holds the length of every function against the limit and the list of exceptions.
pub(crate) fn check_ratchet(files: &[File]) -> Vec<Finding> {
    ratchet(files, LONG_FUNCTIONS)
}

fn ratchet(files: &[File], exceptions: &[(&str, &str, usize)]) -> Vec<Finding> {
    let mut unused = exceptions.to_vec();
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".rs") && !is_test(&file.path)) {
        for function in functions(&cut_tests(&blank_out(&file.text))) {
            if function.lines <= FUNCTION_LINES_MAX {
                continue;
            }
            let is_this = |e: &(&str, &str, usize)| e.0 == file.path && e.1 == function.name;
            let exception = unused.iter().position(is_this);
            let limit = exception.map_or(FUNCTION_LINES_MAX, |at| unused.swap_remove(at).2);
            if function.lines > limit {
                let message = format!(
                    "`{}` has {} lines (at most {limit}); name its parts and call them",
                    function.name, function.lines
                );
                findings.push(Finding::new(&file.path, function.line, message));
            }
        }
    }
    for (path, name, _) in unused {
        let message = format!("`{name}` fits now or is gone; take it off LONG_FUNCTIONS");
        findings.push(Finding::new(path, 0, message));
    }
    findings
}

/// Tables in tests are long for a good reason.
fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn messages(file: &File) -> Vec<String> {
        check(file).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_clean_file_has_no_findings() {
        let clean =
            file("crates/a/src/lib.rs", "//! What it is.\n\nfn a() -> &str {\n    \"dbg!\"\n}\n");
        assert_eq!(messages(&clean), Vec::<String>::new());
    }

    #[test]
    fn a_long_file_warns_and_a_huge_one_fails() {
        for (lines, expected) in
            [(600, None), (601, Some(true)), (1000, Some(true)), (1001, Some(false))]
        {
            let code = "a();\n// Not code.\n\n".repeat(lines);
            let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "b();\n".repeat(2000));
            let found = size(&file("a.rs", ""), &cut_tests(&blank_out(&(code + &tests))));
            assert_eq!(found.map(|finding| finding.is_warning), expected, "{lines} lines");
        }
    }

    #[test]
    fn unfinished_work_is_found_in_code_only() {
        for (word, _) in UNFINISHED {
            assert_eq!(messages(&file("a.rs", &format!("fn a() {{\n    {word}()\n}}\n"))).len(), 1);
            assert!(
                messages(&file("a.rs", &format!("// {word}\nconst A: &str = \"{word}\";\n")))
                    .is_empty()
            );
        }
    }

    #[test]
    fn a_crate_that_does_not_say_what_it_is_fails() {
        for (path, count) in
            [("crates/a/src/lib.rs", 1), ("xtask/src/main.rs", 1), ("crates/a/src/b.rs", 0)]
        {
            assert_eq!(messages(&file(path, "mod a;\n")).len(), count, "{path}");
        }
    }

    #[test]
    fn a_line_beyond_the_last_column_fails() {
        let line = |columns: usize| format!("// {}\n", "ü".repeat(columns - 3));
        assert!(messages(&file("a.rs", &line(COLUMNS_MAX))).is_empty());
        assert!(messages(&file("a.rs", &line(COLUMNS_MAX + 1)))[0].starts_with("a.rs:1: longer"));
    }

    #[test]
    fn a_long_function_fails_and_the_ratchet_only_turns_one_way() {
        let function = |lines: usize| format!("fn a() {{\n{}}}\n", "b();\n".repeat(lines - 2));
        let found = |lines, exceptions: &[(&str, &str, usize)]| {
            ratchet(&[file("src/a.rs", &function(lines))], exceptions).len()
        };
        assert_eq!(found(70, &[]), 0);
        assert_eq!(found(71, &[]), 1);
        assert_eq!(found(80, &[("src/a.rs", "a", 80)]), 0);
        assert_eq!(found(81, &[("src/a.rs", "a", 80)]), 1, "it grew");
        assert_eq!(found(70, &[("src/a.rs", "a", 80)]), 1, "it fits now");
        assert_eq!(ratchet(&[file("a/tests/b.rs", &function(200))], &[]).len(), 0);
    }
}
