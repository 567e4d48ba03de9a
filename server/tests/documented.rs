//! Metrics are an interface: each one is in the README, and nothing there is made up.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the sources has failed"
)]

use std::collections::BTreeSet;
use std::path::Path;

/// Names of metrics between two `quote`s of a text.
fn names(text: &str, quote: char) -> BTreeSet<String> {
    let is_name = |word: &&str| {
        let ending = word.rsplit('_').next().unwrap_or_default();
        word.starts_with("hythe_")
            && word
                .chars()
                .all(|char| char.is_ascii_lowercase() || char == '_')
            && ["total", "seconds", "blobs", "flight"].contains(&ending)
    };
    let words = text.split(quote).filter(is_name);
    words.map(str::to_owned).collect()
}

fn in_folder(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                in_folder(&path)
            } else {
                names(&std::fs::read_to_string(path).unwrap(), '"')
            }
        })
        .collect()
}

#[test]
fn every_metric_is_in_the_readme() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(here.join("../README.md")).unwrap();
    let made = in_folder(&here.join("src"));
    assert!(made.len() > 10, "{made:?}");
    assert_eq!(made, names(&readme, '`'));
}
