//! containerd pulls from the registry and pushes to it, told by `hosts.toml` alone.

use std::fs;
use std::process::{Child, Stdio};

use hythe_tests::{CommandExt as _, Finished, Host, SHORT, Server, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::push_busybox;

/// A containerd of the test's own: root, state and socket are in its directory.
pub(crate) struct Containerd<'host> {
    host: &'host Host,
    directory: TempDir,
    process: Child,
}

impl<'host> Containerd<'host> {
    /// `authority` is the file of who vouches for the server, when that is nobody whom all know.
    pub(crate) fn start(host: &'host Host, server: &Server<'_>, authority: Option<&str>) -> Self {
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
        let hosts = at("hosts").join(server.address());
        fs::create_dir_all(&hosts).expect("a directory");
        let url = server.url("");
        let trusted = authority.map_or_else(String::new, |file| format!("ca = {file:?}\n"));
        let text = format!(
            "server = {url:?}\n[host.{url:?}]\n\
             capabilities = [\"pull\", \"resolve\", \"push\"]\n{trusted}"
        );
        fs::write(hosts.join("hosts.toml"), text).expect("hosts.toml");
        let log = fs::File::create(at("log")).expect("a log");
        let process = host
            .command("containerd")
            .arg("--config")
            .arg(at("config.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
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

    pub(crate) fn ctr(&self, arguments: &[&str]) -> Finished {
        let mut command = self.host.command("ctr");
        command
            .arg("--address")
            .arg(self.directory.path().join("socket"));
        command.args(arguments).finish()
    }

    /// Pull or push, with the hosts of the test.
    pub(crate) fn images(&self, verb: &str, more: &[&str]) -> Finished {
        let hosts = self.directory.path().join("hosts");
        let hosts = hosts.to_str().expect("a UTF-8 path");
        let mut words = vec!["images", verb, "--hosts-dir", hosts];
        words.extend_from_slice(more);
        self.ctr(&words)
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
fn containerd_pulls_and_pushes() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let containerd = Containerd::start(&host, &server, None);

    containerd
        .images("pull", &["--snapshotter", "native", &image])
        .ok();
    let copy = format!("{}/copies/of/busybox:ctr", server.address());
    containerd.ctr(&["images", "tag", &image, &copy]).ok();
    containerd.images("push", &[&copy]).ok();

    let digest = |name: &str, tag: &str| {
        let url = server.url(&format!("/v2/{name}/manifests/{tag}"));
        let answer = host.curl(&["--head", &url]);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.headers["docker-content-digest"].clone()
    };
    assert_eq!(digest("copies/of/busybox", "ctr"), digest("busybox", "1"));

    // What was pushed can be pulled again once nothing of it is left.
    for name in [&image, &copy] {
        containerd.ctr(&["images", "rm", "--sync", name]).ok();
    }
    containerd
        .images("pull", &["--snapshotter", "native", &copy])
        .ok();
}
