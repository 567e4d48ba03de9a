//! Holds the order of the modules: a lower one never imports a higher one, and the words do not
//! know the client.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every module of `src`, and what it may import from the crate beside itself.
const MAY_IMPORT: [(&str, &[&str]); 11] = [
    ("digest", &[]),
    ("compression", &[]),
    ("heard_out", &[]),
    ("ignore_file", &[]),
    ("media_type", &["compression"]),
    ("reference", &["digest"]),
    ("login_file", &["reference"]),
    ("pattern", &["reference"]),
    ("platform", &[]),
    ("manifest", &["digest", "media_type", "platform"]),
    (
        "client",
        &["digest", "media_type", "reference", "platform", "manifest"],
    ),
];

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The module of `src` that a file belongs to: its folder, or the file itself.
fn module_of(source: &Path, path: &Path) -> String {
    let first = path.strip_prefix(source).unwrap().iter().next().unwrap();
    first.to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// What a text imports from its crate, as `crate::X…` or inside `use crate::{X, …}`.
fn imports(text: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        let of_a_name = |c: &char| c.is_alphanumeric() || *c == '_';
        text.trim_start().chars().take_while(of_a_name).collect()
    };
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: Vec<&str> = code.collect();
    let mut found = BTreeSet::new();
    for after in code.join("\n").split("crate::").skip(1) {
        match after
            .strip_prefix('{')
            .and_then(|list| list.split_once(';'))
        {
            Some((list, _)) => found.extend(list.split(',').map(word)),
            None => drop(found.insert(word(after))),
        }
    }
    found.remove("");
    found
}

#[test]
fn no_module_imports_a_higher_one() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for path in sources(&source) {
        let module = module_of(&source, &path);
        if module == "lib" {
            continue;
        }
        let row = MAY_IMPORT.iter().find(|(name, _)| *name == module);
        let (_, allowed) =
            row.unwrap_or_else(|| panic!("{module} is on no floor; add it to the table"));
        for import in imports(&fs::read_to_string(&path).unwrap()) {
            if import != module && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{} imports {import}", path.display()));
            }
        }
        seen.insert(module);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        seen.len(),
        MAY_IMPORT.len(),
        "the table has a module that is gone"
    );
}

#[test]
fn the_scanner_sees_imports() {
    let text = "use crate::digest::Digest;\n// crate::client\nuse crate::{\n    manifest::M,\n    platform,\n};\nfn f() -> crate::media_type::T {}";
    let found: Vec<String> = imports(text).into_iter().collect();
    assert_eq!(found, ["digest", "manifest", "media_type", "platform"]);
}
