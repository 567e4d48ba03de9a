//! An OCI bundle, and the runtime that is asked to make a container of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{CommandExt as _, Finished, hythe_binary};

/// A bundle with busybox in it. Its container is removed when it goes.
#[derive(Debug)]
pub struct Bundle {
    directory: TempDir,
    pub id: String,
    /// What `config.json` will hold when a verb is called.
    pub config: Value,
}

impl Bundle {
    /// To run `script` in a shell, in all namespaces, with the mounts that engines ask for.
    pub fn new(script: &str) -> Self {
        let directory = TempDir::with_prefix("hythe-bundle-").expect("a temporary directory");
        let root = directory.path().join("rootfs");
        for name in ["bin", "etc", "proc", "sys", "dev", "tmp", "root", "mnt"] {
            fs::create_dir_all(root.join(name)).expect("a directory");
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static");
        let names = Command::new("/bin/busybox").arg("--list").finish().ok();
        for name in names.lines().iter().filter(|name| *name != "busybox") {
            symlink("busybox", root.join("bin").join(name)).expect("a link");
        }
        Self {
            id: format!("test-{:016x}", rand::random::<u64>()),
            directory,
            config: config(script),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn rootfs(&self) -> PathBuf {
        self.path("rootfs")
    }

    /// Has the program be given a terminal, or anything else of `process` be changed.
    pub fn process(&mut self) -> &mut Value {
        &mut self.config["process"]
    }

    pub fn linux(&mut self) -> &mut Value {
        &mut self.config["linux"]
    }

    /// One more mount, after the others.
    pub fn mount(&mut self, mount: Value) {
        let mounts = self.config["mounts"].as_array_mut();
        mounts.expect("a list of mounts").push(mount);
    }

    /// Without one kind of namespace, or with that of another process.
    pub fn namespace(&mut self, kind: &str, path: Option<&Path>) {
        let all = self.config["linux"]["namespaces"].as_array_mut();
        let all = all.expect("a list of namespaces");
        all.retain(|it| it["type"] != kind);
        if let Some(path) = path {
            all.push(json!({"type": kind, "path": path}));
        }
    }

    /// Where the runtime keeps its containers.
    pub fn state_directory(&self) -> PathBuf {
        self.path("state")
    }

    /// The runtime, with `config.json` as it is to be now.
    pub fn runtime(&self, words: &[&str]) -> Command {
        fs::write(self.path("config.json"), self.config.to_string()).expect("config.json");
        self.runtime_on_what_is_there(words)
    }

    /// The runtime, with whatever lies in the bundle.
    pub fn runtime_on_what_is_there(&self, words: &[&str]) -> Command {
        let mut command = Command::new(hythe_binary());
        command
            .args(["runtime", "--root"])
            .arg(self.state_directory())
            .args(words)
            .current_dir(self.directory.path());
        command
    }

    /// A verb on this container.
    #[track_caller]
    pub fn verb(&self, words: &[&str]) -> Finished {
        let mut all = words.to_vec();
        all.push(&self.id);
        self.runtime(&all).finish()
    }

    /// `create`, with streams that do not keep the caller waiting.
    #[track_caller]
    pub fn create(&self) -> Finished {
        self.create_with(&[])
    }

    #[track_caller]
    pub fn create_with(&self, options: &[&str]) -> Finished {
        let log = self.path("output");
        let output = fs::File::create(log).expect("a file for the output");
        let errors = fs::File::create(self.path("errors")).expect("a file for errors");
        let mut words = vec!["create"];
        words.extend_from_slice(options);
        words.push(&self.id);
        let mut command = self.runtime(&words);
        let line = format!("{command:?}");
        let status = command
            .stdin(std::process::Stdio::null())
            .stdout(output)
            .stderr(errors)
            .status()
            .expect("the runtime runs");
        Finished {
            line,
            code: status.code().unwrap_or(-1),
            stdout: Vec::new(),
            stderr: fs::read(self.path("errors")).expect("the errors"),
        }
    }

    /// Creates and starts it, and goes on: a pipe for its output would have to be waited for.
    #[track_caller]
    pub fn launch(&self) {
        self.create().ok();
        self.verb(&["start"]).ok();
    }

    /// What a created container has written so far.
    pub fn output(&self) -> String {
        fs::read_to_string(self.path("output")).unwrap_or_default()
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self) -> Finished {
        self.verb(&["run"])
    }

    #[track_caller]
    pub fn state(&self) -> Value {
        let run = self.verb(&["state"]).ok();
        serde_json::from_slice(&run.stdout).expect("JSON")
    }

    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().expect("a word").to_owned()
    }

    #[track_caller]
    pub fn pid(&self) -> i32 {
        let pid = self.state()["pid"].as_i64().expect("a number");
        i32::try_from(pid).expect("a process id")
    }

    /// Neither a directory of the runtime's nor a control group may be left.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        let state = self.state_directory().join(&self.id);
        assert!(!state.exists(), "{} is left", state.display());
        let groups = self.control_groups();
        assert!(groups.is_empty(), "{groups:?}");
    }

    /// Directories of the container's control group, in every hierarchy.
    pub fn control_groups(&self) -> Vec<PathBuf> {
        let run = Command::new("find")
            .args(["/sys/fs/cgroup", "-type", "d", "-name", &self.id])
            .finish();
        run.lines().iter().map(PathBuf::from).collect()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        self.runtime_on_what_is_there(&["delete", "--force", &self.id])
            .finish();
    }
}

fn config(script: &str) -> Value {
    let capabilities = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_KILL",
        "CAP_MKNOD",
        "CAP_NET_BIND_SERVICE",
        "CAP_SETGID",
        "CAP_SETUID",
    ];
    let namespaces = ["mount", "pid", "network", "ipc", "uts", "cgroup"];
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "args": ["sh", "-c", script],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "user": {"uid": 0, "gid": 0},
            "capabilities": {
                "bounding": capabilities,
                "effective": capabilities,
                "permitted": capabilities,
            },
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "namespaces": namespaces.map(|kind| json!({"type": kind})),
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/sys/firmware"],
            "readonlyPaths": ["/proc/sys", "/proc/bus"],
        },
    })
}
