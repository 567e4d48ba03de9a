//! Our own command line on the same API, and `hythe up`, which is both roles in one.

use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;

use hythe_tests::{Agent, CommandExt as _, Host, SHORT, Server, eventually, hythe_binary};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::push_busybox;

#[test]
fn the_everyday_commands_work() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let hythe = |arguments: &[&str]| agent.hythe(arguments).finish();

    hythe(&["pull", &image]).ok();
    let images = hythe(&["images"]).ok().text();
    assert!(images.starts_with("REPOSITORY"), "{images}");
    assert!(images.contains("127.0.0.1:5000/busybox"), "{images}");
    assert_eq!(
        hythe(&["run", "--rm", &image, "echo", "hello"]).ok().text(),
        "hello"
    );
    hythe(&["run", "--rm", &image, "sh", "-c", "exit 7"]).fails_with(7);
    hythe(&["run", "--rm", &image, "nope"]).fails_with(127);
    let echoed = agent
        .hythe(&["run", "--rm", "-i", &image, "cat"])
        .finish_with_input(b"typed")
        .ok();
    assert_eq!(echoed.text(), "typed");

    hythe(&[
        "run",
        "-d",
        "--name",
        "idle",
        &image,
        "sh",
        "-c",
        "echo up; exec sleep 1000",
    ])
    .ok();
    let ps = hythe(&["ps"]).ok().text();
    assert!(
        ps.contains("idle") && ps.starts_with("CONTAINER ID"),
        "{ps}"
    );
    eventually("the log has its line", SHORT, || {
        (hythe(&["logs", "idle"]).ok().text() == "up").then_some(())
    });
    assert_eq!(hythe(&["exec", "idle", "hostname"]).ok().text().len(), 12);
    hythe(&["stop", "-t", "1", "idle"]).ok();
    hythe(&["rm", "idle"]).ok();
    assert_eq!(hythe(&["ps", "-aq"]).ok().text(), "");

    let copy = format!("{}/copies/busybox:2", server.address());
    hythe(&["tag", &image, &copy]).ok();
    hythe(&["push", &copy]).ok();
    hythe(&["rmi", &copy, &image]).ok();
    assert_eq!(hythe(&["images", "-q"]).ok().text(), "");
    hythe(&["run", "--rm", &copy, "true"]).ok();
}

#[test]
fn up_starts_both_and_stops_both() {
    let host = Host::new();
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("hythe.sock");
    let log = std::fs::File::create(directory.path().join("log")).expect("a log");
    let mut process = host
        .command("unshare")
        .args(["--mount", "--propagation", "slave"])
        .arg(hythe_binary())
        .args(["up", "--listen", "127.0.0.1:5000", "--data"])
        .arg(directory.path().join("data"))
        .arg("--socket")
        .arg(&socket)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("hythe up starts");
    let said = || std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
    eventually("the ready line is printed", SHORT, || {
        said().contains("ready").then_some(())
    });

    let registry = host.curl(&["http://127.0.0.1:5000/v2/"]);
    assert_eq!(registry.status, 200, "{registry:?}");
    let docker_host = format!("unix://{}", socket.display());
    let docker = |arguments: &[&str]| {
        host.command("docker")
            .args(["-H", &docker_host])
            .args(arguments)
            .finish()
    };
    let version = docker(&["version", "--format", "{{.Server.Version}}"]).ok();
    assert!(!version.text().is_empty());
    host.command("skopeo")
        .args([
            "copy",
            "--insecure-policy",
            "--dest-tls-verify=false",
            "--quiet",
        ])
        .arg(hythe_tests::busybox().transport())
        .arg("docker://127.0.0.1:5000/busybox:1")
        .finish()
        .ok();
    let run = docker(&["run", "--rm", "127.0.0.1:5000/busybox:1", "echo", "ashore"]).ok();
    assert_eq!(run.text(), "ashore");
    // The layer was not copied: it is the registry's own file.
    let layer = hythe_tests::busybox().layer_digests().remove(0);
    let blobs = directory.path().join("data/images/blobs");
    let blob = blobs.join(layer.replace(':', "/"));
    let bytes = std::fs::read(&blob).expect("the layer's blob");
    assert_eq!(hythe_tests::sha256_digest(&bytes), layer);
    assert_eq!(blob.metadata().expect("its metadata").nlink(), 2);
    // It outlives the registry's name for it, and goes with the image.
    docker(&["rmi", "127.0.0.1:5000/busybox:1"]).ok();
    assert!(!blob.exists());
    docker(&["pull", "-q", "127.0.0.1:5000/busybox:1"]).ok();

    let pid = Pid::from_raw(i32::try_from(process.id()).expect("a process id"));
    kill(pid, Signal::SIGTERM).expect("it runs");
    let status = process.wait().expect("it ends");
    assert!(status.success(), "{status}: {}", said());
    let closed = host
        .command("curl")
        .args(["-s", "--max-time", "5", "http://127.0.0.1:5000/v2/"])
        .finish();
    assert_ne!(closed.code, 0);
    assert!(!socket.exists(), "the socket is removed");
}

/// As systemd's socket activation does it: the socket is there first, and stays.
#[test]
fn the_agent_takes_over_a_socket_that_is_passed_on() {
    const PROGRAM: &str = r#"
import os, socket, sys
path, program, arguments = sys.argv[1], sys.argv[2], sys.argv[2:]
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
if listener.fileno() != 3:
    os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(program, arguments)
"#;
    let host = Host::new();
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("passed.sock");
    let log = std::fs::File::create(directory.path().join("log")).expect("a log");
    let mut agent = host
        .command("unshare")
        .args([
            "--mount",
            "--propagation",
            "slave",
            "python3",
            "-c",
            PROGRAM,
        ])
        .arg(&socket)
        .arg(hythe_binary())
        .args(["agent", "--socket"])
        .arg(directory.path().join("not-made.sock"))
        .arg("--data")
        .arg(directory.path().join("data"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("python starts");
    // Whoever comes before the agent is up waits for it, once the socket listens.
    let docker_host = format!("unix://{}", socket.display());
    eventually("the agent answers on it", SHORT, || {
        let version = host
            .command("docker")
            .args(["-H", &docker_host, "version", "--format", "{{.Server.Os}}"])
            .finish();
        (version.code == 0 && version.text() == "linux").then_some(())
    });
    let pid = Pid::from_raw(i32::try_from(agent.id()).expect("a process id"));
    kill(pid, Signal::SIGTERM).expect("it runs");
    assert!(agent.wait().expect("it ends").success());
    assert!(socket.exists(), "it belongs to whoever made it");
    assert!(!directory.path().join("not-made.sock").exists());
}
