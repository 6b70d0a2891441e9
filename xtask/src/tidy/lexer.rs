//! Just enough of Rust's grammar to tell code from comments and from text in quotes.

/// `source` with comments and the insides of literals replaced by blanks and dots, line breaks
/// kept, so that line numbers hold and nothing quoted is taken for code.
///
/// The inside of a literal becomes dots rather than blanks because its lines are code.
pub(crate) fn blank_out(source: &str) -> String {
    let mut lexer = Lexer { rest: source, out: String::with_capacity(source.len()) };
    while !lexer.rest.is_empty() {
        lexer.step();
    }
    lexer.out
}

struct Lexer<'a> {
    rest: &'a str,
    out: String,
}

impl Lexer<'_> {
    fn step(&mut self) {
        let is_after_word = self.out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if self.rest.starts_with("//") {
            let length = self.rest.find('\n').unwrap_or(self.rest.len());
            self.replace(length, ' ');
        } else if self.rest.starts_with("/*") {
            let length = block_comment(self.rest);
            self.replace(length, ' ');
        } else if let Some((open, hashes)) = raw_string(self.rest).filter(|_| !is_after_word) {
            let close = format!("\"{}", "#".repeat(hashes));
            let inside = self.rest[open..].find(&close).unwrap_or(self.rest.len() - open);
            self.replace((open + inside + close.len()).min(self.rest.len()), '.');
        } else if self.rest.starts_with('"') {
            let length = quoted(self.rest);
            self.replace(length, '.');
        } else if let Some(length) = character(self.rest) {
            self.replace(length, '.');
        } else {
            let first = self.rest.chars().next().expect("the rest is not empty");
            self.out.push(first);
            self.rest = &self.rest[first.len_utf8()..];
        }
    }

    fn replace(&mut self, length: usize, filler: char) {
        let (gone, rest) = self.rest.split_at(length);
        self.out.extend(gone.chars().map(|c| if c == '\n' { '\n' } else { filler }));
        self.rest = rest;
    }
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of `r##"` and its number of hashes, where a raw string starts here.
fn raw_string(text: &str) -> Option<(usize, usize)> {
    let prefix = ["br", "cr", "r"].into_iter().find(|prefix| text.starts_with(prefix))?;
    let after = &text[prefix.len()..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some((prefix.len() + hashes + 1, hashes))
}

fn quoted(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the character literal that starts here; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    if let Some(escape) = inside.strip_prefix('\\') {
        let first = escape.chars().next()?.len_utf8();
        return escape[first..].find('\'').map(|length| 2 + first + length + 1);
    }
    let first = inside.chars().next()?.len_utf8();
    inside[first..].starts_with('\'').then_some(first + 2)
}

/// Blanks the modules that are compiled for tests only, in source that [`blank_out`] has seen.
pub(crate) fn cut_tests(blanked: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(blanked.len());
    let mut rest = blanked;
    while let Some(mark) = rest.find(MARK) {
        let after = &rest[mark + MARK.len()..];
        let is_module = after.trim_start().starts_with("mod ");
        let body = after.find(['{', ';']).filter(|at| is_module && after[*at..].starts_with('{'));
        let Some(open) = body else {
            out.push_str(&rest[..mark + MARK.len()]);
            rest = after;
            continue;
        };
        let end = open + matching_brace(&after[open..]);
        out.push_str(&rest[..mark]);
        out.extend(after[..end].chars().filter(|c| *c == '\n'));
        rest = &after[end..];
    }
    out.push_str(rest);
    out
}

/// How far it is to just behind the brace that closes the one at the start of `text`.
fn matching_brace(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Where its `fn` stands, from 1.
    pub(crate) line: usize,
    /// From its `fn` to its closing brace, both counted.
    pub(crate) lines: usize,
}

/// The functions in source that [`blank_out`] has seen, in the order of their `fn`.
pub(crate) fn functions(blanked: &str) -> Vec<Function> {
    let mut functions = Vec::new();
    for (at, _) in blanked.match_indices("fn ") {
        let before = blanked[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let after = &blanked[at + 3..];
        let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(open) = body(after).filter(|_| !name.is_empty()) else { continue };
        let end = open + matching_brace(&after[open..]);
        let count = |text: &str| text.matches('\n').count();
        functions.push(Function {
            name,
            line: count(&blanked[..at]) + 1,
            lines: count(&after[..end]) + 1,
        });
    }
    functions
}

/// Where the body of a function opens, after its name; `None` where it is only declared.
fn body(after: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, c) in after.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(at),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_kept() {
        for (source, expected) in [
            ("a // b\nc", "a     \nc"),
            ("a /* x /* y */ z */ b", "a                   b"),
            ("f(\"a // b\")", "f(........)"),
            (r#"f("a\"b") + 1"#, "f(......) + 1"),
            ("f(r#\"a\" b\"#) c", "f(.........) c"),
            ("x: &'a str = 'b'; y = '\\''; z = '{'", "x: &'a str = ...; y = ....; z = ..."),
            ("\"a\nb\"", "..\n.."),
            ("number\"x\"", "number..."),
        ] {
            assert_eq!(blank_out(source), expected, "{source}");
        }
    }

    #[test]
    fn only_inline_test_modules_are_cut() {
        let inline = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { {} }\n}\nfn c() {}\n";
        assert_eq!(cut_tests(inline), "fn a() {}\n\n\n\n\nfn c() {}\n");
        let beside = "#[cfg(test)]\nmod tests;\nfn c() {}\n";
        assert_eq!(cut_tests(beside), beside);
        let import = "#[cfg(test)]\nextern crate std;\nfn c() {}\n";
        assert_eq!(cut_tests(import), import);
    }

    #[test]
    fn functions_are_measured_from_fn_to_brace() {
        let source = [
            "fn a() {}",
            "trait T {",
            "    fn b(&self) -> [u8; 2];",
            "    fn c(f: fn(u8)) -> [u8; 2]",
            "    {",
            "    }",
            "}",
        ];
        let found: Vec<_> =
            functions(&source.join("\n")).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(found, [("a".to_owned(), 1, 1), ("c".to_owned(), 4, 3)]);
    }
}
