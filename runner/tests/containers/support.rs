//! A small root file system, a bundle for it, and verbs to run it.

use std::fs;
use std::future::Future;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use hythe_runner::launch::{
    AttachStdio, ExecProcess, ExecSpec, ExitStatus, LaunchError, Launcher, Rootfs, Shim,
    ShimConfig, ShimLog, StdinMode, defaults,
};
use hythe_runner::spec::StdStream;
use libtest_mimic::Trial;
use oci_spec::runtime::{
    Linux, LinuxCapabilities, LinuxNamespace, LinuxNamespaceType, LinuxResources, Process, Root,
    Spec, User,
};

/// More than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A test that runs in a runtime of its own and may not hang.
pub(crate) fn trial<F: Future<Output = ()>>(
    name: &str,
    test: impl FnOnce() -> F + Send + 'static,
) -> Trial {
    Trial::test(name.to_owned(), move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(async { tokio::time::timeout(PATIENCE, test()).await })
            .map_err(|_| "hangs".into())
    })
}

/// A container to be, with everything at its default.
pub(crate) struct Recipe {
    directory: tempfile::TempDir,
    pub id: String,
    pub spec: Spec,
    pub shim: ShimConfig,
    launcher: Launcher,
}

impl Recipe {
    /// Runs `command` in busybox, in an overlay, with Docker's defaults.
    pub(crate) fn new(command: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let id = format!("launch-test-{:016x}", rand::random::<u64>());
        for name in ["upper", "work", "bundle"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let shim = ShimConfig {
            id: id.clone(),
            rootfs: Rootfs::Overlay {
                lower: vec![busybox_root(directory.path())],
                upper: directory.path().join("upper"),
                work: directory.path().join("work"),
                options: Vec::new(),
            },
            log: Some(ShimLog {
                path: directory.path().join("log"),
                max_size_bytes: None,
                max_files: 1,
                journal: None,
                compress: false,
            }),
            stdin: StdinMode::Closed,
            console_size: None,
            user: None,
            reaper: false,
        };
        let launcher = Launcher::new(&directory.path().join("run")).unwrap();
        Self {
            spec: spec(&id, command),
            id,
            shim,
            directory,
            launcher,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.spec.process_mut().as_mut().unwrap()
    }

    pub(crate) fn linux(&mut self) -> &mut Linux {
        self.spec.linux_mut().as_mut().unwrap()
    }

    pub(crate) fn resources(&mut self) -> &mut LinuxResources {
        self.linux().resources_mut().as_mut().unwrap()
    }

    pub(crate) fn with_terminal(mut self, rows: u16, columns: u16) -> Self {
        self.process().set_terminal(Some(true));
        self.shim.console_size = Some((rows, columns));
        self
    }

    pub(crate) async fn create(&self) -> Result<Shim, LaunchError> {
        let bundle = self.path("bundle");
        let written = self
            .launcher
            .write_bundle(&bundle, self.spec.clone(), &self.shim)
            .await?;
        self.launcher.create(written).await
    }

    pub(crate) async fn start(&self) -> Result<Shim, LaunchError> {
        let shim = self.create().await?;
        shim.start().await?;
        Ok(shim)
    }

    /// Runs to the end; the exit status and what was written to both streams.
    pub(crate) async fn run(&self) -> (ExitStatus, String, String) {
        let shim = self.create().await.unwrap();
        let stream = shim.attach(BOTH).await.unwrap();
        shim.start().await.unwrap();
        let (stdout, stderr) = collect(stream.output).await;
        let status = shim.wait().await.unwrap();
        self.assert_nothing_left();
        (status, text(&stdout), text(&stderr))
    }

    /// The log as (text, stream).
    pub(crate) fn log(&self) -> Vec<(String, StdStream)> {
        let content = fs::read_to_string(self.path("log")).unwrap();
        content
            .lines()
            .map(|line| {
                let record: hythe_runner::launch::LogRecord<'_> =
                    serde_json::from_str(line).unwrap();
                (record.log.into_owned(), record.stream)
            })
            .collect()
    }

    pub(crate) fn log_text(&self) -> String {
        self.log().into_iter().map(|(line, _)| line).collect()
    }

    /// No control group, no mount, no process may be left of the container.
    pub(crate) fn assert_nothing_left(&self) {
        let groups = leftover_groups(&self.id);
        assert!(groups.is_empty(), "{groups:?}");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&*self.directory.path().to_string_lossy()));
    }
}

pub(crate) const BOTH: AttachStdio = AttachStdio {
    stdin: false,
    stdout: true,
    stderr: true,
};
pub(crate) const ALL: AttachStdio = AttachStdio {
    stdin: true,
    ..BOTH
};

/// An exec of `command` with its output attached.
pub(crate) fn exec_spec(id: &str, command: &[&str]) -> ExecSpec {
    ExecSpec {
        id: id.to_owned(),
        process: process(command),
        user: None,
        stdio: BOTH,
        console_size: None,
    }
}

pub(crate) async fn exec_output(process: ExecProcess) -> (i32, String, String) {
    let code = process.wait().await.unwrap();
    let (stdout, stderr) = collect(process.stream.output).await;
    (code, text(&stdout), text(&stderr))
}

/// Everything until the end, by stream.
pub(crate) async fn collect(
    mut output: impl futures_util::Stream<Item = std::io::Result<(StdStream, Bytes)>> + Unpin,
) -> (Vec<u8>, Vec<u8>) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(piece) = output.next().await {
        match piece.unwrap() {
            (StdStream::Stdout, bytes) => stdout.extend_from_slice(&bytes),
            (StdStream::Stderr, bytes) => stderr.extend_from_slice(&bytes),
        }
    }
    (stdout, stderr)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until `holds`.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn is_alive(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat"));
    status.is_ok_and(|it| !it.contains(") Z "))
}

pub(crate) fn leftover_groups(id: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy() == id {
                    found.push(entry.path());
                }
                pending.push(entry.path());
            }
        }
    }
    found
}

fn busybox_root(parent: &Path) -> PathBuf {
    let root = parent.join("root");
    for directory in ["bin", "etc", "proc", "sys", "dev", "tmp", "root"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for applet in [
        "sh",
        "cat",
        "echo",
        "sleep",
        "true",
        "false",
        "id",
        "ls",
        "mount",
        "unshare",
        "stty",
        "ps",
        "kill",
        "dd",
        "head",
        "tail",
        "hostname",
        "touch",
        "mkdir",
        "wc",
        "sha256sum",
        "env",
        "pwd",
        "seq",
        "tty",
        "readlink",
        "mknod",
        "chroot",
        "ulimit",
        "grep",
        "stat",
        "ip",
        "nsenter",
        "umount",
        "test",
        "df",
        "tr",
        "yes",
        "date",
        "ln",
    ] {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/tmp:/bin/sh\n",
    )
    .unwrap();
    fs::write(
        root.join("etc/group"),
        "root:x:0:\napp:x:1001:\nmore:x:50:app\n",
    )
    .unwrap();
    root
}

pub(crate) fn process(command: &[&str]) -> Process {
    let set = defaults::capabilities(&[], &[]).unwrap();
    let mut capabilities = LinuxCapabilities::default();
    capabilities.set_bounding(Some(set.clone()));
    capabilities.set_effective(Some(set.clone()));
    capabilities.set_permitted(Some(set));
    capabilities.set_inheritable(None);
    capabilities.set_ambient(None);
    let mut process = Process::default();
    process.set_terminal(None);
    process.set_user(User::default());
    process.set_args(Some(command.iter().map(ToString::to_string).collect()));
    process.set_env(Some(vec!["PATH=/bin".to_owned()]));
    process.set_cwd(PathBuf::from("/"));
    process.set_capabilities(Some(capabilities));
    process.set_rlimits(None);
    process.set_no_new_privileges(Some(false));
    process
}

fn spec(id: &str, command: &[&str]) -> Spec {
    let set = defaults::capabilities(&[], &[]).unwrap();
    let mut resources = LinuxResources::default();
    resources.set_devices(Some(defaults::device_rules(false)));
    let mut linux = Linux::default();
    linux.set_cgroups_path(Some(PathBuf::from(format!("/hythe-tests/{id}"))));
    linux.set_namespaces(Some(namespaces(&defaults::NAMESPACES)));
    linux.set_resources(Some(resources));
    linux.set_devices(Some(defaults::devices()));
    linux.set_masked_paths(Some(defaults::masked_paths()));
    linux.set_readonly_paths(Some(defaults::read_only_paths()));
    linux.set_seccomp(Some(defaults::seccomp(&set)));
    let mut spec = Spec::default();
    spec.set_process(Some(process(command)));
    spec.set_mounts(Some(defaults::mounts(64 << 20, false)));
    spec.set_hostname(Some("box".to_owned()));
    let mut root = Root::default();
    root.set_readonly(Some(false));
    spec.set_root(Some(root));
    spec.set_linux(Some(linux));
    spec
}

pub(crate) fn namespaces(kinds: &[LinuxNamespaceType]) -> Vec<LinuxNamespace> {
    kinds
        .iter()
        .map(|kind| {
            let mut namespace = LinuxNamespace::default();
            namespace.set_typ(*kind);
            namespace
        })
        .collect()
}
