//! What honest layers hold, feature by feature.

use std::os::unix::fs::MetadataExt as _;

use super::*;

#[test]
fn whiteouts_become_overlay_marks() {
    let ground = Ground::new();
    let tar = Tar::default()
        .dir("d/")
        .file("d/.wh.gone", "")
        .file("d/sub/.wh..wh..opq", "")
        .file(".wh..wh..plnk/1.2", "bookkeeping")
        .file(".wh.again", "")
        .dir("again/")
        .file("again/new", "x");
    ground.unpack(&tar.end()).unwrap();
    let at = |name: &str| ground.layer().join(name);
    let gone = at("d/gone").symlink_metadata().unwrap();
    assert_eq!(
        (gone.mode() & libc::S_IFMT, gone.rdev()),
        (libc::S_IFCHR, 0)
    );
    let opaque = |name: &str| xattr::get(at(name), "trusted.overlay.opaque").unwrap();
    assert_eq!(opaque("d/sub").as_deref(), Some(&b"y"[..]));
    assert_eq!(opaque("again").as_deref(), Some(&b"y"[..]));
    assert_eq!(opaque("d"), None);
    assert!(!at(".wh..wh..plnk").exists() && !at("d/.wh.gone").exists());
}

#[test]
fn metadata_survives_the_order_of_calls() {
    let ground = Ground::new();
    // VFS_CAP_REVISION_2, effective, CAP_NET_RAW.
    let capability = [
        1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let mut setuid = Tar::header(b"bin/su", b'0');
    setuid.set_mode(0o6755);
    setuid.set_uid(1 << 31);
    setuid.set_gid(42);
    setuid.set_size(2);
    let mut setgid_dir = Tar::header(b"shared/", b'5');
    setgid_dir.set_mode(0o3775);
    setgid_dir.set_gid(50);
    let tar = Tar::default()
        .pax(&[
            ("mtime", b"1500000000.123456789"),
            ("SCHILY.xattr.security.capability", &capability),
            ("SCHILY.xattr.user.note", b"a\0b=c\n"),
        ])
        .push(setuid, b"su")
        .push(setgid_dir, b"")
        .file("shared/file", "x")
        .dir("shared/below")
        .pax(&[("mtime", b"-1.5")])
        .symlink("link", "nowhere");
    let unpacked = ground.unpack(&tar.end()).unwrap();
    assert_eq!((unpacked.size_bytes, unpacked.n_entries), (3, 5));
    let stat = |name: &str| ground.layer().join(name).symlink_metadata().unwrap();
    let su = stat("bin/su");
    assert_eq!(su.mode() & 0o7777, 0o6755);
    assert_eq!((su.uid(), su.gid()), (1 << 31, 42));
    assert_eq!((su.mtime(), su.mtime_nsec()), (1_500_000_000, 123_456_789));
    let su = ground.layer().join("bin/su");
    let value = |key: &str| xattr::get(&su, key).unwrap();
    assert_eq!(value("security.capability").unwrap(), capability);
    assert_eq!(value("user.note").unwrap(), b"a\0b=c\n");
    assert_eq!(stat("shared").mode() & 0o7777, 0o3775);
    assert_eq!(stat("shared").mtime(), 1_600_000_000);
    assert_eq!((stat("shared/file").gid(), stat("link").mtime()), (0, -2));
    // A directory hands its group down, and its setgid bit; the archive says otherwise.
    let below = stat("shared/below");
    assert_eq!((below.gid(), below.mode() & 0o7777), (0, 0o755));
    assert_eq!(stat("bin").mode() & 0o7777, 0o755);
}

#[test]
fn sparse_files_keep_their_holes() {
    let ground = Ground::new();
    let keys = [
        ("GNU.sparse.major", &b"1"[..]),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"real-name"),
        ("GNU.sparse.realsize", b"104857600"),
    ];
    let mut content = b"1\n52428800\n5\n".to_vec();
    content.resize(512, 0);
    content.extend_from_slice(b"hello");
    let mut tar = Tar::default()
        .pax(&keys)
        .entry(b'0', "GNUSparseFile/x", &content);
    // The same in GNU's own format, with a map that goes on in one more block.
    let mut header = Tar::header(b"gnu", b'S');
    header.set_size(5);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.set_real_size(104_857_600);
    gnu.set_is_extended(true);
    for (i, run) in gnu.sparse.iter_mut().enumerate() {
        run.set_offset(i as u64 * 4096);
        run.set_length(1);
    }
    let mut more = tar::GnuExtSparseHeader::new();
    more.sparse[0].set_offset(1 << 20);
    more.sparse[0].set_length(1);
    header.set_cksum();
    tar.0.extend_from_slice(header.as_bytes());
    tar.0.extend_from_slice(more.as_bytes());
    tar.0.extend_from_slice(b"abcde");
    tar.0.resize(tar.0.len().next_multiple_of(512), 0);
    ground.unpack(&tar.file("after", "x").end()).unwrap();
    for (name, offset, expected) in [
        ("real-name", 52_428_800, &b"hello"[..]),
        ("gnu", 1 << 20, b"e"),
    ] {
        let path = ground.layer().join(name);
        let stat = path.metadata().unwrap();
        assert_eq!(stat.len(), 104_857_600, "{name}");
        assert!(
            stat.blocks() * 512 < 1 << 20,
            "{name} takes {} blocks",
            stat.blocks()
        );
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(&bytes[offset..offset + expected.len()], expected, "{name}");
    }
}

#[test]
fn long_names_in_every_notation() {
    let ground = Ground::new();
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let with_nul = format!("{long}-gnu\0");
    let mut prefixed = tar::Header::new_ustar();
    prefixed
        .set_path(format!("{}/{}", "p".repeat(90), "q".repeat(90)))
        .unwrap();
    prefixed.set_size(0);
    prefixed.set_mode(0o644);
    prefixed.set_uid(0);
    prefixed.set_gid(0);
    prefixed.set_mtime(0);
    prefixed.set_entry_type(tar::EntryType::Regular);
    let tar = Tar::default()
        .entry(b'L', "././@LongLink", with_nul.as_bytes())
        .file("cut", "x")
        .pax(&[("path", format!("{long}-pax").as_bytes())])
        .file("cut", "x")
        .entry(b'K', "././@LongLink", with_nul.as_bytes())
        .symlink("link", "cut")
        .pax(&[("linkpath", format!("{long}-pax").as_bytes())])
        .hard_link("hard", "cut")
        .push(prefixed, b"");
    ground.unpack(&tar.end()).unwrap();
    let at = |name: &str| ground.layer().join(name);
    assert!(at(&format!("{long}-gnu")).exists());
    assert_eq!(at(&format!("{long}-pax")).metadata().unwrap().nlink(), 2);
    assert_eq!(
        at("link").read_link().unwrap(),
        Path::new(&format!("{long}-gnu"))
    );
    assert!(at(&format!("{}/{}", "p".repeat(90), "q".repeat(90))).exists());
}

#[test]
fn odd_archives_that_others_write() {
    let ground = Ground::new();
    let mut old = Tar::header(b"olddir/", 0);
    old.as_old_mut().linkflag = [0];
    let tar = Tar::default()
        .entry(b'g', "pax_global_header", b"18 comment=abcdef\n")
        .dir("./")
        .push(old, b"")
        .entry(b'7', "contiguous", b"x")
        .file("implied/parents/file", "x");
    ground.unpack(&tar.end()).unwrap();
    assert!(ground.layer().join("olddir").is_dir());
    assert!(ground.layer().join("contiguous").is_file());
    assert_eq!(ground.layer().metadata().unwrap().mode() & 0o7777, 0o755);
    let implied = ground.layer().join("implied/parents").metadata().unwrap();
    assert_eq!(implied.mode() & 0o7777, 0o755);
}

#[test]
fn what_follows_the_end_is_read_too() {
    let mut archive = Tar::default().file("a", "x").end();
    archive.extend_from_slice(&[0; 9000]);
    let mut input = archive.as_slice();
    let ground = Ground::new();
    unpack(&mut input, &ground.layer(), Limits::default()).unwrap();
    assert!(input.is_empty());
}
