//! Engines of others with this runtime: podman and containerd.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use hythe_tests::{CommandExt as _, Finished, Host, SHORT, busybox, eventually, hythe_binary};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// This binary by the name under which it is a runtime.
fn runtime(directory: &TempDir) -> PathBuf {
    let path = directory.path().join("hythe-runtime");
    symlink(hythe_binary(), &path).expect("a link");
    path
}

#[test]
fn podman_runs_execs_stops_and_removes() {
    let host = Host::new();
    let directory = TempDir::new().expect("a temporary directory");
    let runtime = runtime(&directory);
    let podman = |words: &[&str]| {
        host.command("podman")
            .arg("--root")
            .arg(directory.path().join("root"))
            .arg("--runroot")
            .arg(directory.path().join("run"))
            .arg("--runtime")
            .arg(&runtime)
            .args(["--cgroup-manager", "cgroupfs", "--events-backend", "none"])
            .args(words)
            .finish()
    };
    let archive = directory.path().join("busybox.tar");
    Command::new("skopeo")
        .args(["copy", "--insecure-policy", "--quiet"])
        .arg(busybox().transport())
        .arg(format!("docker-archive:{}:busybox:1", archive.display()))
        .finish()
        .ok();
    podman(&[
        "load",
        "--quiet",
        "--input",
        archive.to_str().expect("UTF-8"),
    ])
    .ok();

    let run = podman(&[
        "run",
        "--rm",
        "--network",
        "none",
        "busybox:1",
        "sh",
        "-c",
        "id -u; exit 7",
    ]);
    assert_eq!(run.fails_with(7).text(), "0");
    podman(&[
        "run",
        "--rm",
        "--network",
        "none",
        "busybox:1",
        "no-such-program",
    ])
    .fails_with(127);

    let script = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done";
    let mut words = vec!["run", "--detach", "--name", "one", "--network", "none"];
    words.extend_from_slice(&[
        "--memory",
        "64m",
        "--pids-limit",
        "50",
        "busybox:1",
        "sh",
        "-c",
        script,
    ]);
    podman(&words).ok();
    eventually("it is up", SHORT, || {
        podman(&["logs", "one"]).text().contains("up").then_some(())
    });
    assert_eq!(
        podman(&["exec", "one", "cat", "/proc/1/comm"]).ok().text(),
        "sh"
    );
    podman(&["exec", "one", "sh", "-c", "exit 9"]).fails_with(9);
    assert_eq!(
        podman(&["exec", "--tty", "one", "tty"]).ok().text(),
        "/dev/pts/0"
    );
    podman(&["pause", "one"]).ok();
    podman(&["unpause", "one"]).ok();
    podman(&["stop", "one"]).ok();
    let state = podman(&[
        "inspect",
        "--format",
        "{{.State.Status}} {{.State.ExitCode}}",
        "one",
    ]);
    assert_eq!(state.ok().text(), "exited 3");
    assert!(podman(&["logs", "one"]).ok().text().contains("bye"));
    podman(&["start", "one"]).ok();
    podman(&["rm", "--force", "--time", "1", "one"]).ok();

    let mapped = ["--uidmap", "0:300000:1000", "--gidmap", "0:300000:1000"];
    let mut words = vec!["run", "--rm", "--network", "none"];
    words.extend_from_slice(&mapped);
    words.extend_from_slice(&[
        "busybox:1",
        "sh",
        "-c",
        "touch /x && stat -c %u /x; cat /proc/self/uid_map",
    ]);
    let run = podman(&words).ok();
    assert_eq!(run.lines()[0], "0");
    assert!(run.lines()[1].contains("300000"), "{run:?}");
    assert_eq!(podman(&["ps", "--all", "--quiet"]).ok().text(), "");
}

/// A containerd of the test's own.
struct Containerd<'host> {
    host: &'host Host,
    directory: TempDir,
    process: Child,
}

impl<'host> Containerd<'host> {
    fn start(host: &'host Host) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let at = |name: &str| directory.path().join(name);
        let config = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{}\"\n",
            at("root").display(),
            at("state").display(),
            at("socket").display(),
        );
        fs::write(at("config.toml"), config).expect("a configuration");
        let process = host
            .command("containerd")
            .arg("--config")
            .arg(at("config.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(at("log")).expect("a log"))
            .spawn()
            .expect("containerd starts");
        let containerd = Self {
            host,
            directory,
            process,
        };
        eventually("containerd answers", SHORT, || {
            (containerd.ctr(&["version"]).code == 0).then_some(())
        });
        containerd
    }

    fn ctr(&self, words: &[&str]) -> Finished {
        let mut command = self.host.command("ctr");
        command
            .arg("--address")
            .arg(self.directory.path().join("socket"));
        command.args(words).finish()
    }
}

impl Drop for Containerd<'_> {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).expect("a process id"));
        // It may have ended by itself, which `wait` finds out.
        let _sent = kill(pid, Signal::SIGTERM);
        self.process.wait().expect("containerd can be waited for");
    }
}

#[test]
fn containerd_runs_execs_kills_and_removes() {
    const IMAGE: &str = "docker.io/library/busybox:1";
    let host = Host::new();
    let containerd = Containerd::start(&host);
    let runtime = runtime(&containerd.directory);
    let runtime = runtime.to_str().expect("a UTF-8 path");
    let archive = containerd.directory.path().join("busybox.tar");
    Command::new("skopeo")
        .args(["copy", "--insecure-policy", "--quiet"])
        .arg(busybox().transport())
        .arg(format!("docker-archive:{}:{IMAGE}", archive.display()))
        .finish()
        .ok();
    let archive = archive.to_str().expect("a UTF-8 path");
    containerd
        .ctr(&["images", "import", "--snapshotter", "native", archive])
        .ok();
    // Ids are names of control groups, which all containers of this machine share.
    let id = format!("ctr-{:016x}", rand::random::<u64>());
    let run = |more: &[&str]| {
        let mut words = vec!["run", "--snapshotter", "native", "--runc-binary", runtime];
        words.extend_from_slice(more);
        containerd.ctr(&words)
    };
    let ended = run(&["--rm", IMAGE, &id, "sh", "-c", "id -u; exit 5"]);
    assert_eq!(ended.fails_with(5).text(), "0");
    run(&["--detach", IMAGE, &id, "sleep", "1000"]).ok();
    let listed = |words: &str| {
        let run = containerd.ctr(&["task", "list"]).ok();
        assert!(run.text().contains(words), "{run:?}");
    };
    listed("RUNNING");
    let exec = [
        "task",
        "exec",
        "--exec-id",
        "one",
        &id,
        "cat",
        "/proc/1/comm",
    ];
    assert_eq!(containerd.ctr(&exec).ok().text(), "sleep");
    containerd.ctr(&["task", "pause", &id]).ok();
    listed("PAUSED");
    containerd.ctr(&["task", "resume", &id]).ok();
    containerd.ctr(&["task", "kill", "--signal", "9", &id]).ok();
    eventually("it ends", SHORT, || {
        let run = containerd.ctr(&["task", "list"]).ok();
        run.text().contains("STOPPED").then_some(())
    });
    // Its exit code is that of the signal.
    let deleted = containerd.ctr(&["task", "delete", &id]);
    assert!(deleted.error_text().contains("137"), "{deleted:?}");
    containerd.ctr(&["container", "delete", &id]).ok();
}
