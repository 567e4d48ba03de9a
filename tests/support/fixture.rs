//! Images that many tests use, made once and kept under `target/fixtures`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};
use serde_json::json;

use crate::CommandExt as _;
use crate::image::{ImageBuilder, Layer, Layout, TarBuilder};

/// One static program with all its names: the smallest image in which a shell works.
pub fn busybox() -> Layout {
    fixture("busybox", || {
        let program = fs::read("/bin/busybox").expect("busybox-static, which tests/run installs");
        let names = Command::new("/bin/busybox")
            .arg("--list")
            .finish()
            .ok()
            .lines();
        let passwd = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
        let mut tar = TarBuilder::new();
        for directory in ["bin/", "etc/", "root/", "var/", "home/"] {
            tar = tar.directory(directory, 0o755);
        }
        tar = tar
            .directory("tmp/", 0o1777)
            .file("bin/busybox", 0o755, &program)
            .file("etc/passwd", 0o644, passwd)
            .file(
                "etc/group",
                0o644,
                b"root:x:0:\nwheel:x:10:root\nnogroup:x:65534:\n",
            );
        for name in names.iter().filter(|name| *name != "busybox") {
            tar = tar.symlink(&format!("bin/{name}"), "busybox");
        }
        ImageBuilder::new()
            .layer(Layer::new(tar.finish()))
            .config(json!({"Cmd": ["sh"], "Env": ["PATH=/bin:/usr/bin"]}))
    })
}

/// Debian with nginx from its packages, as an operator would make it.
pub fn debian_nginx() -> Layout {
    fixture("debian-nginx", || {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/debian-nginx");
        let tar = directory().join("debian-nginx.tar");
        Command::new(script).arg(&tar).finish().ok();
        let site = TarBuilder::new().directory("var/www/html/", 0o755).file(
            "var/www/html/index.html",
            0o644,
            b"<h1>Welcome to nginx on Hythe</h1>\n",
        );
        ImageBuilder::new()
            .layer(Layer::new(fs::read(tar).expect("the tar the script made")))
            .layer(Layer::new(site.finish()))
            .config(json!({
                "Cmd": ["nginx", "-g", "daemon off;"],
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "ExposedPorts": {"80/tcp": {}},
                "StopSignal": "SIGQUIT",
            }))
    })
}

/// Everything that a layer can have, in 127 layers packed with zstd, made by buildah.
pub fn buildah_layers() -> Layout {
    let path = made_once("buildah-layers", |partial| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/buildah-layers");
        Command::new(script).arg(partial).finish().ok();
    });
    Layout::open(&path)
}

pub(crate) fn directory() -> PathBuf {
    let binary = crate::hythe_binary();
    let target = binary.ancestors().find(|path| path.ends_with("target"));
    let directory = target
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join("fixtures");
    fs::create_dir_all(&directory).expect("a directory for fixtures");
    directory
}

fn fixture(name: &str, make: impl FnOnce() -> ImageBuilder) -> Layout {
    let path = made_once(name, |partial| {
        make().write(partial);
    });
    Layout::open(&path)
}

/// A directory that `make` fills when it is not there yet.
///
/// Tests run as processes side by side: the first one makes it, the others wait.
pub(crate) fn made_once(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let directory = directory();
    let lock = File::create(directory.join(format!("{name}.lock"))).expect("a lock file");
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).expect("the lock");
    let path = directory.join(name);
    if !path.exists() {
        let partial = directory.join(format!("{name}.partial"));
        if partial.exists() {
            fs::remove_dir_all(&partial).expect("an earlier attempt can be removed");
        }
        fs::create_dir(&partial).expect("a directory to fill");
        make(&partial);
        fs::rename(&partial, &path).expect("what is finished gets its name");
    }
    path
}
