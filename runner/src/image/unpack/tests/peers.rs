//! The same layer through GNU tar, as a second opinion.

use std::process::Command;

use super::*;

/// A tree with everything that GNU tar and we both know, made by a shell.
const MAKE: &str = r#"
set -e
mkdir -p etc/deep/er usr/bin dev 'with space' shared
echo hello > etc/file; echo hello > etc/deep/er/file
ln etc/file usr/bin/hard; ln etc/deep/er/file 'with space/hard'
ln -s ../etc/file usr/bin/link; ln -s /etc/absolute etc/absolute; ln -s nowhere dangling
head -c 3000000 /dev/urandom > usr/bin/big
truncate -s 50M etc/sparse; printf data | dd of=etc/sparse bs=1 seek=20000000 conv=notrunc status=none
: > empty
mknod dev/null c 1 3; mknod dev/sda b 8 1; mkfifo dev/fifo
chown 1000:100 etc/file; chown 2147483648:4294967294 empty; chown -h 7:8 dangling
chmod 4755 usr/bin/big; chmod 2775 shared; chmod 1777 'with space'; chmod 000 etc/deep/er/file
setfattr -n user.note -v value etc/file
setfattr -n trusted.note -v dir shared
setcap cap_net_raw+ep usr/bin/big 2>/dev/null || true
long=$(printf 'n%.0s' $(seq 150)); mkdir -p "$long/$long"; echo x > "$long/$long/$long"
ln -s "$long/$long/$long" "$long/$long/link-$long"
touch -h -d '2001-02-03 04:05:06.789' dangling
touch -d '1960-01-01 00:00:00' empty
touch -d '2031-02-03 04:05:06.000000001' etc/file
touch -d '2011-01-01 00:00:00.5' etc/deep etc dev "$long"
"#;

fn run(program: &str, arguments: &[&str], dir: &Path) {
    let status = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .status()
        .unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

#[test]
fn gnu_tar_makes_the_same_tree() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    run("bash", &["-c", MAKE], &source);
    for format in [
        &["--format=pax"][..],
        &["--format=gnu"],
        &["--format=pax", "--sparse"],
        &["--format=gnu", "--sparse"],
    ] {
        let archive = dir.path().join("layer.tar");
        let archive = archive.to_str().unwrap();
        let mut arguments = vec!["-cf", archive, "--numeric-owner"];
        // Only the newer format has extended attributes.
        if format[0] == "--format=pax" {
            arguments.extend(["--xattrs", "--xattrs-include=*"]);
        }
        arguments.extend(format);
        arguments.push(".");
        run("tar", &arguments, &source);

        let ground = Ground::new();
        ground.unpack(&std::fs::read(archive).unwrap()).unwrap();
        let theirs = dir.path().join("theirs");
        std::fs::create_dir(&theirs).unwrap();
        let mut arguments = vec!["-xpf", archive, "--numeric-owner"];
        if format[0] == "--format=pax" {
            arguments.extend(["--xattrs", "--xattrs-include=*"]);
        }
        run("tar", &arguments, &theirs);
        let (ours, theirs_tree) = (ground.tree(), describe(&theirs));
        assert!(ours.len() > 20);
        for (path, line) in &theirs_tree {
            assert_eq!(
                ours.get(path),
                Some(line),
                "{} with {format:?}",
                path.display()
            );
        }
        assert_eq!(ours.len(), theirs_tree.len());
        std::fs::remove_dir_all(theirs).unwrap();
    }
}
