//! Where a setting's words come from: flag, environment, file, default, in this order.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::ServeArguments;
use super::nearest::nearest;
use super::table::SETTINGS;
use crate::failure::{Failure, Kind};

/// Where a setting was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Flag(&'static str),
    Environment(String),
    File(PathBuf),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(key) => write!(f, "flag --{key}"),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The words that count, each with its origin.
#[derive(Debug)]
pub(super) struct Layers(BTreeMap<&'static str, (String, Origin)>);

impl Layers {
    /// Looks in every place. Fails on a file that cannot be read or holds what no setting is.
    pub(super) fn read(
        arguments: &ServeArguments,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        // A variable that is set to nothing is how scripts say "not set".
        let environment = |variable: &str| environment(variable).filter(|value| !value.is_empty());
        let mut found = BTreeMap::new();
        for setting in &SETTINGS {
            if let Some(default) = setting.default {
                found.insert(setting.key, (default.to_owned(), Origin::Default));
            }
        }
        let config = environment("ALTHING_CONFIG").map(PathBuf::from);
        if let Some(path) = arguments.config.clone().or(config) {
            for (key, value) in read_file(&path)? {
                found.insert(key, (value, Origin::File(path.clone())));
            }
        }
        for setting in &SETTINGS {
            let variable = setting.variable();
            if let Some(value) = environment(&variable) {
                found.insert(setting.key, (value, Origin::Environment(variable)));
            }
        }
        for (key, word) in &arguments.words.0 {
            found.insert(key, (word.clone(), Origin::Flag(key)));
        }
        Ok(Self(found))
    }

    /// The setting, which has a default; an error names where the wrong words came from.
    pub(super) fn get<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        let found = self.find(key, parse)?;
        Ok(found.expect("a setting that is asked for in this way has a default"))
    }

    /// The setting, if any place names it.
    pub(super) fn find<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        let Some((word, origin)) = self.0.get(key) else { return Ok(None) };
        let parsed = parse(word).map_err(|cause| {
            Failure::usage(format!("{key} cannot be `{word}` ({origin})"))
                .cause(cause)
                .hint("`althing serve --help` shows an example")
        });
        parsed.map(Some)
    }

    /// Where the setting came from.
    pub(super) fn origin(&self, key: &str) -> Origin {
        self.0.get(key).map_or(Origin::Default, |(_, origin)| origin.clone())
    }
}

fn read_file(path: &Path) -> Result<Vec<(&'static str, String)>, Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(Kind::Usage, format!("cannot read the settings in {name}")).cause(error)
    })?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        Failure::usage(format!("{name}:{line} is no TOML")).cause(error.message())
    })?;
    table.into_iter().map(|(key, value)| entry(path, &key, value)).collect()
}

fn entry(path: &Path, key: &str, value: Value) -> Result<(&'static str, String), Failure> {
    let keys: Vec<&'static str> = SETTINGS.iter().map(|setting| setting.key).collect();
    let Some(known) = keys.iter().copied().find(|known| *known == key) else {
        let failure = Failure::usage(format!("{}: there is no setting `{key}`", path.display()));
        return Err(match nearest(key, &keys) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint(format!("the settings are {}", keys.join(", "))),
        });
    };
    let words = match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Table(peers) if known == "initial-cluster" => peers
            .into_iter()
            .map(|(name, address)| Some(format!("{name}={}", address.as_str()?)))
            .collect::<Option<Vec<_>>>()
            .map(|peers| peers.join(",")),
        _ => None,
    };
    words.map(|words| (known, words)).ok_or_else(|| {
        let expected = match known {
            "initial-cluster" => "a text, or a table of names and addresses",
            _ => "a text or a whole number",
        };
        let message = format!("{}: `{key}` has a value of the wrong kind", path.display());
        Failure::usage(message).cause(format!("expected {expected}"))
    })
}
