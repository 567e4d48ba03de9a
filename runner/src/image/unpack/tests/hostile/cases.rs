//! The archives, each with what is to become of it.

#![expect(clippy::too_many_lines, reason = "tables")]

use super::super::*;

pub(super) enum Ends {
    /// The error, printed with its sources, has this text.
    With(&'static str),
    /// It unpacks; these paths exist below the layer (links not followed).
    As(&'static [&'static str]),
}
use Ends::{As, With};

pub(super) fn cases() -> Vec<(&'static str, Vec<u8>, Ends)> {
    let tar = Tar::default;
    let mut cases = names(tar);
    cases.extend(links(tar));
    cases.extend(replacements(tar));
    cases.extend(broken(tar));
    cases
}

fn names(tar: fn() -> Tar) -> Vec<(&'static str, Vec<u8>, Ends)> {
    vec![
        (
            "dot dot",
            tar().file("../outside", "x").end(),
            With("points outside"),
        ),
        (
            "dot dot in the middle",
            tar().file("a/../../outside", "x").end(),
            With("points outside"),
        ),
        (
            "dot dot that stays inside",
            tar().file("a/../b", "x").end(),
            As(&["b"]),
        ),
        (
            "absolute",
            tar().file("/outside", "x").end(),
            As(&["outside"]),
        ),
        (
            "absolute dot dot",
            tar().file("/../outside", "x").end(),
            With("points outside"),
        ),
        (
            "many slashes",
            tar().file("///a///b", "x").end(),
            As(&["a/b"]),
        ),
        ("empty name", tar().file("", "x").end(), With("empty")),
        ("only dots", tar().file("./.", "x").end(), As(&[])),
        (
            "dot dot in an extended header",
            tar().pax(&[("path", b"../outside")]).file("a", "x").end(),
            With("points outside"),
        ),
        (
            "dot dot in a long name",
            tar()
                .entry(b'L', "././@LongLink", b"../outside\0")
                .file("a", "x")
                .end(),
            With("points outside"),
        ),
        (
            "NUL in a name",
            tar().pax(&[("path", b"a\0b")]).file("a", "x").end(),
            With("NUL"),
        ),
        (
            "a whiteout outside",
            tar().file("../.wh.outside", "").end(),
            With("points outside"),
        ),
        (
            "a whiteout of dot dot",
            tar().file("a/.wh...", "").end(),
            With("hides nothing"),
        ),
        (
            "an opaque mark outside",
            tar().file("../.wh..wh..opq", "").end(),
            With("points outside"),
        ),
        (
            "a name too long for any file",
            tar().pax(&[("path", &[b'x'; 300])]).file("a", "x").end(),
            With("longer than 255"),
        ),
        (
            "a path too long for any call",
            tar()
                .pax(&[("path", "d/".repeat(3000).as_bytes())])
                .file("a", "x")
                .end(),
            With("longer than 4095"),
        ),
    ]
}

fn links(tar: fn() -> Tar) -> Vec<(&'static str, Vec<u8>, Ends)> {
    vec![
        (
            "through a relative link",
            tar().symlink("l", "..").file("l/outside", "x").end(),
            As(&["l", "outside"]),
        ),
        (
            "through an absolute link",
            tar()
                .dir("etc")
                .symlink("l", "/etc")
                .file("l/passwd", "x")
                .end(),
            As(&["l", "etc/passwd"]),
        ),
        (
            "through a chain of links",
            tar()
                .symlink("a", "b/../..")
                .symlink("b", "c")
                .symlink("c", "../../..")
                .file("a/outside", "x")
                .end(),
            As(&["outside"]),
        ),
        (
            "through a link in the middle",
            tar()
                .dir("d")
                .symlink("d/l", "../../..")
                .file("d/l/x/y", "x")
                .end(),
            As(&["x/y"]),
        ),
        (
            "through a link that leads nowhere",
            tar().symlink("l", "/nowhere").file("l/x", "x").end(),
            With("File exists"),
        ),
        (
            "through a link loop",
            tar()
                .symlink("a", "b")
                .symlink("b", "a")
                .file("a/x", "x")
                .end(),
            With("symbolic links"),
        ),
        (
            "over a link",
            tar().symlink("l", "../outside").file("l", "x").end(),
            As(&["l"]),
        ),
        (
            "through a magic link",
            tar()
                .symlink("l", "/proc/self/root")
                .file("l/outside", "x")
                .end(),
            With("File exists"),
        ),
        (
            "a directory over a link",
            tar().symlink("l", "..").dir("l").file("l/x", "x").end(),
            As(&["l/x"]),
        ),
        (
            "hard link outside",
            tar().hard_link("h", "../outside").end(),
            With("points outside"),
        ),
        (
            "hard link to an absolute path",
            tar().hard_link("h", "/etc/passwd").end(),
            With("No such file"),
        ),
        (
            "hard link through a link",
            tar().symlink("l", "..").hard_link("h", "l/outside").end(),
            With("entity not found"),
        ),
        (
            "hard link to a link, then through it",
            tar()
                .symlink("l", "../outside")
                .hard_link("h", "l")
                .file("h", "x")
                .end(),
            As(&["l", "h"]),
        ),
        (
            "hard link to a directory",
            tar().dir("d").hard_link("h", "d").end(),
            With("not permitted"),
        ),
        (
            "hard link to the root",
            tar().hard_link("h", "/").end(),
            With("no file"),
        ),
        (
            "hard link to nothing",
            tar().hard_link("h", "x").end(),
            With("entity not found"),
        ),
        (
            "whiteout through a link",
            tar().symlink("l", "..").file("l/.wh.outside", "").end(),
            As(&["outside"]),
        ),
        (
            "opaque mark through a link",
            tar().symlink("l", "..").file("l/.wh..wh..opq", "").end(),
            As(&["l"]),
        ),
        (
            "replacing through a link",
            tar()
                .symlink("l", "..")
                .dir("l/outside")
                .file("l/outside", "x")
                .end(),
            As(&["outside"]),
        ),
    ]
}

fn replacements(tar: fn() -> Tar) -> Vec<(&'static str, Vec<u8>, Ends)> {
    vec![
        (
            "duplicate files",
            tar().file("a", "1").file("a", "22").end(),
            As(&["a"]),
        ),
        (
            "names that collide after cleaning",
            tar()
                .file("d/a", "1")
                .file("./d//a", "22")
                .file("/d/./a", "333")
                .end(),
            As(&["d/a"]),
        ),
        (
            "a file replaces a directory",
            tar().dir("d").file("d/e/f", "x").file("d", "x").end(),
            As(&["d"]),
        ),
        (
            "a directory replaces a file",
            tar().file("d", "x").dir("d").file("d/f", "x").end(),
            As(&["d/f"]),
        ),
        (
            "a directory becomes a link while open",
            tar()
                .file("d/f", "x")
                .symlink("d", "..")
                .file("d/g", "x")
                .end(),
            As(&["d", "g"]),
        ),
        (
            "below a file",
            tar().file("a", "x").file("a/b", "x").end(),
            With("Not a directory"),
        ),
        (
            "below a device",
            tar().node(b'3', "n", (1, 3)).file("n/b", "x").end(),
            With("Not a directory"),
        ),
        (
            "over a device",
            tar().node(b'4', "n", (8, 0)).file("n", "x").end(),
            As(&["n"]),
        ),
        (
            "over a fifo",
            tar().entry(b'6', "p", b"").file("p", "x").end(),
            As(&["p"]),
        ),
        (
            "a hard link on itself",
            tar().file("a", "x").hard_link("./a", "a").end(),
            As(&["a"]),
        ),
        (
            "a hidden file that is there",
            tar().file("a", "x").file(".wh.a", "").end(),
            As(&["a"]),
        ),
    ]
}

fn broken(tar: fn() -> Tar) -> Vec<(&'static str, Vec<u8>, Ends)> {
    let mut huge = Tar::header(b"a", b'0');
    huge.set_size(1 << 62);
    let mut huge_special = Tar::header(b"a", b'x');
    huge_special.set_size(1 << 40);
    let mut huge_name = Tar::header(b"././@LongLink", b'L');
    huge_name.set_size(3 << 30);
    let mut huge_link = Tar::header(b"././@LongLink", b'K');
    huge_link.set_size(3 << 30);
    // The binary form of a number that is too large for octal digits; this one is -1.
    let mut negative = Tar::header(b"a", b'0');
    negative.as_old_mut().size = [0xff; 12];
    let mut owner = Tar::header(b"a", b'0');
    owner.set_uid(1 << 32);
    let mut nobody = Tar::header(b"a", b'0');
    nobody.set_uid(u64::from(u32::MAX));
    let mut wrong_sum = tar().file("a", "x").end();
    wrong_sum[0] ^= 1;
    let whole = tar().file("a", &"x".repeat(1000)).end();
    let sparse = [
        ("GNU.sparse.major", &b"1"[..]),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.realsize", b"10"),
    ];
    vec![
        (
            "a huge size",
            tar().push(huge, b"x").end(),
            With("limit of"),
        ),
        (
            "a huge extended header",
            tar().push(huge_special, b"").end(),
            With("extended header of"),
        ),
        (
            "a name of gigabytes",
            tar().push(huge_name, b"").end(),
            With("extended header of"),
        ),
        (
            "a link's target of gigabytes",
            tar().push(huge_link, b"").end(),
            With("extended header of"),
        ),
        (
            "a negative size",
            tar().push(negative, b"x").end(),
            With("damaged"),
        ),
        (
            "a negative size in an extended header",
            tar().pax(&[("size", b"-1")]).file("a", "x").end(),
            With("damaged"),
        ),
        (
            "an extended header that says it is longer than it is",
            tar()
                .entry(b'x', "x", b"99999999999 path=x\n")
                .file("a", "x")
                .end(),
            With("damaged"),
        ),
        (
            "an owner beyond 32 bits",
            tar().push(owner, b"").end(),
            With("no user or group id"),
        ),
        (
            "the owner that means none",
            tar().push(nobody, b"").end(),
            With("no user or group id"),
        ),
        ("a wrong checksum", wrong_sum, With("checksum")),
        (
            "cut in a file",
            whole[..700].to_vec(),
            With("ends in the middle"),
        ),
        (
            "cut in a header",
            whole[..100].to_vec(),
            With("ends in the middle"),
        ),
        ("without an end mark", whole[..1536].to_vec(), As(&["a"])),
        ("nothing at all", Vec::new(), As(&[])),
        ("no archive", vec![b'x'; 2048], With("checksum")),
        (
            "an unknown type",
            tar().entry(b'Z', "a", b"").end(),
            With("of type 'Z'"),
        ),
        (
            "a link without a target",
            tar().symlink("l", "").end(),
            With("No such file"),
        ),
        (
            "a sparse file with runs that overlap",
            tar()
                .pax(&sparse)
                .entry(b'0', "a", &map(b"2\n0\n5\n3\n5\n", 10))
                .end(),
            With("overlap"),
        ),
        (
            "a sparse file with data behind its end",
            tar()
                .pax(&sparse)
                .entry(b'0', "a", &map(b"1\n8\n5\n", 5))
                .end(),
            With("behind the end"),
        ),
        (
            "a sparse file of all the disk",
            tar()
                .pax(&[
                    ("GNU.sparse.realsize", b"9000000000000000000"),
                    ("GNU.sparse.map", b"0,1"),
                ])
                .file("a", "x")
                .end(),
            With("limit of"),
        ),
        (
            "notes that only overlayfs writes",
            tar()
                .pax(&[("SCHILY.xattr.trusted.overlay.redirect", b"/etc")])
                .dir("d")
                .end(),
            As(&["d"]),
        ),
    ]
}

fn map(lines: &[u8], n_data: usize) -> Vec<u8> {
    let mut content = lines.to_vec();
    content.resize(512, 0);
    content.resize(512 + n_data, b'x');
    content
}
