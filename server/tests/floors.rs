//! Holds the order of the floors: a lower one never imports a higher one, and
//! two on the same floor do not import each other.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the sources has failed"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Every folder of `src` and what it may import from the crate beside itself.
const MAY_IMPORT: [(&str, &[&str]); 9] = [
    ("config", &[]),
    ("sys", &[]),
    ("blob_store", &["lane", "sys", "config"]),
    ("db", &["config"]),
    ("tls", &["config"]),
    ("auth", &["db", "config"]),
    // Both stores hand their errors up as they are.
    ("registry", &["blob_store", "db", "lane", "config"]),
    // error.rs sorts the stores' errors into statuses.
    (
        "http",
        &[
            "registry",
            "auth",
            "tls",
            "blob_store",
            "db",
            "sys",
            "config",
        ],
    ),
    ("jobs", &["registry", "config"]),
];

/// Words that belong to one folder, or file, alone.
const ONLY_IN: [(&str, &[&str]); 10] = [
    ("unsafe_code", &["sys"]),
    ("reqwest::", &["auth"]),
    ("tokio_rustls::", &["tls", "http"]),
    ("rcgen::", &["tls"]),
    ("sqlx::", &["db"]),
    ("object_store::", &["blob_store"]),
    ("axum::", &["http"]),
    ("hyper", &["http"]),
    ("opentelemetry", &["http"]),
    ("std::env::", &["config"]),
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

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The folder of `src` that a file is in; `None` for those at the top.
fn floor_of(path: &Path) -> Option<String> {
    let relative = path.strip_prefix(src()).unwrap();
    let mut parts = relative.iter();
    let first = parts.next()?.to_str()?.to_owned();
    parts.next().map(|_| first)
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn no_floor_imports_a_higher_one() {
    let mut wrong = Vec::new();
    for path in sources(&src()) {
        let Some(floor) = floor_of(&path) else {
            continue;
        };
        if floor == "testing" || path.iter().any(|part| part == "tests") {
            continue;
        }
        let (_, allowed) = MAY_IMPORT
            .iter()
            .find(|(name, _)| *name == floor)
            .unwrap_or_else(|| panic!("{floor} is on no floor; add it to the table"));
        for line in lines(&path) {
            for import in line.split("crate::").skip(1) {
                let target: String = import
                    .chars()
                    .take_while(|char| char.is_alphanumeric() || *char == '_')
                    .collect();
                if target != floor
                    && !["testing", "error_chain"].contains(&target.as_str())
                    && !allowed.contains(&target.as_str())
                {
                    wrong.push(format!("{}: {line}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn libraries_stay_on_their_floor() {
    let mut wrong = Vec::new();
    for path in sources(&src()) {
        let floor = floor_of(&path).unwrap_or_default();
        // What only tests see may use what it likes; fuzz targets take their time from a variable.
        let only_tests = |part| part == "tests" || part == "fuzz.rs";
        if floor == "testing" || path.iter().any(only_tests) {
            continue;
        }
        for line in lines(&path) {
            for (word, folders) in ONLY_IN {
                if line.contains(word) && !folders.contains(&floor.as_str()) {
                    wrong.push(format!("{}: {line}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
