//! One program of the container (init or that of an exec) as the shim looks after it.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::watch::{READ, Source, WRITE, Watch};
use crate::launch::init::ChildStdio;
use crate::launch::message::InitReport;
use crate::launch::{StartFailure, StdinMode};
use crate::spec::StdStream;
use crate::sys::events::{self, Poller};
use crate::sys::message_socket::MessageSocket;
use crate::sys::process::{self, Child};
use crate::sys::terminal;

/// Input that the program has not read; beyond it clients are not read from.
const MAX_PENDING_INPUT_BYTES: usize = 64 * 1024;

/// How long streams may stay open after the program: somebody else holds them.
const LINGER: Duration = Duration::from_secs(2);

/// The shim's ends of a program's streams.
#[derive(Debug, Default)]
pub(super) struct Ends {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

/// Where a program is in its life.
#[derive(Debug)]
pub(super) enum Stage {
    /// Init waits for the order to start.
    Waiting(Watch<MessageSocket>),
    /// On its way to the execution; this connection wants to know how it goes.
    Starting {
        reports: Watch<MessageSocket>,
        asked_by: u32,
        failure: Option<StartFailure>,
    },
    Running,
    Ended {
        code: i32,
        at: Instant,
    },
}

#[derive(Debug)]
pub(super) struct Program {
    /// The exec's id; `None` for init.
    pub(super) id: Option<String>,
    pub(super) pid: i32,
    exit: Watch<OwnedFd>,
    pub(super) stage: Stage,
    stdin_mode: StdinMode,
    stdin: Option<Watch<OwnedFd>>,
    stdout: Option<Watch<OwnedFd>>,
    stderr: Option<Watch<OwnedFd>>,
    /// The master of the program's terminal, for its size.
    terminal: Option<OwnedFd>,
    pending_input: Vec<u8>,
    /// No input follows what is pending.
    input_ends: bool,
    /// Connections that wait for the end.
    pub(super) waiters: Vec<u32>,
}

impl Program {
    pub(super) fn new(
        index: u32,
        child: Child,
        id: Option<String>,
        stage: Stage,
        stdin_mode: StdinMode,
    ) -> Self {
        Self {
            id,
            pid: child.pid,
            exit: Watch::new(child.pidfd, Source::Exit(index)),
            stage,
            stdin_mode,
            stdin: None,
            stdout: None,
            stderr: None,
            terminal: None,
            pending_input: Vec::new(),
            input_ends: false,
            waiters: Vec::new(),
        }
    }

    /// Takes the shim's ends of pipes.
    pub(super) fn set_streams(&mut self, index: u32, ends: Ends) -> io::Result<()> {
        let watch = |fd: Option<OwnedFd>, source| -> io::Result<Option<Watch<OwnedFd>>> {
            let Some(fd) = fd else {
                return Ok(None);
            };
            events::set_nonblocking(&fd)?;
            Ok(Some(Watch::new(fd, source)))
        };
        self.stdin = watch(ends.stdin, Source::Input(index))?;
        self.stdout = watch(ends.stdout, Source::Output(index, StdStream::Stdout))?;
        self.stderr = watch(ends.stderr, Source::Output(index, StdStream::Stderr))?;
        Ok(())
    }

    /// Takes the master of the program's terminal, which carries both directions.
    pub(super) fn set_terminal(&mut self, index: u32, master: OwnedFd) -> io::Result<()> {
        let ends = Ends {
            stdin: Some(master.try_clone()?),
            stdout: Some(master.try_clone()?),
            stderr: None,
        };
        self.terminal = Some(master);
        self.set_streams(index, ends)
    }

    pub(super) fn resize(&self, rows: u16, columns: u16) -> io::Result<()> {
        match &self.terminal {
            Some(master) => terminal::resize(master, rows, columns),
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(super) fn signal(&self, signal: i32) -> io::Result<()> {
        process::send_signal(self.exit.as_fd(), signal)
    }

    /// For joining its namespaces.
    pub(super) fn pidfd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.exit.as_fd()
    }

    pub(super) fn exit_code(&self) -> Option<i32> {
        match self.stage {
            Stage::Ended { code, .. } => Some(code),
            Stage::Waiting(_) | Stage::Starting { .. } | Stage::Running => None,
        }
    }

    /// Ended, and every byte it wrote was read.
    pub(super) fn is_finished(&self) -> bool {
        self.exit_code().is_some() && self.stdout.is_none() && self.stderr.is_none()
    }

    /// When streams that are still open must be given up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Ended { at, .. } if !self.is_finished() => Some(at + LINGER),
            Stage::Ended { .. } | Stage::Waiting(_) | Stage::Starting { .. } | Stage::Running => {
                None
            }
        }
    }

    pub(super) fn give_up_streams(&mut self) {
        self.stdout = None;
        self.stderr = None;
    }

    /// Reaps the program if it has ended; `true` when it has just now.
    pub(super) fn reap(&mut self) -> io::Result<bool> {
        if self.exit_code().is_some() {
            return Ok(false);
        }
        let Some(code) = process::reap(self.exit.as_fd())? else {
            return Ok(false);
        };
        self.stage = Stage::Ended {
            code,
            at: Instant::now(),
        };
        self.stdin = None;
        self.pending_input = Vec::new();
        Ok(true)
    }

    /// The next report of a program that is being started; `None` when it was executed.
    pub(super) fn receive_report(&mut self) -> io::Result<Option<(InitReport, Option<OwnedFd>)>> {
        let (Stage::Waiting(reports) | Stage::Starting { reports, .. }) = &self.stage else {
            return Ok(None);
        };
        let Some((bytes, descriptor)) = reports.fd.receive()? else {
            return Ok(None);
        };
        let report = serde_json::from_slice(&bytes)?;
        Ok(Some((report, descriptor)))
    }

    /// One buffer of output; empty at its end, which closes the stream.
    pub(super) fn read_output<'a>(
        &mut self,
        stream: StdStream,
        buffer: &'a mut [u8],
    ) -> Option<&'a [u8]> {
        let end = match stream {
            StdStream::Stdout => &mut self.stdout,
            StdStream::Stderr => &mut self.stderr,
        };
        let watch = end.as_ref()?;
        match events::read(watch.as_fd(), buffer) {
            Ok(length) if length > 0 => Some(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            // The end; a terminal says so with an error.
            Ok(_) | Err(_) => {
                *end = None;
                Some(&buffer[..0])
            }
        }
    }

    pub(super) fn takes_input(&self) -> bool {
        self.stdin.is_some() && !self.input_ends
    }

    pub(super) fn has_room_for_input(&self) -> bool {
        self.pending_input.len() < MAX_PENDING_INPUT_BYTES
    }

    /// Hands `bytes` to the program, now or as it reads.
    pub(super) fn push_input(&mut self, bytes: &[u8]) {
        if self.takes_input() {
            self.pending_input.extend_from_slice(bytes);
            self.flush_input();
        }
    }

    /// A client's input ended.
    pub(super) fn end_input(&mut self) {
        // A terminal has no end of file: its users type one.
        if self.stdin_mode == StdinMode::Once && self.terminal.is_none() {
            self.input_ends = true;
            self.flush_input();
        }
    }

    pub(super) fn flush_input(&mut self) {
        let Some(stdin) = &self.stdin else {
            self.pending_input = Vec::new();
            return;
        };
        let mut written = 0;
        let mut broken = false;
        while written < self.pending_input.len() && !broken {
            match events::write(stdin.as_fd(), &self.pending_input[written..]) {
                Ok(length) => written += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => broken = true,
            }
        }
        self.pending_input.drain(..written);
        if self.pending_input.is_empty() || broken {
            self.pending_input = Vec::new();
            if broken || self.input_ends {
                self.stdin = None;
            }
        }
    }

    /// Watches what is of interest now; `held_back` while a client is slow.
    pub(super) fn update_interest(
        &mut self,
        poller: &Rc<Poller>,
        held_back: bool,
    ) -> io::Result<()> {
        let ended = self.exit_code().is_some();
        self.exit.set(poller, (!ended).then_some(READ))?;
        if let Stage::Waiting(reports) | Stage::Starting { reports, .. } = &mut self.stage {
            reports.set(poller, Some(READ))?;
        }
        if let Some(stdin) = &mut self.stdin {
            stdin.set(poller, (!self.pending_input.is_empty()).then_some(WRITE))?;
        }
        // Not before whoever started it was told that it runs. After the end at most a pipe
        // full is left: that is read whatever the clients do.
        let starting = matches!(self.stage, Stage::Waiting(_) | Stage::Starting { .. });
        let reads = ended || !(held_back || starting);
        for output in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            output.set(poller, reads.then_some(READ))?;
        }
        Ok(())
    }
}

/// The ends of new pipes: the program's and the shim's. What is not wanted is `/dev/null`.
pub(super) fn pipes(stdin: bool, stdout: bool, stderr: bool) -> io::Result<(ChildStdio, Ends)> {
    let null = |write: bool| -> io::Result<OwnedFd> {
        let file = std::fs::OpenOptions::new()
            .read(!write)
            .write(write)
            .open("/dev/null")?;
        Ok(file.into())
    };
    let output = |wanted: bool| -> io::Result<(OwnedFd, Option<OwnedFd>)> {
        if !wanted {
            return Ok((null(true)?, None));
        }
        let (reader, writer) = events::pipe()?;
        Ok((writer, Some(reader)))
    };
    let (child_stdin, own_stdin) = if stdin {
        let (reader, writer) = events::pipe()?;
        (reader, Some(writer))
    } else {
        (null(false)?, None)
    };
    let (child_stdout, own_stdout) = output(stdout)?;
    let (child_stderr, own_stderr) = output(stderr)?;
    Ok((
        ChildStdio {
            stdin: child_stdin,
            stdout: child_stdout,
            stderr: child_stderr,
        },
        Ends {
            stdin: own_stdin,
            stdout: own_stdout,
            stderr: own_stderr,
        },
    ))
}
