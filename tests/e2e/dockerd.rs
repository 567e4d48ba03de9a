//! Debian's dockerd beside our agent: what one saves or pushes, the other has with the same id.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use hythe_tests::{Agent, CommandExt as _, Finished, Host, SHORT, Server, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::push_busybox;

/// A dockerd that only keeps images: no bridge, no firewall rules.
struct Dockerd<'host> {
    host: &'host Host,
    directory: TempDir,
    process: Child,
}

impl<'host> Dockerd<'host> {
    fn start(host: &'host Host) -> Self {
        let directory = TempDir::with_prefix("dockerd-").expect("a directory");
        let at = |name: &str| directory.path().join(name);
        let log = File::create(at("log")).expect("a log");
        let process = host
            .command("unshare")
            .args(["--mount", "--propagation", "slave", "dockerd"])
            .arg(format!("--host=unix://{}", at("socket").display()))
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("run"))
            .arg("--pidfile")
            .arg(at("pid"))
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
            .args(["--storage-driver", "vfs"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("dockerd of the package docker.io");
        let mut dockerd = Self {
            host,
            directory,
            process,
        };
        eventually("dockerd answers", SHORT, || {
            let ended = dockerd.process.try_wait().expect("it can be asked");
            assert!(ended.is_none(), "dockerd ended: {}", dockerd.log());
            (dockerd.docker(&["version"]).code == 0).then_some(())
        });
        dockerd
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn docker(&self, words: &[&str]) -> Finished {
        let socket = self.directory.path().join("socket");
        self.host
            .command("docker")
            .env("DOCKER_CONFIG", self.directory.path().join("config"))
            .arg(format!("--host=unix://{}", socket.display()))
            .args(words)
            .finish()
    }
}

impl Drop for Dockerd<'_> {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).expect("a process id"));
        // It may have ended by itself, which `wait` finds out.
        let _sent = kill(pid, Signal::SIGTERM);
        self.process.wait().expect("dockerd can be waited for");
    }
}

/// Names and ids of all images, sorted.
#[track_caller]
fn listed(mut docker: Command) -> Vec<String> {
    let format = "{{.Repository}}:{{.Tag}} {{.ID}}";
    docker.args(["images", "--no-trunc", "--format", format]);
    let mut lines = docker.finish().ok().lines();
    lines.sort();
    lines
}

#[test]
fn dockerd_has_our_images_and_we_have_its() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let dockerd = Dockerd::start(&host);
    let ours = |words: &[&str]| agent.docker(words).finish();
    let theirs = |words: &[&str]| dockerd.docker(words);
    let directory = TempDir::new().expect("a directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    let list = |command: Command| listed(command);

    // Two images that share a layer, one of them made here, with a file gone.
    ours(&["pull", "-q", &image]).ok();
    ours(&["tag", &image, "box:1"]).ok();
    let script = "echo more > /more; rm /etc/group";
    ours(&["run", "--name", "work", &image, "sh", "-c", script]).ok();
    ours(&["commit", "-c", "LABEL a=b", "work", "team/box:2"]).ok();
    ours(&["rm", "work"]).ok();
    ours(&["rmi", &image]).ok();
    let expected = list(agent.docker(&[]));
    assert_eq!(expected.len(), 2, "{expected:?}");

    ours(&["save", "-o", &at("ours.tar"), "box:1", "team/box:2"]).ok();
    let loaded = theirs(&["load", "-i", &at("ours.tar")]).ok().text();
    assert!(loaded.contains("Loaded image: team/box:2"), "{loaded}");
    let theirs_listed = || {
        let format = "{{.Repository}}:{{.Tag}} {{.ID}}";
        let mut lines = theirs(&["images", "--no-trunc", "--format", format])
            .ok()
            .lines();
        lines.sort();
        lines
    };
    assert_eq!(theirs_listed(), expected);
    let layers = ["image", "inspect", "-f", "{{.RootFS.Layers}}", "team/box:2"];
    assert_eq!(theirs(&layers).ok().text(), ours(&layers).ok().text());

    // And back, into an agent that has nothing any more.
    theirs(&["save", "-o", &at("theirs.tar"), "box:1", "team/box:2"]).ok();
    ours(&["rmi", "-f", "box:1", "team/box:2"]).ok();
    assert_eq!(list(agent.docker(&[])), [""; 0]);
    ours(&["load", "-i", &at("theirs.tar")]).ok();
    assert_eq!(list(agent.docker(&[])), expected);
    let seen = ours(&[
        "run",
        "--rm",
        "team/box:2",
        "sh",
        "-c",
        "cat /more; ls /etc",
    ]);
    assert_eq!(
        seen.ok().lines(),
        ["more", "hostname", "hosts", "passwd", "resolv.conf"]
    );

    // Through the registry, in both directions.
    let [from_us, from_them] =
        ["ours:1", "theirs:1"].map(|name| format!("{}/{name}", server.address()));
    ours(&["tag", "team/box:2", &from_us]).ok();
    ours(&["push", "-q", &from_us]).ok();
    theirs(&["rmi", "team/box:2"]).ok();
    theirs(&["pull", "-q", &from_us]).ok();
    theirs(&["tag", &from_us, &from_them]).ok();
    theirs(&["push", "-q", &from_them]).ok();
    ours(&["pull", "-q", &from_them]).ok();
    let id = ["image", "inspect", "-f", "{{.Id}}"];
    let of = |image: &str| [&id[..], &[image]].concat().join(" ");
    let ask = |line: &str, docker: &dyn Fn(&[&str]) -> Finished| {
        docker(&line.split(' ').collect::<Vec<_>>()).ok().text()
    };
    let expected = ask(&of("team/box:2"), &ours);
    assert_eq!(ask(&of(&from_us), &theirs), expected);
    assert_eq!(ask(&of(&from_them), &ours), expected);
}
