//! The rules for the documents: the map names every crate, and translations say the same.

use super::{File, Finding};

/// Lines of the map above which nobody keeps it true.
const MAP_LINES_MAX: usize = 150;
/// The map.
const MAP: &str = "ARCHITECTURE.md";
/// Ends the name of a translation; its original has the same name without it.
const TRANSLATED: &str = ".zh-CN.md";

/// Holds the rules for documents against the whole checkout.
pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(map(files));
    findings.extend(required(files));
    for translation in files.iter().filter(|file| file.path.ends_with(TRANSLATED)) {
        let original = translation.path.replace(TRANSLATED, ".md");
        match find(files, &original) {
            Some(original) => findings.extend(same_shape(original, translation)),
            None => {
                let message = format!("there is no {original} that it translates; write that one");
                findings.push(Finding::new(&translation.path, 0, message));
            }
        }
    }
    findings
}

fn find<'a>(files: &'a [File], path: &str) -> Option<&'a File> {
    files.iter().find(|file| file.path == path)
}

fn required(files: &[File]) -> Vec<Finding> {
    const REQUIRED: [&str; 5] =
        ["README.md", "README.zh-CN.md", MAP, "CONTRIBUTING.md", "CHANGELOG.md"];
    let missing = REQUIRED.into_iter().filter(|path| find(files, path).is_none());
    missing.map(|path| Finding::new(path, 0, "is missing; write it")).collect()
}

fn map(files: &[File]) -> Vec<Finding> {
    let Some(map) = find(files, MAP) else { return Vec::new() };
    let mut findings = Vec::new();
    let lines = map.text.lines().count();
    if lines > MAP_LINES_MAX {
        let message = format!("{lines} lines (at most {MAP_LINES_MAX}); move detail into docs/");
        findings.push(Finding::new(MAP, 0, message));
    }
    let manifests = files.iter().filter_map(|file| file.path.strip_suffix("/Cargo.toml"));
    for folder in manifests.filter(|folder| !map.text.contains(&format!("`{folder}`"))) {
        let message = format!("does not name `{folder}`; say what it is and must never do");
        findings.push(Finding::new(MAP, 0, message));
    }
    findings
}

/// A translation has the headings of its original, level by level, and its code word for word.
fn same_shape(original: &File, translation: &File) -> Vec<Finding> {
    let (one, other) = (Shape::of(&original.text), Shape::of(&translation.text));
    let mut findings = Vec::new();
    if one.headings != other.headings {
        let message = format!(
            "{} headings of levels {:?}, but {} has {} of levels {:?}; translate each",
            other.headings.len(),
            other.headings,
            original.path,
            one.headings.len(),
            one.headings
        );
        findings.push(Finding::new(&translation.path, 0, message));
    }
    if one.code.len() != other.code.len() {
        let message = format!(
            "{} blocks of code, but {} has {}; copy each",
            other.code.len(),
            original.path,
            one.code.len()
        );
        findings.push(Finding::new(&translation.path, 0, message));
    }
    for (expected, (line, code)) in one.code.iter().map(|(_, code)| code).zip(other.code) {
        if *expected != code {
            let message = format!("the block of code differs from {}; copy it", original.path);
            findings.push(Finding::new(&translation.path, line, message));
        }
    }
    findings
}

#[derive(Default)]
struct Shape {
    /// The level of each heading.
    headings: Vec<usize>,
    /// Each block of code with the line of its fence, from 1.
    code: Vec<(usize, String)>,
}

impl Shape {
    fn of(text: &str) -> Self {
        let mut shape = Self::default();
        let mut open: Option<(usize, String)> = None;
        for (number, line) in (1..).zip(text.lines()) {
            let is_fence = line.trim_start().starts_with("```");
            match &mut open {
                Some((_, block)) if !is_fence => {
                    block.push_str(line);
                    block.push('\n');
                }
                Some(_) => shape.code.extend(open.take()),
                None if is_fence => open = Some((number, format!("{}\n", line.trim()))),
                None if line.starts_with('#') => {
                    shape.headings.push(line.len() - line.trim_start_matches('#').len());
                }
                None => {}
            }
        }
        shape.code.extend(open);
        shape
    }
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    const README: &str = "# A\n\n```sh\nrun # comment\n```\n\n## B\n";

    fn translated(text: &str) -> usize {
        same_shape(&file("README.md", README), &file("README.zh-CN.md", text)).len()
    }

    #[test]
    fn a_faithful_translation_passes() {
        assert_eq!(translated("# 甲\n\n```sh\nrun # comment\n```\n\n## 乙\n"), 0);
    }

    #[test]
    fn a_missing_heading_or_changed_code_fails() {
        for text in [
            "# 甲\n\n```sh\nrun # comment\n```\n",
            "# 甲\n\n```sh\nrun # comment\n```\n### 乙\n",
            "# 甲\n\n```sh\nrun # 注释\n```\n## 乙\n",
            "# 甲\n\n## 乙\n",
        ] {
            assert_eq!(translated(text), 1, "{text}");
        }
    }

    #[test]
    fn a_translation_needs_its_original() {
        let files = [file("docs/a.zh-CN.md", "# 甲\n")];
        assert!(check(&files).iter().any(|finding| finding.path == "docs/a.zh-CN.md"));
    }

    #[test]
    fn the_map_names_every_crate_and_stays_short() {
        let manifest = file("crates/a/Cargo.toml", "");
        let found = |text: &str| map(&[file(MAP, text), file("crates/a/Cargo.toml", "")]).len();
        assert_eq!(found("`crates/a` is it.\n"), 0);
        assert_eq!(found("`crates/ab` is it.\n"), 1);
        assert_eq!(found(&"`crates/a`\n".repeat(MAP_LINES_MAX + 1)), 1);
        assert!(required(&[manifest]).iter().any(|finding| finding.path == MAP));
    }
}
