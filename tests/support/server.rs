//! A registry on a host of the test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::{Host, SHORT, eventually, hythe_binary};

/// A running `hythe server`; the data directory outlives its process.
#[derive(Debug)]
pub struct Server<'host> {
    host: &'host Host,
    #[expect(dead_code, reason = "held for what its drop removes")]
    disk: Option<SmallDisk>,
    directory: TempDir,
    port: u16,
    listen: String,
    has_tls: bool,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    process: Option<Child>,
}

/// How a server is started.
#[derive(Debug)]
pub struct ServerOptions<'a> {
    pub port: u16,
    /// The address to listen on, when not only this host is to be served.
    pub listen: Option<&'a str>,
    /// Whether it serves with TLS; clients then use the address that it listens on.
    pub has_tls: bool,
    /// Further command-line arguments.
    pub arguments: &'a [&'a str],
    pub environment: Vec<(String, String)>,
    /// The size of the disk that its data is on, when that is a disk of its own.
    pub disk_bytes: Option<u64>,
}

impl Default for ServerOptions<'_> {
    fn default() -> Self {
        Self {
            port: 5000,
            listen: None,
            has_tls: false,
            arguments: &[],
            environment: Vec::new(),
            disk_bytes: None,
        }
    }
}

impl ServerOptions<'_> {
    /// Adds one variable of the environment.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl<'host> Server<'host> {
    pub fn start(host: &'host Host) -> Self {
        Self::start_with(host, &[])
    }

    /// With further command-line arguments.
    pub fn start_with(host: &'host Host, arguments: &[&str]) -> Self {
        Self::start_as(
            host,
            &ServerOptions {
                arguments,
                ..ServerOptions::default()
            },
        )
    }

    /// On a port of its own, for hosts that have several.
    pub fn start_at(host: &'host Host, port: u16, arguments: &[&str]) -> Self {
        Self::start_as(
            host,
            &ServerOptions {
                port,
                arguments,
                ..ServerOptions::default()
            },
        )
    }

    pub fn start_as(host: &'host Host, options: &ServerOptions<'_>) -> Self {
        let mut server = Self::not_started(host, options);
        server.restart();
        server
    }

    /// Everything but its process: `restart` starts it the first time.
    pub fn not_started(host: &'host Host, options: &ServerOptions<'_>) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let data = directory.path().join("data");
        let disk = options
            .disk_bytes
            .map(|bytes| SmallDisk::mount(&data, bytes));
        Self {
            host,
            disk,
            directory,
            port: options.port,
            listen: format!("{}:{}", options.listen.unwrap_or("127.0.0.1"), options.port),
            has_tls: options.has_tls,
            arguments: options.arguments.iter().map(ToString::to_string).collect(),
            environment: options.environment.clone(),
            process: None,
        }
    }

    /// `127.0.0.1:5000`, as clients on the same host say it.
    pub fn address(&self) -> String {
        if self.has_tls {
            return self.listen.clone();
        }
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self, path: &str) -> String {
        let scheme = if self.has_tls { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address())
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
            .args(["server", "--listen", &self.listen, "--data"])
            .arg(self.data())
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
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
                    "--insecure",
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

/// A disk that is soon full, seen by this test alone.
#[derive(Debug)]
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, bytes: u64) -> Self {
        std::fs::create_dir(at).expect("a place for the disk");
        // What this thread and its children mount from here on, nobody else sees.
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
        let none = None::<&str>;
        let alone = MsFlags::MS_REC | MsFlags::MS_SLAVE;
        mount(none, "/", none, alone, none).expect("mounts stay here");
        let size = format!("size={bytes}");
        mount(
            Some("tmpfs"),
            at,
            Some("tmpfs"),
            MsFlags::empty(),
            Some(size.as_str()),
        )
        .expect("a small disk");
        Self(at.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::MNT_DETACH).expect("the disk can be taken away");
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
