//! What the daemon may ask of a shim.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use super::connection::Role;
use super::create::{self, INIT};
use super::event_loop::Shim;
use super::program::{self, Ends, Program, Stage};
use super::watch::{Source, Watch};
use crate::launch::cgroup::Entrance;
use crate::launch::error::{Step, reason};
use crate::launch::exec;
use crate::launch::init::ChildStdio;
use crate::launch::message::{ExecRequest, InitOrder, MessageError, Reply, Request};
use crate::launch::namespaces;
use crate::launch::{AttachStdio, StartFailure, StdinMode};
use crate::sys::message_socket::MessageSocket;
use crate::sys::process::{self, Child, CloneRequest};

const SIGKILL: i32 = 9;

impl Shim {
    /// Answers every whole request in what has arrived.
    pub(super) fn on_requests(&mut self, from: u32, bytes: &[u8]) {
        let mut more = bytes;
        loop {
            let Some(connection) = self.connections.get_mut(&from) else {
                return;
            };
            match connection.next_request(more) {
                Ok(Some(request)) => self.on_request(from, request),
                Ok(None) => return,
                Err(error @ (MessageError::TooLong(_) | MessageError::Syntax(_))) => {
                    connection.reply(&Reply::Refused(error.to_string()));
                    connection.closing = true;
                    return;
                }
            }
            more = &[];
            let still_requests = self
                .connections
                .get(&from)
                .is_some_and(|it| it.role == Role::Requests && !it.paused);
            if !still_requests {
                return;
            }
        }
    }

    fn on_request(&mut self, from: u32, request: Request) {
        let reply = match request {
            Request::State => Some(self.state()),
            Request::Start => self.start(from),
            Request::Signal { exec, signal } => Some(match self.find(exec.as_deref()) {
                Some(program) => done(program.signal(signal)),
                None => no_such_program(),
            }),
            Request::KillAll => Some(self.kill_all()),
            Request::Resize {
                exec,
                rows,
                columns,
            } => Some(match self.find(exec.as_deref()) {
                Some(program) => done(program.resize(rows, columns)),
                None => no_such_program(),
            }),
            Request::Attach(wanted) => {
                self.attach(from, wanted);
                None
            }
            Request::Exec(request) => match self.exec(from, &request) {
                Ok(()) => None,
                Err(failure) => Some(Reply::Failed(failure)),
            },
            Request::ExecState { exec } => Some(self.exec_state(&exec)),
            Request::Wait { exec } => self.wait(from, exec.as_deref()),
        };
        if let Some(reply) = reply {
            self.reply(from, &reply);
        }
    }

    fn state(&self) -> Reply {
        if let Some(exit) = &self.exit {
            return Reply::Exited(exit.clone());
        }
        let init = self.programs.get(&INIT);
        Reply::State {
            pid: init.map_or(0, |init| init.pid),
            started: init.is_some_and(|init| !matches!(init.stage, Stage::Waiting(_))),
        }
    }

    fn exec_state(&self, exec: &str) -> Reply {
        let found = |program: &&Program| program.id.as_deref() == Some(exec);
        match self.programs.values().find(found) {
            Some(program) => Reply::ExecState {
                pid: program.pid,
                code: program.exit_code().filter(|_| program.is_finished()),
            },
            None => no_such_program(),
        }
    }

    /// The program of an exec, or init.
    fn find(&self, exec: Option<&str>) -> Option<&Program> {
        match exec {
            None => self.programs.get(&INIT),
            Some(_) => self
                .programs
                .values()
                .find(|program| program.id.as_deref() == exec),
        }
    }

    fn start(&mut self, from: u32) -> Option<Reply> {
        let init = self.programs.get_mut(&INIT)?;
        let reports = match std::mem::replace(&mut init.stage, Stage::Running) {
            Stage::Waiting(reports) => reports,
            other => {
                init.stage = other;
                return Some(Reply::Refused(
                    "the container was started before".to_owned(),
                ));
            }
        };
        let ordered = create::order(&reports.fd, InitOrder::Start);
        init.stage = Stage::Starting {
            reports,
            asked_by: from,
            failure: ordered.err(),
        };
        None
    }

    pub(super) fn start_succeeded(&mut self, asked_by: u32, index: u32, pid: i32) {
        if index == INIT {
            self.reply(asked_by, &Reply::Done);
            return;
        }
        self.reply(asked_by, &Reply::Started { pid });
        let Some(connection) = self.connections.get_mut(&asked_by) else {
            return;
        };
        connection.paused = false;
        let input = connection.take_arrived();
        if let Some(program) = self.programs.get_mut(&index) {
            program.push_input(&input);
        }
    }

    pub(super) fn start_failed(&mut self, asked_by: u32, index: u32, failure: StartFailure) {
        self.reply(asked_by, &Reply::Failed(failure));
        if let Some(connection) = self.connections.get_mut(&asked_by) {
            connection.paused = false;
            if index != INIT {
                connection.role = Role::Requests;
            }
        }
    }

    fn kill_all(&mut self) -> Reply {
        if self.exit.is_some() {
            return no_such_program();
        }
        // Init first: it ends with it whatever the control groups can do.
        if let Some(init) = self.programs.get(&INIT) {
            let _dead_already = init.signal(SIGKILL);
        }
        match self.container.cgroup.kill() {
            Ok(()) => Reply::Done,
            Err(error) => Reply::Refused(error.to_string()),
        }
    }

    fn attach(&mut self, from: u32, wanted: AttachStdio) {
        let ended = self.exit.is_some();
        let Some(connection) = self.connections.get_mut(&from) else {
            return;
        };
        if ended {
            connection.reply(&no_such_program());
            return;
        }
        connection.reply(&Reply::Attached);
        connection.role = Role::Streams {
            program: INIT,
            wanted,
        };
        let input = connection.take_arrived();
        if let Some(init) = self.programs.get_mut(&INIT).filter(|_| wanted.stdin) {
            init.push_input(&input);
        }
    }

    fn wait(&mut self, from: u32, exec: Option<&str>) -> Option<Reply> {
        let found = self
            .programs
            .iter()
            .find(|(index, program)| match exec {
                None => **index == INIT,
                Some(_) => program.id.as_deref() == exec,
            })
            .map(|(index, _)| *index);
        let Some(index) = found else {
            return Some(no_such_program());
        };
        let end = self.end_of(index);
        if end.is_none() {
            let program = self.programs.get_mut(&index)?;
            program.waiters.push(from);
        }
        end
    }

    /// Begins an exec; the reply comes when it was executed.
    fn exec(&mut self, from: u32, request: &ExecRequest) -> Result<(), StartFailure> {
        if self.find(Some(&request.id)).is_some() {
            return Err(StartFailure::setup("an exec of that id was started before"));
        }
        let wanted = request.stdio;
        let (stdio, ends) = if request.process.terminal() == Some(true) {
            (None, Ends::default())
        } else {
            program::pipes(wanted.stdin, wanted.stdout, wanted.stderr)
                .map(|(stdio, ends)| (Some(stdio), ends))
                .step(|| "cannot make pipes".to_owned())?
        };
        let (reports, socket) = MessageSocket::pair().step(|| "cannot make a socket".to_owned())?;
        let child = self.clone_exec(request, stdio, socket)?;
        let index = self.next_program;
        self.next_program += 1;
        let stage = Stage::Starting {
            reports: Watch::new(reports, Source::Report(index)),
            asked_by: from,
            failure: None,
        };
        let id = Some(request.id.clone());
        let mut program = Program::new(index, child, id, stage, StdinMode::Once);
        program
            .set_streams(index, ends)
            .step(|| "cannot set up the streams".to_owned())?;
        self.programs.insert(index, program);
        if let Some(connection) = self.connections.get_mut(&from) {
            connection.paused = true;
            connection.role = Role::Streams {
                program: index,
                wanted,
            };
        }
        Ok(())
    }

    fn clone_exec(
        &self,
        request: &ExecRequest,
        stdio: Option<ChildStdio>,
        socket: MessageSocket,
    ) -> Result<Child, StartFailure> {
        let init = self
            .programs
            .get(&INIT)
            .filter(|init| matches!(init.stage, Stage::Running))
            .ok_or_else(|| StartFailure::setup("the container is not running"))?;
        let container = &self.container;
        let seccomp = container.bundle.seccomp()?;
        let _borrowed = namespaces::borrow_pids(init.pidfd())?;
        let clone = |Entrance { birthplace, tasks }| {
            let setup = exec::Setup {
                container_id: &container.id,
                request,
                init: init.pidfd(),
                namespaces: container.namespaces.for_exec(),
                in_user_namespace: container.namespaces.maps_users(),
                tasks,
                stdio,
                seccomp,
                socket,
                unattended: None,
                personality: None,
            };
            let clone = CloneRequest {
                namespaces: 0,
                cgroup: birthplace.as_ref().map(OwnedFd::as_fd),
                sibling: false,
            };
            process::clone_process(clone, move || exec::run(setup))
        };
        let entrance = if container.cgroup.takes_processes() {
            container.cgroup.entrance()
        } else {
            container.cgroup.entrance_beside(init.pid)
        };
        clone(entrance?).step(|| "cannot clone a process".to_owned())
    }
}

fn done(result: io::Result<()>) -> Reply {
    match result {
        Ok(()) => Reply::Done,
        Err(error) => Reply::Refused(reason(&error)),
    }
}

fn no_such_program() -> Reply {
    Reply::Refused("the process has ended".to_owned())
}
