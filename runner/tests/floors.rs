//! Holds the floors of this crate: a folder names only folders below it.
//!
//! `http` [4] may name `engine` (and `sys` for its sockets); `engine` [3] the four on floor 2; those only `sys` and `spec`.
//! Folders on one floor do not name each other, with the exceptions in the table, each of which
//! says why it is none.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the sources has failed"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// A folder and the folders of this crate that its files may name.
const FLOORS: &[(&str, &[&str])] = &[
    // Of `sys` only what the kernel knows of a client's socket.
    ("http", &["engine", "config", "spec", "sys"]),
    (
        "engine",
        &[
            "image",
            "launch",
            "network",
            "store",
            "dockerfile",
            "sys",
            "spec",
        ],
    ),
    // Keeps its own records.
    ("image", &["store", "sys", "spec"]),
    ("launch", &["sys", "spec"]),
    ("network", &["sys", "spec"]),
    ("store", &["sys", "spec"]),
    // Text to typed instructions; as pure as `spec`.
    ("dockerfile", &["spec"]),
    ("sys", &[]),
    ("spec", &[]),
    // Hands each floor its own part, so it knows their settings' types; outside the floors.
    ("config", &["network", "spec"]),
];

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Every `x` of a `crate::x` outside comments.
fn named_folders(source: &str) -> Vec<String> {
    source
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .flat_map(|line| {
            line.match_indices("crate::")
                .map(move |(at, found)| &line[at + found.len()..])
        })
        .map(|rest| {
            rest.chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                .collect()
        })
        .collect()
}

#[test]
fn folders_name_only_lower_floors() {
    let source_root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for entry in fs::read_dir(&source_root).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let folder = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some((_, below)) = FLOORS.iter().find(|(name, _)| *name == folder) else {
            wrong.push(format!("{folder}/ stands on no floor: add it to the table"));
            continue;
        };
        for file in rust_files(&path) {
            for named in named_folders(&fs::read_to_string(&file).unwrap()) {
                let known = FLOORS.iter().any(|(name, _)| *name == named);
                if known && named != folder && !below.contains(&named.as_str()) {
                    wrong.push(format!("{} names crate::{named}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_is_allowed_only_in_sys() {
    let source_root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let sys = source_root.join("sys");
    for file in rust_files(&source_root) {
        let source = fs::read_to_string(&file).unwrap();
        let lifts_the_ban = source.lines().any(|line| {
            let line = line.trim_start();
            line.starts_with('#') && line.contains("(unsafe_code")
        });
        assert!(
            !lifts_the_ban || file.starts_with(&sys) || file.ends_with("lib.rs"),
            "{} allows unsafe code outside sys",
            file.display()
        );
    }
}
