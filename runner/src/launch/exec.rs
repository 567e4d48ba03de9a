//! One more program in a running container, from its clone to its execution.
//!
//! Runs in a copy of the shim that was born in the container's pid namespace and control group.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use oci_spec::runtime::LinuxPersonality;

use super::StartFailure;
use super::error::Step;
use super::init::{self, ChildStdio, Program, Unattended};
use super::message::{ExecRequest, InitReport};
use crate::sys::message_socket::MessageSocket;
use crate::sys::{credentials, process};

/// What the process starts with; all of it made by the shim.
#[derive(Debug)]
pub(super) struct Setup<'a> {
    pub(super) container_id: &'a str,
    pub(super) request: &'a ExecRequest,
    /// The container's init.
    pub(super) init: BorrowedFd<'a>,
    /// `CLONE_NEW*` of the namespaces to join.
    pub(super) namespaces: i32,
    /// The container's ids are those of a user namespace.
    pub(super) in_user_namespace: bool,
    pub(super) tasks: Vec<File>,
    /// `None` with a terminal, which is made here.
    pub(super) stdio: Option<ChildStdio>,
    pub(super) seccomp: Option<Vec<u8>>,
    pub(super) socket: MessageSocket,
    /// There is no shim.
    pub(super) unattended: Option<Unattended>,
    pub(super) personality: Option<LinuxPersonality>,
}

/// Becomes the program; returns an exit code when that fails.
pub(super) fn run(mut setup: Setup<'_>) -> i32 {
    let failure = match start(&mut setup) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    init::report(&setup.socket, &InitReport::Failed(failure.clone()), None);
    failure.exit_code
}

fn start(setup: &mut Setup<'_>) -> Result<std::convert::Infallible, StartFailure> {
    let process = &setup.request.process;
    close_foreign(setup)?;
    init::join_groups(&setup.tasks)?;
    init::write_own_settings(process)?;
    init::shield(setup.unattended.is_none())?;
    process::join_namespace(setup.init, setup.namespaces)
        .step(|| "cannot join the container's namespaces".to_owned())?;
    if setup.in_user_namespace {
        credentials::become_namespace_root()
            .step(|| "cannot become root in the namespace".to_owned())?;
    }
    process::new_session().step(|| "cannot start a session".to_owned())?;
    init::join_session_keyring(setup.container_id)?;
    let root = File::open("/").step(|| "cannot open the container's root".to_owned())?;
    let (stdio, master) = match setup.stdio.take() {
        Some(stdio) => (stdio, None),
        None => init::open_terminal(root.as_fd(), setup.request.console_size)
            .map(|(stdio, master)| (stdio, Some(master)))?,
    };
    let program = Program::find(root.as_fd(), process, setup.request.user.as_ref())?
        .with_personality(setup.personality.take())
        .unattended(setup.unattended);
    let master = master.as_ref().map(OwnedFd::as_fd);
    init::report(&setup.socket, &InitReport::Ready, master);
    program.take_streams(&stdio)?;
    Err(program.execute(process, setup.seccomp.as_deref(), &setup.socket))
}

fn close_foreign(setup: &Setup<'_>) -> Result<(), StartFailure> {
    let mut keep = vec![setup.init.as_raw_fd(), setup.socket.as_fd().as_raw_fd()];
    keep.extend(setup.tasks.iter().map(std::os::fd::AsRawFd::as_raw_fd));
    if let Some(unattended) = setup.unattended {
        keep.extend((3..).take(unattended.n_preserved as usize));
    }
    if let Some(stdio) = &setup.stdio {
        keep.extend(
            [&stdio.stdin, &stdio.stdout, &stdio.stderr].map(std::os::fd::AsRawFd::as_raw_fd),
        );
    }
    process::close_all_except(&mut keep).step(|| "cannot close descriptors".to_owned())
}
