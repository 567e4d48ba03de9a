//! The loop of the shim: everything it does between the start of a container and its end.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::connection::{Arrival, Connection, Role};
use super::create::{Container, INIT};
use super::program::{Program, Stage};
use super::watch::{READ, Source, Watch};
use crate::launch::ExitStatus;
use crate::launch::log_writer::LogWriter;
use crate::launch::message::{InitReport, Reply};
use crate::spec::StdStream;
use crate::sys::events::{Poller, Ready};
use crate::sys::process;

/// Output and input go through one buffer of this size.
const BUFFER_BYTES: usize = 32 * 1024;

/// Ends of execs that are remembered for whoever asks later.
const MAX_ENDED_EXECS: usize = 64;

/// How often and how long the removal of a control group is tried while processes die in it.
const REMOVAL_PAUSE: Duration = Duration::from_millis(2);
const REMOVAL_PATIENCE: Duration = Duration::from_secs(10);

/// A container in the hands of its shim.
#[derive(Debug)]
pub(super) struct Shim {
    pub(super) container: Container,
    pub(super) poller: Rc<Poller>,
    listener: Watch<UnixListener>,
    log: Option<LogWriter>,
    buffer: Vec<u8>,
    /// By numbers that are never used twice, as are the programs.
    pub(super) connections: BTreeMap<u32, Connection>,
    pub(super) programs: BTreeMap<u32, Program>,
    next_connection: u32,
    pub(super) next_program: u32,
    /// How init ended, once that is on disk.
    pub(super) exit: Option<ExitStatus>,
    /// Until when the control group's removal is tried; `None` when it is gone.
    removal: Option<Instant>,
}

impl Shim {
    pub(super) fn new(
        container: Container,
        listener: UnixListener,
        log: Option<LogWriter>,
        init: Program,
    ) -> io::Result<Self> {
        Ok(Self {
            container,
            poller: Rc::new(Poller::new()?),
            listener: Watch::new(listener, Source::Listener),
            log,
            buffer: vec![0; BUFFER_BYTES],
            connections: BTreeMap::new(),
            programs: BTreeMap::from([(INIT, init)]),
            next_connection: 0,
            next_program: INIT + 1,
            exit: None,
            removal: None,
        })
    }

    /// Serves `daemon` and whoever connects, until the container has ended and all was told.
    pub(super) fn serve(&mut self, daemon: UnixStream) -> io::Result<()> {
        let pid = self.programs.get(&INIT).map_or(0, |init| init.pid);
        let first = self.add_connection(daemon)?;
        self.reply(first, &Reply::Created { pid });
        // While the daemon does its part: what made the container is needed no more.
        process::trim_memory();
        loop {
            self.settle()?;
            if self.is_over() {
                return Ok(());
            }
            for ready in self.poller.wait(self.timeout())? {
                self.dispatch(ready)?;
            }
        }
    }

    fn dispatch(&mut self, ready: Ready) -> io::Result<()> {
        match Source::from_token(ready.token) {
            Some(Source::Listener) => self.accept(),
            Some(Source::Connection(index)) => {
                self.on_connection(index, ready);
                Ok(())
            }
            Some(Source::Exit(index)) => self.on_exit(index),
            Some(Source::Report(index)) => self.on_report(index),
            Some(Source::Input(index)) => {
                if let Some(program) = self.programs.get_mut(&index) {
                    program.flush_input();
                }
                Ok(())
            }
            Some(Source::Output(index, stream)) => {
                self.on_output(index, stream);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        match self.listener.fd.accept() {
            Ok((stream, _)) => self.add_connection(stream).map(drop),
            // Gone again, or no descriptor left: the client sees it.
            Err(_) => Ok(()),
        }
    }

    fn add_connection(&mut self, stream: UnixStream) -> io::Result<u32> {
        let index = self.next_connection;
        self.next_connection += 1;
        self.connections
            .insert(index, Connection::new(stream, index)?);
        Ok(index)
    }

    pub(super) fn reply(&mut self, connection: u32, reply: &Reply) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.reply(reply);
        }
    }

    fn on_connection(&mut self, index: u32, ready: Ready) {
        let Some(connection) = self.connections.get_mut(&index) else {
            return;
        };
        if ready.writable {
            connection.flush();
        }
        if ready.hung_up {
            connection.hang_up();
        }
        if !ready.readable {
            return;
        }
        match (connection.read(&mut self.buffer), connection.role) {
            (Arrival::Bytes(bytes), Role::Requests) => self.on_requests(index, &bytes),
            (Arrival::Bytes(bytes), Role::Streams { program, wanted }) => {
                if let Some(program) = self.programs.get_mut(&program).filter(|_| wanted.stdin) {
                    program.push_input(&bytes);
                }
            }
            (Arrival::End, Role::Requests) => connection.give_up(),
            (Arrival::End, Role::Streams { program, wanted }) => {
                if let Some(program) = self.programs.get_mut(&program).filter(|_| wanted.stdin) {
                    program.end_input();
                }
            }
            (Arrival::Nothing, _) => {}
        }
    }

    fn on_output(&mut self, index: u32, stream: StdStream) {
        let Some(program) = self.programs.get_mut(&index) else {
            return;
        };
        let Some(bytes) = program.read_output(stream, &mut self.buffer) else {
            return;
        };
        if bytes.is_empty() {
            return;
        }
        if let Some(log) = self.log.as_mut().filter(|_| index == INIT) {
            log.append(stream, bytes, Timestamp::now());
        }
        for connection in self.connections.values_mut() {
            if connection.takes(index, stream) {
                connection.send_output(stream, bytes);
            }
        }
    }

    /// A program that is being started has something to say, or was executed.
    pub(super) fn on_report(&mut self, index: u32) -> io::Result<()> {
        let Some(program) = self.programs.get_mut(&index) else {
            return Ok(());
        };
        if matches!(program.stage, Stage::Waiting(_)) {
            // Init ended before its time; the loop is told by its pidfd as well.
            program.stage = Stage::Running;
            return Ok(());
        }
        let report = program.receive_report()?;
        let Stage::Starting {
            asked_by, failure, ..
        } = &mut program.stage
        else {
            return Ok(());
        };
        let asked_by = *asked_by;
        match report {
            Some((InitReport::Ready, Some(master))) => program.set_terminal(index, master),
            Some((InitReport::Failed(reason), _)) => {
                *failure = Some(reason);
                Ok(())
            }
            Some(_) => Ok(()),
            None => {
                let failure = failure.take();
                let pid = program.pid;
                program.stage = Stage::Running;
                match failure {
                    Some(failure) => self.start_failed(asked_by, index, failure),
                    None => self.start_succeeded(asked_by, index, pid),
                }
                Ok(())
            }
        }
    }

    fn on_exit(&mut self, index: u32) -> io::Result<()> {
        // Whoever started it hears first that it ran.
        while let Some(Program {
            stage: Stage::Starting { .. },
            ..
        }) = self.programs.get(&index)
        {
            self.on_report(index)?;
        }
        let Some(program) = self.programs.get_mut(&index) else {
            return Ok(());
        };
        if program.reap()? && index == INIT && !self.container.namespaces.has_own_pids() {
            // With a pid namespace of its own all has ended with it; otherwise it ends now.
            let _tried_again_at_removal = self.container.cgroup.kill();
        }
        Ok(())
    }

    /// Brings everything in line with what has happened.
    fn settle(&mut self) -> io::Result<()> {
        let now = Instant::now();
        for program in self.programs.values_mut() {
            if program.deadline().is_some_and(|deadline| deadline <= now) {
                program.give_up_streams();
            }
        }
        self.settle_programs();
        self.settle_removal(now);
        for connection in self.connections.values_mut().filter(|it| it.is_done()) {
            if let Role::Streams { program, .. } = connection.role
                && connection.sends_input()
                && let Some(program) = self.programs.get_mut(&program)
            {
                program.end_input();
            }
        }
        self.connections
            .retain(|_, connection| !connection.is_done());
        self.update_interests()
    }

    /// Tells the ends of programs to those who wait for them.
    fn settle_programs(&mut self) {
        let finished: Vec<u32> = self
            .programs
            .iter()
            .filter(|(_, program)| program.is_finished())
            .map(|(index, _)| *index)
            .collect();
        for index in finished {
            if index == INIT && self.exit.is_none() {
                self.finish_container();
            }
            let reply = self.end_of(index);
            let Some(program) = self.programs.get_mut(&index) else {
                continue;
            };
            let waiters = std::mem::take(&mut program.waiters);
            if let Some(reply) = reply {
                for waiter in waiters {
                    self.reply(waiter, &reply);
                }
            }
            for connection in self.connections.values_mut() {
                connection.closing |= connection.is_attached_to(index);
            }
        }
        let ended: Vec<u32> = self
            .programs
            .iter()
            .filter(|(index, program)| **index != INIT && program.is_finished())
            .map(|(index, _)| *index)
            .collect();
        for oldest in ended
            .iter()
            .take(ended.len().saturating_sub(MAX_ENDED_EXECS))
        {
            self.programs.remove(oldest);
        }
    }

    /// The reply to those who wait for a program's end, once it is told.
    pub(super) fn end_of(&self, index: u32) -> Option<Reply> {
        let program = self.programs.get(&index)?;
        if index == INIT {
            return self.exit.clone().map(Reply::Exited);
        }
        let code = program.exit_code().filter(|_| program.is_finished())?;
        Some(Reply::ExecExited { code })
    }

    /// Init has ended and all its output was read: records that, then lets it be known.
    fn finish_container(&mut self) {
        if let Some(mut log) = self.log.take() {
            log.finish();
        }
        let code = self.programs.get(&INIT).and_then(Program::exit_code);
        let exit = ExitStatus {
            code: code.unwrap_or(128),
            oom_killed: self.container.cgroup.oom_killed().unwrap_or(false),
            finished_at: Timestamp::now(),
        };
        self.removal = Some(Instant::now() + REMOVAL_PATIENCE);
        self.settle_removal(Instant::now());
        // A disk that takes nothing more must not keep the end from those who wait.
        let bundle = &self.container.bundle;
        let _those_who_wait_hear_them = bundle.write_exec_codes(&self.exec_codes());
        let _those_who_wait_hear_it = bundle.write_exit_status(&exit);
        self.exit = Some(exit);
    }

    /// The ends of execs that a daemon which is away now has not heard of.
    fn exec_codes(&self) -> BTreeMap<String, i32> {
        self.programs
            .values()
            .filter_map(|program| Some((program.id.clone()?, program.exit_code()?)))
            .collect()
    }

    fn settle_removal(&mut self, now: Instant) {
        let Some(deadline) = self.removal else {
            return;
        };
        match self.container.cgroup.try_remove() {
            Ok(true) => self.removal = None,
            _ if now > deadline => self.removal = None,
            _ => {
                let _tried_again = self.container.cgroup.kill();
            }
        }
    }

    fn update_interests(&mut self) -> io::Result<()> {
        self.listener.set(&self.poller, Some(READ))?;
        for (index, program) in &mut self.programs {
            let held_back = self
                .connections
                .values()
                .any(|it| it.is_attached_to(*index) && it.is_slow());
            program.update_interest(&self.poller, held_back)?;
        }
        for connection in self.connections.values_mut() {
            let mut room = true;
            // An exec's terminal comes with its first report: until then there is no input yet,
            // which is not the same as none ever.
            if let Role::Streams { program, wanted } = connection.role
                && wanted.stdin
                && !connection.paused
            {
                match self.programs.get(&program) {
                    Some(program) if program.takes_input() => {
                        room = program.has_room_for_input();
                    }
                    _ => connection.refuse_input(),
                }
            }
            connection.update_interest(&self.poller, room)?;
        }
        Ok(())
    }

    fn timeout(&self) -> Option<Duration> {
        let deadlines = self.programs.values().filter_map(Program::deadline);
        let now = Instant::now();
        let removal = self.removal.map(|_| now + REMOVAL_PAUSE);
        let next = deadlines.chain(removal).min()?;
        // Rounded up: epoll counts whole milliseconds, and waking early would spin.
        Some(next.saturating_duration_since(now) + Duration::from_millis(1))
    }

    fn is_over(&self) -> bool {
        self.exit.is_some()
            && self.removal.is_none()
            && self.programs.values().all(Program::is_finished)
            && !self.connections.values().any(Connection::has_pending)
    }
}
