//! Archives that are too much, and trees that are too deep.

use super::*;

#[test]
fn limits_hold() {
    let limits = Limits {
        layer_bytes: 1000,
        layer_entries: 3,
    };
    let ends = |tar: Tar| Ground::new().unpack_with(&tar.end(), limits);
    let tar = Tar::default;
    assert!(ends(tar().file("a", &"x".repeat(600))).is_ok());
    let twice = tar()
        .file("a", &"x".repeat(600))
        .file("b", &"x".repeat(600));
    assert!(matches!(
        ends(twice),
        Err(UnpackError::TooLarge { limit: 1000 })
    ));
    let many = tar().dir("a").dir("b").dir("c").dir("d");
    assert!(matches!(
        ends(many),
        Err(UnpackError::TooManyEntries { limit: 3 })
    ));
}

#[test]
fn a_bomb_stops_at_the_limit_whatever_packs_it() {
    let zeros = vec![0; 64 << 20];
    let tar = Tar::default().entry(b'0', "zeros", &zeros).end();
    let gzip = {
        let mut encoder = compression::gzip_encoder(Vec::new());
        std::io::Write::write_all(&mut encoder, &tar).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = zstd::encode_all(&tar[..], 3).unwrap();
    for packed in [gzip, zstd] {
        assert!(packed.len() < 1 << 20);
        let ends = |layer_bytes| {
            let limits = Limits {
                layer_bytes,
                ..Limits::default()
            };
            let ground = Ground::new();
            unpack_packed(&packed[..], Algorithm::Sha256, &ground.layer(), limits)
        };
        assert!(matches!(
            ends(1 << 20),
            Err(UnpackError::TooLarge { limit: 1_048_576 })
        ));
        // Many chunks of the decoder: none is lost, and each of them is hashed.
        let (unpacked, digest) = ends(1 << 30).unwrap();
        assert_eq!(unpacked.size_bytes, 64 << 20);
        assert_eq!(digest, Digest::of(&tar));
    }
}

#[test]
fn a_tree_of_any_depth_can_be_removed_again() {
    let ground = Ground::new();
    let deep = "d/".repeat(1500);
    let tar = Tar::default()
        .pax(&[("path", deep.as_bytes())])
        .dir("x")
        .pax(&[("linkpath", deep.as_bytes())])
        .symlink("l", "x")
        .pax(&[("path", format!("l/{deep}").as_bytes())])
        .dir("x");
    // Whether the second half fits is the kernel's business; removing is ours.
    drop(ground.unpack(&tar.end()));
    let top = Directory::open(&ground.layer()).unwrap();
    top.remove_tree(c"d").unwrap();
    assert!(!ground.layer().join("d").exists());
}
