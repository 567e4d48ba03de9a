//! A PostgreSQL of a test's own, gone with the test.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

/// PostgreSQL refuses to run as root, so root's tests run it as nobody.
const NOBODY: u32 = 65534;

/// A running server on a socket in a temporary folder.
#[derive(Debug)]
pub(crate) struct Postgres {
    dir: TempDir,
    programs: PathBuf,
    databases: AtomicU32,
}

impl Postgres {
    /// Starts one; `None` where PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        let programs = programs()?;
        let dir = tempfile::tempdir().unwrap();
        if is_root() {
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = dir.path().join("data");
        let data = data.to_str().unwrap();
        run(
            &programs,
            "initdb",
            &["-D", data, "-U", "hythe", "-A", "trust", "--no-sync"],
        );
        let options = format!(
            "-k {} -c listen_addresses= -c fsync=off",
            dir.path().display()
        );
        let log = dir.path().join("log");
        run(
            &programs,
            "pg_ctl",
            &[
                "-D",
                data,
                "-o",
                &options,
                "-l",
                log.to_str().unwrap(),
                "-w",
                "start",
            ],
        );
        Some(Self {
            dir,
            programs,
            databases: AtomicU32::new(0),
        })
    }

    /// The address of a database that nobody used before.
    pub(crate) fn fresh_database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let socket = self.dir.path().display().to_string();
        run(
            &self.programs,
            "createdb",
            &["-h", &socket, "-U", "hythe", &name],
        );
        format!(
            "postgres://hythe@localhost/{name}?host={}",
            socket.replace('/', "%2F")
        )
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.dir.path().join("data");
        run(
            &self.programs,
            "pg_ctl",
            &["-D", data.to_str().unwrap(), "-m", "immediate", "stop"],
        );
    }
}

/// The newest installed version's programs; Debian keeps them off the path.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    versions.sort();
    versions.pop()
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

fn run(programs: &Path, program: &str, arguments: &[&str]) {
    let mut command = Command::new(programs.join(program));
    command.args(arguments).current_dir("/");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    // Its server inherits what it is given, and would keep a pipe open.
    let status = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{program} {arguments:?}: {status}");
}
