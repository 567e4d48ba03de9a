//! A virtual machine that boots a Debian kernel, runs one script as its first process and ends.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hythe_tests::{CommandExt as _, Kernel, busybox, hythe_binary};
use tempfile::TempDir;

/// How long the machine may run, without hardware to help it.
const PATIENCE: Duration = Duration::from_secs(270);

/// What the agent, its networks and the disk need of the kernel.
const MODULES: [&str; 20] = [
    "virtio_pci",
    "virtio_blk",
    "overlay",
    "veth",
    "bridge",
    "nf_tables",
    "nf_conntrack_netlink",
    "nft_chain_nat",
    "nft_ct",
    "nft_fib",
    "nft_fib_inet",
    "nft_fib_ipv4",
    "nft_fib_ipv6",
    "nft_limit",
    "nft_log",
    "nft_masq",
    "nft_nat",
    "nft_redir",
    "nft_reject",
    "nft_reject_inet",
];

/// A machine that waits to be run.
#[derive(Debug)]
pub(crate) struct Guest {
    directory: TempDir,
    kernel: Kernel,
}

impl Guest {
    /// `script` is a file of this folder; it becomes the first process of the machine.
    pub(crate) fn new(script: &str) -> Self {
        assert!(
            std::env::consts::ARCH == "x86_64",
            "the guest's kernel is one for x86_64, and so must be the binary under test"
        );
        let guest = Self {
            directory: TempDir::with_prefix("hythe-vm-").expect("a temporary directory"),
            kernel: Kernel::debian(),
        };
        guest.make_initramfs();
        guest.make_disk(script);
        guest
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Modules, and a shell that loads them.
    fn make_initramfs(&self) {
        let stage = self.path("initramfs");
        fs::create_dir_all(stage.join("modules")).expect("a directory");
        put_program(&source("boot.sh"), &stage.join("init"));
        put_program(Path::new("/bin/busybox"), &stage.join("bin/busybox"));
        let mut order = String::new();
        for module in self.kernel.modules(&MODULES) {
            let name = module.file_name().expect("a name");
            fs::copy(&module, stage.join("modules").join(name)).expect("a module");
            writeln!(order, "{}", name.display()).expect("memory takes it");
        }
        fs::write(stage.join("modules/order"), order).expect("the order");
        Command::new("sh")
            .args(["-c", "find . | cpio --quiet -o -H newc >../initrd"])
            .current_dir(&stage)
            .finish()
            .ok();
    }

    /// The root file system: the binary under test, what it calls, an image, the script.
    fn make_disk(&self, script: &str) {
        let stage = self.path("disk");
        for name in [
            "proc", "sys", "dev", "run", "tmp", "root", "etc", "var/lib", "guest",
        ] {
            fs::create_dir_all(stage.join(name)).expect("a directory");
        }
        put_program(Path::new("/bin/busybox"), &stage.join("bin/busybox"));
        let names = Command::new("/bin/busybox").arg("--list").finish().ok();
        for name in names.lines().iter().filter(|name| *name != "busybox") {
            symlink("busybox", stage.join("bin").join(name)).expect("a link");
        }
        put_with_libraries(&hythe_binary(), &stage, "bin/hythe");
        put_with_libraries(Path::new("/usr/sbin/nft"), &stage, "bin/nft");
        put_program(&source(script), &stage.join("guest/checks"));
        let image = busybox();
        let layer = image.layer_digests()[0].replace(':', "/");
        fs::copy(
            image.path.join("blobs").join(layer),
            stage.join("guest/box.tar"),
        )
        .expect("a layer");
        Command::new("/sbin/mkfs.ext4")
            .args(["-q", "-O", "^has_journal", "-d"])
            .args([&stage, &self.path("disk.img")])
            .arg("600M")
            .finish()
            .ok();
        fs::remove_dir_all(stage).expect("it is on the disk now");
    }

    /// Runs to the end; everything the machine wrote to its console.
    #[track_caller]
    pub(crate) fn run(&self) -> String {
        let mut machine = Machine(self.start());
        let stdout = machine.0.stdout.take().expect("a pipe");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        let deadline = Instant::now() + PATIENCE;
        let mut console = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) => writeln!(console, "{line}").expect("memory takes it"),
                Err(mpsc::RecvTimeoutError::Disconnected) => return console,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    panic!("the machine still runs after {PATIENCE:?}:\n{console}")
                }
            }
        }
    }

    fn start(&self) -> Child {
        Command::new("qemu-system-x86_64")
            .args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none", "-serial", "stdio"])
            // Not what hardware may offer: inside another virtual machine that is a gamble.
            .args(["-accel", "tcg,thread=multi"])
            .args(["-cpu", "max", "-smp", "2", "-m", "1024"])
            .arg("-kernel")
            .arg(&self.kernel.image)
            .arg("-initrd")
            .arg(self.path("initrd"))
            .args([
                "-append",
                "console=ttyS0 quiet panic=-1 cgroup_no_v1=all mitigations=off",
            ])
            .arg("-drive")
            .arg(format!(
                "file={},format=raw,if=virtio,cache=unsafe",
                self.path("disk.img").display()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("qemu-system-x86, which tests/run installs")
    }
}

/// The emulator, which ends with the test.
#[derive(Debug)]
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended by itself, which `wait` finds out.
        let _killed = self.0.kill();
        self.0.wait().expect("the emulator can be waited for");
    }
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vm").join(name)
}

fn put_program(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a directory")).expect("a directory");
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).expect("a mode");
}

/// A program and the libraries it is linked with, at the places where it looks for them.
fn put_with_libraries(program: &Path, stage: &Path, name: &str) {
    put_program(program, &stage.join(name));
    let listed = Command::new("ldd").arg(program).finish().ok();
    for word in listed.text().split_whitespace() {
        if let Some(path) = word.strip_prefix('/') {
            put_program(Path::new(word), &stage.join(path));
        }
    }
}
