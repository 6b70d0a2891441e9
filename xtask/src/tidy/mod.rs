//! Tidiness: the rules of taste that a tool can hold, because rules in prose fade.
//!
//! A rule is a function from files to [`Finding`]s, and has a test that plants a violation. Every
//! finding names what to do instead.

mod documents;
mod lexer;
mod source;
mod text;

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};

/// One text file of the checkout.
pub(crate) struct File {
    /// From the root of the checkout, with `/` between folders.
    path: String,
    text: String,
}

/// One place where a rule does not hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    /// From 1; 0 where the whole file is meant.
    line: usize,
    message: String,
    /// Only worth saying; does not fail the check.
    is_warning: bool,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into(), is_warning: false }
    }

    fn warning(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: 0, message: message.into(), is_warning: true }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_warning { "warning: " } else { "" };
        match self.line {
            0 => write!(f, "{}: {kind}{}", self.path, self.message),
            line => write!(f, "{}:{line}: {kind}{}", self.path, self.message),
        }
    }
}

/// Reads the checkout, prints every finding, and says whether only warnings were among them.
pub(crate) fn check(root: &Path) -> Result<bool> {
    let mut files = Vec::new();
    collect(root, root, &mut files)?;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let findings = judge(&files);
    for finding in &findings {
        println!("{finding}");
    }
    Ok(findings.iter().all(|finding| finding.is_warning))
}

/// Holds every rule against `files`, which are in ascending order of their paths.
fn judge(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        findings.extend(text::check(file));
        if file.path.ends_with(".rs") {
            findings.extend(source::check(file));
        }
    }
    findings.extend(source::check_ratchet(files));
    findings.extend(documents::check(files));
    findings
}

/// What is ours to keep tidy, by the end of its name. Golden scripts are not in it: their bytes
/// are the test.
const KINDS: [&str; 9] = ["rs", "toml", "md", "sh", "yml", "yaml", "js", "html", "css"];

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) -> Result<()> {
    for entry in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let is_hidden = name.starts_with('.') && !matches!(&*name, ".ci" | ".cargo");
            if !is_hidden && name != "target" {
                collect(root, &path, files)?;
            }
        } else if kind.is_file() && is_ours(&path) {
            let relative = path.strip_prefix(root).expect("found below the root");
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {} as text", path.display()))?;
            files.push(File { path: relative.to_string_lossy().replace('\\', "/"), text });
        }
    }
    Ok(())
}

fn is_ours(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let folder = path.parent().and_then(Path::file_name);
    let is_script = folder.is_some_and(|folder| folder == ".ci");
    is_script || extension.is_some_and(|extension| KINDS.contains(&extension))
}

#[cfg(test)]
pub(crate) fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}
