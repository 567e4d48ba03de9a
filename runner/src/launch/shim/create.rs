//! Makes a container: control group, root, streams, init. On a failure nothing is left.

use std::fs::{self, File};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;

use oci_spec::runtime::Spec;

use super::event_loop::Shim;
use super::program::{self, Ends, Program, Stage};
use super::rootfs;
use super::watch::{Source, Watch};
use crate::launch::birth;
use crate::launch::bundle::Bundle;
use crate::launch::cgroup::Entrance;
use crate::launch::error::Step;
use crate::launch::id_maps::IdMaps;
use crate::launch::init::{self, ChildStdio};
use crate::launch::log_writer::LogWriter;
use crate::launch::message::{InitOrder, InitReport};
use crate::launch::namespaces::Namespaces;
use crate::launch::{Cgroup, ShimConfig, StartFailure, StdinMode};
use crate::sys::message_socket::MessageSocket;
use crate::sys::process::{self, Child};

/// Init is the first program.
pub(super) const INIT: u32 = 0;

/// What of a container outlives its creation in the shim's memory.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) bundle: Bundle,
    pub(super) cgroup: Cgroup,
    pub(super) namespaces: Namespaces,
}

pub(super) fn create(bundle: &Bundle) -> Result<Shim, StartFailure> {
    let spec = bundle.spec()?;
    let config = bundle.shim_config()?;
    let container = Container {
        id: config.id.clone(),
        bundle: bundle.clone(),
        cgroup: Bundle::cgroup(&spec)?,
        namespaces: Namespaces::of(&spec)?,
    };
    let listener = listen(bundle)?;
    let log = match &config.log {
        Some(log) => Some(
            LogWriter::open(log.clone()).step(|| format!("cannot open {}", log.path.display()))?,
        ),
        None => None,
    };
    let resources = spec.linux().as_ref().and_then(|it| it.resources().as_ref());
    let init = container
        .cgroup
        .create(resources)
        .map_err(StartFailure::from)
        .and_then(|()| start_init(&container, &spec, &config));
    match init {
        Ok(init) => {
            Shim::new(container, listener, log, init).step(|| "cannot set up the shim".to_owned())
        }
        Err(failure) => {
            let _first_failure_counts = container.cgroup.destroy();
            let _nobody_is_to_connect = fs::remove_file(bundle.socket());
            Err(failure)
        }
    }
}

/// Listens in the bundle. By way of the directory's descriptor: a socket's address is short.
fn listen(bundle: &Bundle) -> Result<UnixListener, StartFailure> {
    let what = || format!("cannot listen in {}", bundle.directory().display());
    let directory = File::open(bundle.directory()).step(what)?;
    let name = Bundle::SOCKET_NAME;
    let address = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
    let listener = UnixListener::bind(address).step(what)?;
    listener.set_nonblocking(true).step(what)?;
    Ok(listener)
}

fn start_init(
    container: &Container,
    spec: &Spec,
    config: &ShimConfig,
) -> Result<Program, StartFailure> {
    let process = init::process_of(spec)?;
    let terminal = process.terminal() == Some(true);
    let (stdio, ends) = if terminal {
        (None, Ends::default())
    } else {
        let (stdio, ends) = program::pipes(config.stdin != StdinMode::Closed, true, true)
            .step(|| "cannot make pipes".to_owned())?;
        (Some(stdio), ends)
    };
    let (socket, init_socket) = MessageSocket::pair().step(|| "cannot make a socket".to_owned())?;
    let child = clone_init(container, spec, config, (stdio, init_socket))?;
    let master = match hear_out(&socket, &child, spec) {
        Ok(master) => master,
        Err(failure) => {
            let _it_ends_anyway = process::send_signal(child.pidfd.as_fd(), SIGKILL);
            let _reaped = crate::sys::events::wait_for_end(child.pidfd.as_fd())
                .and_then(|()| process::reap(child.pidfd.as_fd()));
            return Err(failure);
        }
    };
    let stage = Stage::Waiting(Watch::new(socket, Source::Report(INIT)));
    let mut init = Program::new(INIT, child, None, stage, config.stdin);
    match master {
        Some(master) => init.set_terminal(INIT, master),
        None => init.set_streams(INIT, ends),
    }
    .step(|| "cannot set up the streams".to_owned())?;
    Ok(init)
}

const SIGKILL: i32 = 9;

fn clone_init(
    container: &Container,
    spec: &Spec,
    config: &ShimConfig,
    (stdio, socket): (Option<ChildStdio>, MessageSocket),
) -> Result<Child, StartFailure> {
    let Entrance { birthplace, tasks } = container.cgroup.entrance()?;
    let setup = init::Setup {
        spec,
        shim: config,
        namespaces: &container.namespaces,
        cgroup: &container.cgroup,
        rootfs: rootfs::open(
            &config.rootfs,
            container.bundle.directory(),
            IdMaps::of(spec),
        )?,
        sources: rootfs::open_sources(spec)?,
        tasks,
        stdio,
        seccomp: container.bundle.seccomp()?,
        socket,
        visitor: None,
    };
    birth::clone_into(&container.namespaces, birthplace.as_ref(), move || {
        init::run(setup)
    })
}

/// Listens to init until it waits for the start; returns the master of its terminal.
fn hear_out(
    socket: &MessageSocket,
    child: &Child,
    spec: &Spec,
) -> Result<Option<OwnedFd>, StartFailure> {
    loop {
        let message = socket.receive().step(|| "cannot hear init".to_owned())?;
        let Some((bytes, descriptor)) = message else {
            return Err(StartFailure::setup("init ended before it was set up"));
        };
        let report: InitReport = serde_json::from_slice(&bytes)
            .map_err(|error| StartFailure::setup(format!("init said {error}")))?;
        match report {
            InitReport::Ready => return Ok(descriptor),
            InitReport::Failed(failure) => return Err(failure),
            InitReport::RootIsNext | InitReport::SeccompListener => {
                return Err(StartFailure::setup("init said what no shim waits for"));
            }
            InitReport::MapIds => {
                IdMaps::of(spec).write(child.pid)?;
                order(socket, InitOrder::IdsMapped)?;
            }
        }
    }
}

pub(in crate::launch) fn order(
    socket: &MessageSocket,
    order: InitOrder,
) -> Result<(), StartFailure> {
    let bytes = serde_json::to_vec(&order).unwrap_or_default();
    socket
        .send(&bytes, None)
        .step(|| "cannot give init an order".to_owned())
}
