//! A registry on a host of the test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::{Host, SHORT, eventually, hythe_binary};

/// A running `hythe server`; the data directory outlives its process.
#[derive(Debug)]
pub struct Server<'host> {
    host: &'host Host,
    directory: TempDir,
    port: u16,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl<'host> Server<'host> {
    pub fn start(host: &'host Host) -> Self {
        Self::start_with(host, &[])
    }

    /// With further command-line arguments.
    pub fn start_with(host: &'host Host, arguments: &[&str]) -> Self {
        Self::start_at(host, 5000, arguments)
    }

    /// On a port of its own, for hosts that have several.
    pub fn start_at(host: &'host Host, port: u16, arguments: &[&str]) -> Self {
        let mut server = Self {
            host,
            directory: TempDir::new().expect("a temporary directory"),
            port,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            process: None,
        };
        server.restart();
        server
    }

    /// `127.0.0.1:5000`, as clients on the same host say it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub fn process_id(&self) -> Pid {
        let child = self.process.as_ref().expect("the server runs");
        Pid::from_raw(i32::try_from(child.id()).expect("a process id"))
    }

    /// Starts the server over the same data, and waits until it says that it is ready.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop(Signal::SIGTERM);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("a log");
        let child = self
            .host
            .command(hythe_binary())
            .args(["server", "--listen", &self.address(), "--data"])
            .arg(self.data())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the server starts");
        self.process = Some(child);
        eventually("the registry is ready", SHORT, || {
            let process = self.process.as_mut().expect("it was started");
            let ended = process.try_wait().expect("it can be asked");
            assert!(
                ended.is_none(),
                "the server ended: {ended:?}\n{}",
                log_of(&self.directory)
            );
            let probe = self
                .host
                .command("curl")
                .args([
                    "--silent",
                    "--fail",
                    "--noproxy",
                    "*",
                    "--output",
                    "/dev/null",
                ])
                .arg(self.url("/readyz"))
                .status();
            probe.is_ok_and(|status| status.success()).then_some(())
        });
    }

    /// Ends the process as `kill -9` does, mid-sentence.
    pub fn kill_dash_nine(&mut self) {
        self.stop(Signal::SIGKILL);
    }

    fn stop(&mut self, signal: Signal) {
        let Some(mut child) = self.process.take() else {
            return;
        };
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
        // It may have ended by itself, which `wait` finds out.
        let _sent = kill(pid, signal);
        child.wait().expect("the server can be waited for");
    }

    fn log_path(&self) -> PathBuf {
        log_path(self.directory.path())
    }
}

fn log_path(directory: &Path) -> PathBuf {
    directory.join("server.log")
}

fn log_of(directory: &TempDir) -> String {
    std::fs::read_to_string(log_path(directory.path())).unwrap_or_default()
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        self.stop(Signal::SIGTERM);
        if std::thread::panicking() {
            eprintln!("--- server log\n{}", self.log());
        }
    }
}
