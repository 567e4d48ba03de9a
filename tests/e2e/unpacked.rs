//! A layer unpacked by us is what others unpack: names, kinds, owners, modes, times, links,
//! attributes and holes, of an image that has everything a layer can have.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use hythe_tests::{Agent, CommandExt as _, Host, Server, buildah_layers, sha256_digest};

use crate::push;

/// Where an engine mounts its own: nothing of the image.
const MOUNTED: [&str; 4] = ["dev", "etc", "proc", "sys"];

/// One line for each object below `root`, by path.
fn describe(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut names_of: BTreeMap<u64, BTreeSet<PathBuf>> = BTreeMap::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(directory) = pending.pop() {
        let entries = std::fs::read_dir(root.join(&directory)).expect("a directory");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        for name in names {
            let relative = directory.join(&name);
            if MOUNTED.iter().any(|skipped| relative == Path::new(skipped)) {
                continue;
            }
            let path = root.join(&relative);
            let line = describe_one(&path);
            let stat = path.symlink_metadata().expect("it is there");
            if stat.is_dir() {
                pending.push(relative.clone());
            }
            if !stat.is_dir() {
                names_of
                    .entry(stat.ino())
                    .or_default()
                    .insert(relative.clone());
            }
            found.insert(relative, (line, stat.ino()));
        }
    }
    // Which names are one file; the count of links would tell of names that lower layers have.
    let with_links = |(path, (line, inode))| {
        let same = names_of.get(&inode).filter(|names| names.len() > 1);
        let same = same.map_or_else(String::new, |names| format!(" = {names:?}"));
        (path, format!("{line}{same}"))
    };
    found.into_iter().map(with_links).collect()
}

fn describe_one(path: &Path) -> String {
    let stat = path.symlink_metadata().expect("it is there");
    let kind = stat.file_type();
    let content = if kind.is_file() {
        let bytes = std::fs::read(path).expect("a file");
        let has_holes = stat.blocks() * 512 < stat.len();
        format!("{} holes {has_holes} {}", stat.len(), sha256_digest(&bytes))
    } else if kind.is_symlink() {
        format!("-> {}", path.read_link().expect("a link").display())
    } else if kind.is_char_device() || kind.is_block_device() {
        format!("device {:x}", stat.rdev())
    } else {
        String::new()
    };
    let mut attributes: Vec<_> = xattr::list(path)
        .expect("attributes")
        // Overlayfs' own, which the directories of a peer's mount may show.
        .filter(|key| !key.as_bytes().starts_with(b"trusted.overlay."))
        .map(|key| {
            let value = xattr::get(path, &key)
                .expect("its value")
                .unwrap_or_default();
            format!("{}={}", key.display(), hex::encode(value))
        })
        .collect();
    attributes.sort();
    format!(
        "{:o} {}:{} {}.{:09} {content} {attributes:?}",
        stat.mode(),
        stat.uid(),
        stat.gid(),
        stat.mtime(),
        stat.mtime_nsec(),
    )
}

/// What differs, one line each.
fn differences(
    ours: &BTreeMap<PathBuf, String>,
    theirs: &BTreeMap<PathBuf, String>,
) -> Vec<String> {
    let all: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    all.into_iter()
        .filter(|path| ours.get(*path) != theirs.get(*path))
        .map(|path| {
            let line = |tree: &BTreeMap<_, String>| tree.get(path).cloned();
            format!(
                "{}: ours {:?}, theirs {:?}",
                path.display(),
                line(ours),
                line(theirs)
            )
        })
        .collect()
}

#[test]
fn the_tree_is_what_podman_and_umoci_unpack() {
    let host = Host::new();
    let server = Server::start(&host);
    let layout = buildah_layers();
    assert_eq!(layout.layer_digests().len(), 127);
    let image = push(&host, &server, &layout, "everything:1");
    let agent = Agent::start(&host);
    let words = ["run", "-d", "--network", "none", "--name", "tree", &image];
    let words = [&words[..], &["sleep", "1000"]].concat();
    agent.docker(&words).finish().ok();
    let root = format!("/proc/{}/root", agent.init_pid("tree"));
    let ours = describe(Path::new(&root));
    assert!(ours.len() > 60, "{ours:#?}");
    let has = |path: &str| ours.contains_key(Path::new(path));
    assert!(has("gone/file") && has("opaque") && !has("opaque/1") && !has("gone/fifo"));

    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    let podman = |words: &[&str]| {
        host.command("podman")
            .args(["--root", &at("root"), "--runroot", &at("run")])
            .args(["--storage-driver", "overlay"])
            .args(words)
            .finish()
    };
    let id = podman(&["pull", "-q", &layout.transport()]).ok().text();
    let mounted = podman(&["image", "mount", &id]).ok().text();
    let theirs = describe(Path::new(&mounted));
    podman(&["image", "umount", &id]).ok();
    // What podman's storage has mounted for itself.
    host.command("umount").arg(at("root/overlay")).finish();
    assert_eq!(differences(&ours, &theirs), [""; 0], "podman");

    // umoci knows no zstd.
    let unpacked = format!("oci:{}:all", at("gzip"));
    host.command("skopeo")
        .args(["copy", "--insecure-policy", "--quiet", "--dest-compress"])
        .args(["--dest-compress-format", "gzip"])
        .args([&layout.transport(), &unpacked])
        .finish()
        .ok();
    host.command("umoci")
        .args(["unpack", "--image", &format!("{}:all", at("gzip"))])
        .arg(at("bundle"))
        .finish()
        .ok();
    let theirs = describe(&directory.path().join("bundle/rootfs"));
    assert_eq!(differences(&ours, &theirs), [""; 0], "umoci");
}
