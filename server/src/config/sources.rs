//! Merges what was said in four places into one TOML table.
//!
//! Later places win: the shipped defaults, the file, the environment, the
//! flags. The list of keys is the shipped `config/server.toml` itself, so that
//! a key added there has its variable at once. Knows no meaning of any key.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::ConfigError;

/// The shipped file: every key and its default.
pub(super) const DEFAULTS: &str = include_str!("../../../config/server.toml");

/// The table whose keys are the object store's, not ours.
const STORAGE_OPTIONS: &str = "storage_options";

/// Prefixes of variables that belong to the object stores' own tools.
const STORE_PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// Where settings come from, beside the defaults and the environment.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config FILE`.
    pub file: Option<PathBuf>,
    /// Flags that were given: the key's path (`listen`, `gc.grace_seconds`) and
    /// the text of its value.
    pub flags: Vec<(&'static str, String)>,
}

/// Merges all sources; `environment` is handed in so that tests need not touch
/// the process's own.
pub(super) fn merge(
    sources: &Sources,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Table, ConfigError> {
    let defaults: Table = parse("the shipped defaults", DEFAULTS)?;
    let keys = key_paths(&defaults);
    let mut merged = defaults;
    if let Some(path) = &sources.file {
        overlay(&mut merged, read(path)?);
    }
    for (name, value) in environment {
        if let Some(key) = keys.iter().find(|key| variable(key) == name) {
            set(&mut merged, key, &value, &name)?;
        } else if STORE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            && let Some(Value::Table(options)) = merged.get_mut(STORAGE_OPTIONS)
        {
            // What the file says about the store is more specific than a
            // variable that another tool may have wanted.
            options
                .entry(name.to_ascii_lowercase())
                .or_insert(Value::String(value));
        }
    }
    for (key, value) in &sources.flags {
        set(&mut merged, key, value, &flag(key))?;
    }
    Ok(merged)
}

/// `gc.grace_seconds` is `HYTHE_GC_GRACE_SECONDS`.
fn variable(key: &str) -> String {
    format!("HYTHE_{}", key.replace('.', "_").to_ascii_uppercase())
}

fn flag(key: &str) -> String {
    format!("--{}", key.replace(['.', '_'], "-"))
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&path.display().to_string(), &text)
}

fn parse(origin: &str, text: &str) -> Result<Table, ConfigError> {
    text.parse().map_err(|error| ConfigError::Invalid {
        origin: origin.to_owned(),
        reason: format!("{error}"),
    })
}

/// Every key that is not a table, as a dotted path.
fn key_paths(table: &Table) -> Vec<String> {
    let mut paths = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                paths.extend(inner.keys().map(|inner_key| format!("{key}.{inner_key}")));
            }
            _ => paths.push(key.clone()),
        }
    }
    paths
}

/// Lays `upper` over `base`, one level of tables deep.
fn overlay(base: &mut Table, upper: Table) {
    for (key, value) in upper {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => below.extend(above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// Sets one key from text, in the type that its default has.
fn set(table: &mut Table, key: &str, text: &str, origin: &str) -> Result<(), ConfigError> {
    let slot = match key.split_once('.') {
        Some((outer, inner)) => table
            .get_mut(outer)
            .and_then(Value::as_table_mut)
            .and_then(|nested| nested.get_mut(inner)),
        None => table.get_mut(key),
    };
    let invalid = |reason: String| ConfigError::Invalid {
        origin: origin.to_owned(),
        reason,
    };
    let Some(slot) = slot else {
        return Err(invalid("no such setting".to_owned()));
    };
    *slot = match slot {
        Value::Integer(_) => Value::Integer(
            text.parse()
                .map_err(|_| invalid(format!("{text:?} is not a whole number")))?,
        ),
        Value::Boolean(_) => Value::Boolean(
            text.parse()
                .map_err(|_| invalid(format!("{text:?} is neither true nor false")))?,
        ),
        Value::Array(_) => list(text).ok_or_else(|| invalid(format!("{text:?} is no list")))?,
        _ => Value::String(text.to_owned()),
    };
    Ok(())
}

/// A list as the file would have it: `[{ repositories = "a/**", bytes = 1 }]`.
fn list(text: &str) -> Option<Value> {
    let table: Table = format!("list = {text}").parse().ok()?;
    table.get("list").filter(|list| list.is_array()).cloned()
}
