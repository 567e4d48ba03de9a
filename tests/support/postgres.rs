//! A PostgreSQL of the test's own, on a socket in a folder that every host of the test sees.

use std::fs::File;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

use crate::{CommandExt as _, fixture};

/// PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;

/// A running server; its data outlives a [`Postgres::stop`].
#[derive(Debug)]
pub struct Postgres {
    directory: TempDir,
    running: bool,
}

impl Default for Postgres {
    fn default() -> Self {
        Self::start()
    }
}

impl Postgres {
    /// Starts one with an empty database.
    pub fn start() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        chown(directory.path(), Some(NOBODY), Some(NOBODY)).expect("it can be given away");
        let mut server = Self {
            directory,
            running: false,
        };
        // A fresh cluster takes seconds to make, and is always the same.
        Command::new("cp")
            .args(["--archive", "--reflink=auto"])
            .arg(template())
            .arg(server.data())
            .finish()
            .ok();
        server.resume();
        server
    }

    /// Where the registry finds it.
    pub fn url(&self) -> String {
        let socket = self.directory.path().display().to_string();
        format!(
            "postgres://hythe@localhost/postgres?host={}",
            socket.replace('/', "%2F")
        )
    }

    /// Ends it as a machine that goes away does.
    pub fn stop(&mut self) {
        self.running = false;
        let data = self.data();
        let words = ["-D", text(&data), "-m", "immediate", "-w", "stop"];
        program("pg_ctl").args(words).finish().ok();
    }

    /// Starts it again over the same data.
    pub fn resume(&mut self) {
        let (data, log) = (self.data(), self.directory.path().join("log"));
        let options = format!(
            "-k {} -c listen_addresses= -c fsync=off",
            self.directory.path().display()
        );
        let words = ["-D", text(&data), "-o", &options, "-l", text(&log)];
        // Its server inherits what it is given, and would keep a pipe open.
        let started = program("pg_ctl")
            .args(words)
            .args(["-w", "start"])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status();
        let started = started.expect("pg_ctl runs");
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        assert!(started.success(), "PostgreSQL does not start: {}", said());
        self.running = true;
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.running {
            self.stop();
        }
    }
}

/// A cluster that nobody ran yet, made once for all tests.
fn template() -> PathBuf {
    let directory = fixture::directory();
    let path = directory.join("postgres");
    let lock = File::create(directory.join("postgres.lock")).expect("a lock file");
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).expect("the lock");
    if !path.exists() {
        // Not where it is to stay: nobody may not write there.
        let made = TempDir::new().expect("a temporary directory");
        chown(made.path(), Some(NOBODY), Some(NOBODY)).expect("it can be given away");
        let data = made.path().join("data");
        let words = ["-D", text(&data), "-U", "hythe", "-A", "trust", "--no-sync"];
        program("initdb").args(words).finish().ok();
        let partial = directory.join("postgres.partial");
        Command::new("cp")
            .args(["--archive", "--no-target-directory"])
            .args([&data, &partial])
            .finish()
            .ok();
        std::fs::rename(partial, &path).expect("the finished cluster gets its name");
    }
    path
}

/// One of the newest installed version's programs; Debian keeps them off the path.
fn program(name: &str) -> Command {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("Debian's postgresql");
    let mut programs: Vec<PathBuf> = versions
        .map(|version| version.expect("a folder").path().join("bin").join(name))
        .filter(|program| program.exists())
        .collect();
    programs.sort();
    let mut command = Command::new(programs.pop().expect("Debian's postgresql"));
    command.current_dir("/").uid(NOBODY).gid(NOBODY);
    command
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}
