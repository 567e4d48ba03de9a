//! The same image through podman, as a second opinion: what containers see is compared.

use std::path::Path;
use std::process::Command;

use tar::EntryType as Is;

use super::*;
use crate::image::unpack::tests::describe;

/// The lowest layer: everything that a file can be.
const LOWEST: &str = r#"
set -e
mkdir -p etc/deep usr/bin usr/share/doc/a usr/share/doc/b hidden/x opaque/x file-to-be
echo hello > etc/file; ln etc/file usr/bin/hard; ln -s ../etc/file usr/bin/link
echo x > usr/share/doc/a/copyright; echo y > usr/share/doc/b/copyright
echo z > hidden/x/f; echo z > opaque/x/f; echo z > opaque/y; echo f > dir-to-be; echo g > file-to-be/g
head -c 200000 /dev/urandom > usr/bin/big; chmod 4755 usr/bin/big; chown 1000:100 usr/bin/big
chmod 4755 usr/bin/big; setfattr -n user.note -v value etc/file
setfattr -n security.capability -v 0sAQAAAgAgAAAAAAAAAAAAAAAAAAA= usr/bin/big
truncate -s 30M etc/sparse; printf data | dd of=etc/sparse bs=1 seek=20000000 conv=notrunc status=none
mknod etc/null c 1 3; mkfifo etc/fifo; : > owned; chown 2147483648:2147483648 owned; chmod 1777 etc/deep
long=$(printf 'n%.0s' $(seq 150)); mkdir -p "$long/$long"; echo x > "$long/$long/$long"
touch -d '2001-02-03 04:05:06.7' etc usr/bin etc/deep
"#;

fn run(program: &str, arguments: &[&str], dir: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Unmounts what is below a directory, also when the test fails.
struct Mounts(std::path::PathBuf);

impl Drop for Mounts {
    fn drop(&mut self) {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for path in below.filter(|path| Path::new(path).starts_with(&self.0)) {
            drop(Command::new("umount").args(["-l", path]).output());
        }
    }
}

fn layers(dir: &Path) -> Vec<Vec<u8>> {
    let source = dir.join("source");
    std::fs::create_dir(&source).unwrap();
    run("bash", &["-c", LOWEST], &source);
    let tar = dir.join("layer.tar");
    let arguments = [
        "--xattrs",
        "--xattrs-include=*",
        "--sparse",
        "--format=pax",
        "--numeric-owner",
    ];
    let mut arguments: Vec<&str> = arguments.to_vec();
    arguments.extend(["-cf", tar.to_str().unwrap(), "."]);
    run("tar", &arguments, &source);

    let mut second = tar::Builder::new(Vec::new());
    let mut add = |kind, name: &str, content: &[u8], link: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_500_000_000);
        header.set_size(content.len() as u64);
        if !link.is_empty() {
            header.set_link_name(link).unwrap();
        }
        second.append_data(&mut header, name, content).unwrap();
    };
    add(Is::Regular, ".wh.hidden", b"", "");
    add(Is::Directory, "opaque", b"", "");
    add(Is::Regular, "opaque/.wh..wh..opq", b"", "");
    add(Is::Regular, "opaque/new", b"new", "");
    // Directories that an archive only implies get the time of unpacking.
    for parent in ["usr", "usr/share", "usr/share/doc", "etc", "etc/deep"] {
        add(Is::Directory, parent, b"", "");
    }
    add(Is::Regular, "usr/share/doc/.wh.a", b"", "");
    add(Is::Directory, "dir-to-be", b"", "");
    add(Is::Regular, "dir-to-be/f", b"f", "");
    add(Is::Regular, "file-to-be", b"file", "");
    add(Is::Regular, "etc/deep/first", b"linked", "");
    add(Is::Link, "opaque/second", b"", "etc/deep/first");
    add(Is::Symlink, "through", b"", "/usr/share");
    let second = second.into_inner().unwrap();
    vec![
        std::fs::read(tar).unwrap(),
        second,
        layer_tar("third", b"3"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_see_what_podman_would_show_them() {
    let dir = tempfile::tempdir().unwrap();
    let _mounts = Mounts(dir.path().to_owned());
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    Built::of(&layers(dir.path())).push_to(&registry, "peer", "1");
    let id = ground.pull(&registry, "peer:1").await.unwrap().id;

    let ours = dir.path().join("ours");
    std::fs::create_dir(&ours).unwrap();
    let lower = ground.store.rootfs_layers(&id).unwrap();
    let lower: Vec<_> = lower.iter().map(|path| path.to_str().unwrap()).collect();
    let options = format!("ro,lowerdir={}", lower.join(":"));
    run(
        "mount",
        &[
            "-t",
            "overlay",
            "overlay",
            "-o",
            &options,
            ours.to_str().unwrap(),
        ],
        dir.path(),
    );
    let seen = describe(&ours);

    let (root, run_root) = (dir.path().join("podman"), dir.path().join("podman-run"));
    let name = format!("{}/peer:1", registry.host);
    let podman = |arguments: &[&str]| {
        let mut all = vec![
            "--root",
            root.to_str().unwrap(),
            "--runroot",
            run_root.to_str().unwrap(),
        ];
        all.extend(["--storage-driver", "overlay"]);
        all.extend(arguments);
        run("podman", &all, dir.path())
    };
    podman(&["pull", "--tls-verify=false", &name]);
    let theirs = describe(Path::new(&podman(&["image", "mount", &name])));
    assert!(seen.len() > 25);
    for (path, line) in &theirs {
        assert_eq!(seen.get(path), Some(line), "{}", path.display());
    }
    assert_eq!(seen.len(), theirs.len());
}
