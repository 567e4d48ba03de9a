//! Archives that mean harm: none reaches anything outside of the layer, each ends in a clear error
//! or in what docker makes of it.

mod cases;

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use super::*;
use cases::Ends::{As, With};
use cases::cases;

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[test]
fn none_escapes_and_each_ends_clearly() {
    let cases = cases();
    assert!(cases.len() >= 25);
    for (case, archive, ends) in cases {
        let ground = Ground::new();
        let unpacked = ground.unpack(&archive);
        match (unpacked, ends) {
            (Ok(_), As(paths)) => {
                for path in paths {
                    let found = ground.layer().join(path).symlink_metadata();
                    assert!(
                        found.is_ok(),
                        "{case}: {path} is missing: {:?}",
                        ground.tree()
                    );
                }
            }
            (Err(error), With(text)) => {
                let said = chain(&error);
                assert!(said.contains(text), "{case}: {said}");
            }
            (Ok(_), With(_)) => panic!("{case}: unpacked to {:?}", ground.tree()),
            (Err(error), As(_)) => panic!("{case}: {}", chain(&error)),
        }
    }
}

#[test]
fn what_replaces_is_what_is_there() {
    let ground = Ground::new();
    let tar = Tar::default()
        .file("twice", "1")
        .file("twice", "22")
        .node(b'4', "node", (8, 0))
        .file("node", "x")
        .symlink("link", "../outside")
        .file("link", "new")
        .file("kept", "x")
        .file(".wh.kept", "");
    ground.unpack(&tar.end()).unwrap();
    let read = |name: &str| std::fs::read_to_string(ground.layer().join(name)).unwrap();
    assert_eq!((read("twice"), read("node")), ("22".into(), "x".into()));
    assert_eq!((read("link"), read("kept")), ("new".into(), "x".into()));
}

#[test]
fn device_nodes_are_made_and_never_opened() {
    let ground = Ground::new();
    // Opening this fifo for writing would wait for ever.
    let tar = Tar::default()
        .entry(b'6', "fifo", b"")
        .node(b'3', "null", (1, 3))
        .file("copy", "x")
        .hard_link("second", "fifo");
    ground.unpack(&tar.end()).unwrap();
    let null = ground.layer().join("null").symlink_metadata().unwrap();
    assert!(null.file_type().is_char_device());
    assert_eq!(null.rdev(), libc::makedev(1, 3));
}
