//! The rules for every text file.

use super::{File, Finding};

/// Words that must not stand in the tree, and what to do instead. Written in two pieces here, so
/// that this table does not find itself.
const WORDS: [(&str, &str); 6] = [
    (concat!("TO", "DO"), "do it, or say in one sentence to the user what is left out"),
    (concat!("FIX", "ME"), "fix it, or say in one sentence to the user what does not work"),
    (concat!("/wo", "rk/"), "name a path inside the checkout, or a temporary folder"),
    (concat!("/tmp/", "target"), "name no folder of one machine; CARGO_TARGET_DIR is the user's"),
    (concat!("bash", "_jobs"), "describe the command, not the place where it once ran"),
    (concat!("issue", "s/open/"), "say why in the comment itself; a number tells a reader nothing"),
];

/// Holds the rules for any text against one file.
pub(crate) fn check(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(file.text.split('\n')) {
        let mut find = |message: String| {
            findings.push(Finding::new(&file.path, number, message));
        };
        if line.contains('\t') {
            find("a tab; indent with blanks".to_owned());
        }
        if line.ends_with([' ', '\r']) {
            find("blanks at the end of the line; cut them".to_owned());
        }
        for (word, instead) in WORDS {
            if line.contains(word) {
                find(format!("`{word}`: {instead}"));
            }
        }
        if cites_issue(line) {
            find("an issue's number; say why in the sentence itself".to_owned());
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        findings.push(Finding::new(&file.path, 0, "the last line does not end; end it"));
    }
    findings
}

/// Whether the line speaks of an issue of this project by number, as in `issue #` and a digit.
/// Another project's, written `name#123`, is a source like any other.
fn cites_issue(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    line.match_indices("issue ").any(|(at, word)| {
        let after = &line[at + word.len()..];
        after.strip_prefix('#').unwrap_or(after).starts_with(|c: char| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn found(text: &str) -> usize {
        check(&file("docs/a.md", text)).len()
    }

    #[test]
    fn plain_text_passes() {
        assert_eq!(found("A line.\n\nThe issue is settled, see raft#12.\n"), 0);
        assert_eq!(found(""), 0);
    }

    #[test]
    fn tabs_trailing_blanks_and_an_open_last_line_fail() {
        for text in ["\ta\n", "a \n", "a\r\n", "a", "a\n "] {
            assert!(found(text) >= 1, "{text:?}");
        }
    }

    #[test]
    fn each_forbidden_word_fails_and_names_what_to_do() {
        for (word, instead) in WORDS {
            let findings = check(&file("a.toml", &format!("# x {word} y\n")));
            assert_eq!(findings.len(), 1, "{word}");
            assert!(findings[0].message.ends_with(instead));
        }
    }

    #[test]
    fn a_number_of_an_issue_fails() {
        let word = "Issue";
        for text in [format!("See {word} #2.\n"), format!("// {word} 14: a\n")] {
            assert_eq!(found(&text), 1, "{text}");
        }
    }
}
