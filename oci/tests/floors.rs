//! This crate is the ground that the others stand on: it imports none of them, and its words do
//! not know its client.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::fs;
use std::path::{Path, PathBuf};

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[test]
fn words_do_not_import_the_client() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut read = 0;
    for path in sources(&source) {
        let text = fs::read_to_string(&path).unwrap();
        for other in ["hythe_server", "hythe_runner"] {
            assert!(!text.contains(other), "{} imports {other}", path.display());
        }
        if !path.starts_with(source.join("client")) {
            assert!(
                !text.contains("crate::client"),
                "{} imports the client",
                path.display()
            );
            read += 1;
        }
    }
    assert!(read >= 5, "the scanner found the sources");
}
