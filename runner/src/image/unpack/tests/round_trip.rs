//! Random trees, and random archives.

use proptest::prelude::*;

use super::*;

/// One step of an archive that may be as contradictory as it likes.
#[derive(Debug, Clone)]
enum Step {
    File(String, String),
    Dir(String),
    Symlink(String, String),
    HardLink(String, String),
    Whiteout(String),
    Opaque(String),
    Fifo(String),
}

fn path() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-c]",
        1 => Just("..".to_owned()),
        1 => Just(".".to_owned()),
    ];
    (any::<bool>(), proptest::collection::vec(part, 1..5)).prop_map(|(absolute, parts)| {
        let slash = if absolute { "/" } else { "" };
        format!("{slash}{}", parts.join("/"))
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (path(), "[xyz]{0,9}").prop_map(|(p, c)| Step::File(p, c)),
        path().prop_map(Step::Dir),
        (path(), path()).prop_map(|(p, t)| Step::Symlink(p, t)),
        (path(), path()).prop_map(|(p, t)| Step::HardLink(p, t)),
        path().prop_map(Step::Whiteout),
        path().prop_map(Step::Opaque),
        path().prop_map(Step::Fifo),
    ]
}

fn add(tar: Tar, step: &Step) -> Tar {
    let whiteout = |path: &str| match path.rsplit_once('/') {
        Some((dir, name)) => format!("{dir}/.wh.{name}"),
        None => format!(".wh.{path}"),
    };
    match step {
        Step::File(path, content) => tar.file(path, content),
        Step::Dir(path) => tar.dir(path),
        Step::Symlink(path, target) => tar.symlink(path, target),
        Step::HardLink(path, target) => tar.hard_link(path, target),
        Step::Whiteout(path) => tar.file(&whiteout(path), ""),
        Step::Opaque(path) => tar.file(&format!("{path}/.wh..wh..opq"), ""),
        Step::Fifo(path) => tar.entry(b'6', path, b""),
    }
}

/// What a file of a well-formed tree is.
#[derive(Debug, Clone)]
enum Object {
    File {
        content: Vec<u8>,
        mode: u32,
        uid: u32,
    },
    Symlink(String),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever an archive does, also after it went wrong somewhere, nothing outside changes.
    #[test]
    fn nothing_is_ever_made_outside(steps in proptest::collection::vec(step(), 1..12)) {
        let ground = Ground::new();
        for step in &steps {
            drop(ground.unpack(&add(Tar::default(), step).end()));
        }
        let whole = steps.iter().fold(Tar::default(), add).end();
        let ground = Ground::new();
        drop(ground.unpack(&whole));
    }

    /// Trees come out as they went in, whatever pieces the archive arrives in.
    #[test]
    fn trees_come_out_as_they_went_in(
        objects in proptest::collection::btree_map(
            "[a-z]{1,3}(/[a-z]{1,3}){0,3}",
            prop_oneof![
                (proptest::collection::vec(any::<u8>(), 0..2000), 0..0o10000_u32, 0..70_000_u32)
                    .prop_map(|(content, mode, uid)| Object::File { content, mode, uid }),
                "[a-z/.]{1,80}".prop_map(Object::Symlink),
            ],
            1..20,
        ),
        piece in 1_usize..3000,
    ) {
        // A path below a file is no tree.
        let below = |path: &str| objects.keys().any(|other| path.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('/')));
        let objects: Vec<_> = objects.iter().filter(|(path, _)| !below(path)).collect();
        let mut tar = Tar::default();
        for (path, object) in &objects {
            tar = match object {
                Object::File { content, mode, uid } => {
                    let mut header = Tar::header(path.as_bytes(), b'0');
                    header.set_mode(*mode);
                    header.set_uid(u64::from(*uid));
                    header.set_size(content.len() as u64);
                    tar.push(header, content)
                }
                Object::Symlink(target) => tar.symlink(path, target),
            };
        }
        let ground = Ground::new();
        let archive = tar.end();
        let pieces = std::io::BufReader::with_capacity(piece, archive.as_slice());
        unpack(pieces, &ground.layer(), Limits::default()).unwrap();
        ground.assert_nothing_outside();
        for (path, object) in objects {
            let path = ground.layer().join(path);
            let stat = path.symlink_metadata().unwrap();
            match object {
                Object::File { content, mode, uid } => {
                    prop_assert_eq!(&std::fs::read(&path).unwrap(), content);
                    prop_assert_eq!((stat.mode() & 0o7777, stat.uid()), (*mode, *uid));
                }
                Object::Symlink(target) => {
                    prop_assert_eq!(path.read_link().unwrap(), Path::new(target));
                }
            }
            prop_assert_eq!(stat.mtime(), 1_600_000_000);
        }
    }

    #[test]
    fn any_bytes_unpack_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        drop(Ground::new().unpack(&bytes));
    }

    /// A flipped byte anywhere in a good archive.
    #[test]
    fn damage_is_survived(at in 0_usize..10_000, value in any::<u8>()) {
        let mut archive = Tar::default()
            .pax(&[("path", b"a/b"), ("mtime", b"1.5"), ("SCHILY.xattr.user.x", b"y")])
            .file("a", "content")
            .entry(b'L', "././@LongLink", &[b'n'; 150])
            .hard_link("h", "a/b")
            .symlink("s", "a")
            .end();
        let at = at % archive.len();
        archive[at] = value;
        drop(Ground::new().unpack(&archive));
    }
}
