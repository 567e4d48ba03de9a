//! The daemon's side of a shim: requests over its socket.

use std::path::Path;

use oci_spec::runtime::Process;

use super::{AttachStdio, AttachStream, Cgroup, ExitStatus, LaunchError, UserSpec};

/// A living container as its shim tells about it. Clones are the same shim.
#[derive(Debug, Clone)]
pub struct Shim {
    pid: i32,
}

/// One more program to run in a container.
#[derive(Debug, Clone)]
pub struct ExecSpec {
    /// The id the engine knows it by.
    pub id: String,
    /// Arguments, environment, directory, capabilities; `terminal` asks for a pty.
    pub process: Process,
    /// As in [`super::ShimConfig::user`].
    pub user: Option<UserSpec>,
    /// The streams that are wanted; the others are `/dev/null` (all streams with a terminal).
    pub stdio: AttachStdio,
    /// Rows and columns of the terminal at the start.
    pub console_size: Option<(u16, u16)>,
}

/// A program that was run by [`Shim::exec`].
#[derive(Debug)]
pub struct ExecProcess {
    /// As this host counts.
    pub pid: i32,
    /// Its streams; dropping them leaves the program running.
    pub stream: AttachStream,
    id: String,
    shim: Shim,
}

impl Shim {
    /// Process id of init, as this host counts.
    pub fn init_pid(&self) -> i32 {
        self.pid
    }

    /// The directory with `config.json`.
    pub fn bundle(&self) -> &Path {
        todo!()
    }

    /// The container's control group.
    pub fn cgroup(&self) -> &Cgroup {
        todo!()
    }

    /// Lets init execute the program. Returns once it does, or why it cannot.
    pub async fn start(&self) -> Result<(), LaunchError> {
        todo!()
    }

    /// Sends `signal` to init.
    pub async fn signal(&self, signal: i32) -> Result<(), LaunchError> {
        let _ = signal;
        todo!()
    }

    /// Sends SIGKILL to every process of the container.
    pub async fn kill_all(&self) -> Result<(), LaunchError> {
        todo!()
    }

    /// Changes the size of the terminal.
    pub async fn resize(&self, rows: u16, columns: u16) -> Result<(), LaunchError> {
        let _ = (rows, columns);
        todo!()
    }

    /// Connects to the container's streams, from now on.
    pub async fn attach(&self, stdio: AttachStdio) -> Result<AttachStream, LaunchError> {
        let _ = stdio;
        todo!()
    }

    /// Runs one more program.
    pub async fn exec(&self, spec: ExecSpec) -> Result<ExecProcess, LaunchError> {
        let _ = spec;
        todo!()
    }

    /// Waits until init has ended, all output is in the log and the exit code is on disk.
    ///
    /// Any number of callers may wait, also after the end.
    pub async fn wait(&self) -> Result<ExitStatus, LaunchError> {
        todo!()
    }

    /// Sends `signal` to a program that was run by `exec`.
    pub async fn signal_exec(&self, id: &str, signal: i32) -> Result<(), LaunchError> {
        let _ = (id, signal);
        todo!()
    }

    /// Changes the terminal size of a program that was run by `exec`.
    pub async fn resize_exec(&self, id: &str, rows: u16, columns: u16) -> Result<(), LaunchError> {
        let _ = (id, rows, columns);
        todo!()
    }

    /// Waits for the end of a program that was run by `exec`, also by an earlier daemon.
    pub async fn wait_exec(&self, id: &str) -> Result<i32, LaunchError> {
        let _ = id;
        todo!()
    }
}

impl ExecProcess {
    /// Changes the size of the terminal.
    pub async fn resize(&self, rows: u16, columns: u16) -> Result<(), LaunchError> {
        self.shim.resize_exec(&self.id, rows, columns).await
    }

    /// The exit code, or 128 + signal.
    pub async fn wait(&self) -> Result<i32, LaunchError> {
        self.shim.wait_exec(&self.id).await
    }
}
