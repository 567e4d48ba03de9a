//! The daemon's side of a shim: requests over its socket.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use oci_spec::runtime::Process;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::bundle::Bundle;
use super::message::{ExecRequest, Reply, Request, encode, take};
use super::{AttachStdio, AttachStream, Cgroup, ExitStatus, LaunchError, UserSpec, fitting};

/// What a container that its shim left behind is said to have ended with: it was killed.
const LOST_CODE: i32 = 137;

/// A living container as its shim tells about it. Clones are the same shim.
#[derive(Debug, Clone)]
pub struct Shim(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bundle: Bundle,
    /// The bundle's directory: by way of its descriptor the socket's address is short.
    directory: File,
    pid: i32,
    cgroup: Cgroup,
    /// How init ended, once that is known.
    end: watch::Receiver<Option<ExitStatus>>,
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

/// A program that was run by [`Shim::exec`], as its shim tells about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecState {
    /// As this host counts.
    pub pid: i32,
    /// Once it has ended and all it wrote was read.
    pub code: Option<i32>,
}

/// A connection to a shim.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    arrived: Vec<u8>,
}

impl Connection {
    pub(super) fn over(stream: UnixStream) -> Self {
        Self {
            stream,
            arrived: Vec::new(),
        }
    }

    /// Connects to the socket in `directory`.
    pub(super) async fn open(directory: &File) -> io::Result<Self> {
        let name = Bundle::SOCKET_NAME;
        let address = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
        Ok(Self::over(UnixStream::connect(address).await?))
    }

    pub(super) async fn send(&mut self, request: &Request) -> io::Result<()> {
        let frame = encode(request).map_err(io::Error::other)?;
        self.stream.write_all(&frame).await
    }

    /// The next message; an error of kind `UnexpectedEof` when the shim is gone.
    pub(super) async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        loop {
            if let Some(message) = take(&mut self.arrived).map_err(io::Error::other)? {
                return Ok(message);
            }
            if self.stream.read_buf(&mut self.arrived).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl Shim {
    /// Takes a connection on which nothing was asked yet, and waits on it for the end.
    pub(super) fn watched(
        bundle: Bundle,
        directory: File,
        pid: i32,
        cgroup: Cgroup,
        connection: Connection,
    ) -> Self {
        let (sender, end) = watch::channel(None);
        tokio::spawn(watch_end(
            bundle.clone(),
            cgroup.clone(),
            connection,
            sender,
        ));
        Self(Arc::new(Inner {
            bundle,
            directory,
            pid,
            cgroup,
            end,
        }))
    }

    /// Process id of init, as this host counts.
    pub fn init_pid(&self) -> i32 {
        self.0.pid
    }

    /// The directory with `config.json`.
    pub fn bundle(&self) -> &Path {
        self.0.bundle.directory()
    }

    /// The container's control group.
    pub fn cgroup(&self) -> &Cgroup {
        &self.0.cgroup
    }

    /// Lets init execute the program. Returns once it does, or why it cannot.
    pub async fn start(&self) -> Result<(), LaunchError> {
        self.ask_done(Request::Start).await
    }

    /// Sends `signal` to init.
    pub async fn signal(&self, signal: i32) -> Result<(), LaunchError> {
        self.ask_done(Request::Signal { exec: None, signal }).await
    }

    /// Sends SIGKILL to every process of the container.
    pub async fn kill_all(&self) -> Result<(), LaunchError> {
        self.ask_done(Request::KillAll).await
    }

    /// Changes the size of the terminal.
    pub async fn resize(&self, rows: u16, columns: u16) -> Result<(), LaunchError> {
        self.ask_done(Request::Resize {
            exec: None,
            rows,
            columns,
        })
        .await
    }

    /// Connects to the container's streams, from now on.
    pub async fn attach(&self, stdio: AttachStdio) -> Result<AttachStream, LaunchError> {
        let (reply, connection) = self.ask(&Request::Attach(stdio)).await?;
        match reply {
            Reply::Attached => Ok(connection.into_streams()),
            other => Err(self.unexpected(other)),
        }
    }

    /// Runs one more program.
    pub async fn exec(&self, mut spec: ExecSpec) -> Result<ExecProcess, LaunchError> {
        let mut warnings = Vec::new();
        fitting::fit_capabilities(&mut spec.process, &mut warnings)?;
        for warning in warnings {
            // An exec's answer has no place for it.
            tracing::warn!(exec = spec.id, warning, "fitted a command to this machine");
        }
        let id = spec.id.clone();
        let request = Request::Exec(Box::new(ExecRequest {
            id: spec.id,
            process: spec.process,
            user: spec.user,
            stdio: spec.stdio,
            console_size: spec.console_size,
        }));
        let (reply, connection) = self.ask(&request).await?;
        match reply {
            Reply::Started { pid } => Ok(ExecProcess {
                pid,
                stream: connection.into_streams(),
                id,
                shim: self.clone(),
            }),
            other => Err(self.unexpected(other)),
        }
    }

    /// Waits until init has ended, all output is in the log and the exit code is on disk.
    ///
    /// Any number of callers may wait, also after the end.
    pub async fn wait(&self) -> Result<ExitStatus, LaunchError> {
        let mut end = self.0.end.clone();
        let known = end.wait_for(Option::is_some).await;
        match known.map(|status| status.clone()) {
            Ok(Some(status)) => Ok(status),
            Ok(None) | Err(_) => Err(self.gone()),
        }
    }

    /// Sends `signal` to a program that was run by `exec`.
    pub async fn signal_exec(&self, id: &str, signal: i32) -> Result<(), LaunchError> {
        let exec = Some(id.to_owned());
        self.ask_done(Request::Signal { exec, signal }).await
    }

    /// Changes the terminal size of a program that was run by `exec`.
    pub async fn resize_exec(&self, id: &str, rows: u16, columns: u16) -> Result<(), LaunchError> {
        let exec = Some(id.to_owned());
        self.ask_done(Request::Resize {
            exec,
            rows,
            columns,
        })
        .await
    }

    /// How far a program is that was run by `exec`, perhaps by an earlier daemon; `None` when the
    /// shim knows nothing of it.
    pub async fn exec_state(&self, id: &str) -> Result<Option<ExecState>, LaunchError> {
        let exec = id.to_owned();
        match self.ask(&Request::ExecState { exec }).await?.0 {
            Reply::ExecState { pid, code } => Ok(Some(ExecState { pid, code })),
            Reply::Refused(_) => Ok(None),
            other => Err(self.unexpected(other)),
        }
    }

    /// Waits for the end of a program that was run by `exec`, also by an earlier daemon.
    pub async fn wait_exec(&self, id: &str) -> Result<i32, LaunchError> {
        let exec = Some(id.to_owned());
        match self.ask(&Request::Wait { exec }).await?.0 {
            Reply::ExecExited { code } => Ok(code),
            other => Err(self.unexpected(other)),
        }
    }

    async fn ask(&self, request: &Request) -> Result<(Reply, Connection), LaunchError> {
        let answer = async {
            let mut connection = Connection::open(&self.0.directory).await?;
            connection.send(request).await?;
            let reply = connection.receive().await?;
            io::Result::Ok((reply, connection))
        };
        answer.await.map_err(|source| {
            let action = "reach a shim";
            let unreached = LaunchError::System { action, source };
            if unreached.is_want() {
                unreached
            } else {
                self.gone()
            }
        })
    }

    async fn ask_done(&self, request: Request) -> Result<(), LaunchError> {
        match self.ask(&request).await?.0 {
            Reply::Done => Ok(()),
            other => Err(self.unexpected(other)),
        }
    }

    fn unexpected(&self, reply: Reply) -> LaunchError {
        match reply {
            Reply::Failed(failure) => LaunchError::Start(failure),
            Reply::Refused(why) => LaunchError::NotRunning(why),
            other => LaunchError::Protocol {
                bundle: self.bundle().to_owned(),
                answer: format!("{other:?}"),
            },
        }
    }

    fn gone(&self) -> LaunchError {
        LaunchError::ShimGone {
            bundle: self.bundle().to_owned(),
        }
    }
}

impl Connection {
    /// Whatever came behind the last reply belongs to the streams.
    fn into_streams(self) -> AttachStream {
        AttachStream::over(self.stream, &self.arrived)
    }
}

/// Waits for the end of a container and tells it.
async fn watch_end(
    bundle: Bundle,
    cgroup: Cgroup,
    mut connection: Connection,
    sender: watch::Sender<Option<ExitStatus>>,
) {
    let asked = connection.send(&Request::Wait { exec: None }).await;
    let told = match asked {
        Ok(()) => connection.receive::<Reply>().await,
        Err(error) => Err(error),
    };
    let status = if let Ok(Reply::Exited(status)) = told {
        Some(status)
    } else {
        let blocking = move || bury(&bundle, &cgroup);
        tokio::task::spawn_blocking(blocking).await.ok()
    };
    // Nobody may be waiting any more.
    let _previous = sender.send_replace(status);
}

/// What is left to do for a container whose shim is gone: end its processes, remove its control
/// group, record its end. Its mounts went with its processes.
pub(super) fn bury(bundle: &Bundle, cgroup: &Cgroup) -> ExitStatus {
    if let Ok(Some(status)) = bundle.exit_status() {
        return status;
    }
    let oom_killed = cgroup.oom_killed().unwrap_or(false);
    if let Err(error) = cgroup.destroy() {
        tracing::warn!(bundle = %bundle.directory().display(), %error, "control group stays");
    }
    let status = ExitStatus {
        code: LOST_CODE,
        oom_killed,
        finished_at: Timestamp::now(),
    };
    if let Err(error) = bundle.write_exit_status(&status) {
        tracing::warn!(bundle = %bundle.directory().display(), %error, "end not recorded");
    }
    status
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
