//! Holds the order of the folders: commands know everything below them, nothing below knows a
//! command.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the sources has failed"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Every folder of `src`, and what it may import from the crate beside itself.
const MAY_IMPORT: [(&str, &[&str]); 9] = [
    ("values", &[]),
    ("format", &[]),
    ("terminal", &["values"]),
    ("api", &[]),
    ("credentials", &[]),
    ("runtime", &[]),
    ("serve", &["audit_log", "failure", "values"]),
    (
        "registry_admin",
        &[
            "audit_log",
            "failure",
            "format",
            "output",
            "terminal",
            "values",
        ],
    ),
    (
        "commands",
        &[
            "api",
            "credentials",
            "failure",
            "format",
            "output",
            "terminal",
            "values",
        ],
    ),
];

/// Words that belong to one folder alone.
const ONLY_IN: [(&str, &[&str]); 5] = [
    ("hyper_util::", &["api"]),
    ("gotmpl::", &["format", "commands"]),
    ("hythe_server::", &["serve", "registry_admin", ""]),
    ("hythe_runner::", &["runtime", "serve", ""]),
    ("terminal_size::", &["terminal"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// All files with the folder of `src` they are in; an empty name for those at the top.
fn files() -> Vec<(String, String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&root)
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(&root).unwrap();
            let floor = match relative.components().count() {
                1 => String::new(),
                _ => relative
                    .iter()
                    .next()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned(),
            };
            (floor, fs::read_to_string(&path).unwrap(), path)
        })
        .collect()
}

/// The code without comments and without what only tests see.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .map(str::trim)
        .filter(|line| !line.starts_with("//"))
}

#[test]
fn nothing_looks_up() {
    let mut wrong = Vec::new();
    for (floor, text, path) in files() {
        if floor.is_empty() {
            continue;
        }
        let (_, allowed) = MAY_IMPORT
            .iter()
            .find(|(name, _)| *name == floor)
            .unwrap_or_else(|| panic!("{floor} is on no floor; add it to the table"));
        for line in code(&text) {
            for import in line.split("crate::").skip(1) {
                let target: String = import
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if target != floor && !allowed.contains(&target.as_str()) {
                    wrong.push(format!("{}: {line}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn libraries_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for (floor, text, path) in files() {
        for line in code(&text) {
            for (word, folders) in ONLY_IN {
                if line.contains(word) && !folders.contains(&floor.as_str()) {
                    wrong.push(format!("{}: {line}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
