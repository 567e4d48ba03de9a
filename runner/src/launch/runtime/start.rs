//! `start`: has a container's program executed.

use std::os::fd::{AsFd as _, OwnedFd};

use oci_spec::runtime::{ContainerProcessState, ContainerState, SECCOMP_FD_NAME, Spec};

use super::record::{Container, Root, SPEC_VERSION, Status};
use super::{Result, RuntimeError};
use crate::launch::StartFailure;
use crate::launch::error::Step;
use crate::launch::hooks;
use crate::launch::message::{InitOrder, InitReport};
use crate::launch::shim::order;
use crate::sys::{message_socket, process};

const SIGKILL: i32 = 9;

/// Returns once the program runs.
pub fn start(root: &Root, id: &str) -> Result<()> {
    start_found(&root.find(id)?)
}

pub(super) fn start_found(container: &Container) -> Result<()> {
    let wrong = |why: &str| Err(RuntimeError::WrongState(why.to_owned()));
    match container.status()? {
        Status::Created => {}
        Status::Running | Status::Paused => {
            return wrong("cannot start an already running container");
        }
        Status::Stopped => return wrong("cannot start a container that has stopped"),
    }
    let spec = container.spec()?;
    let Ok(init) = container.connect() else {
        return wrong("cannot start an already running container");
    };
    order(&init, InitOrder::Start)?;
    let mut failed = None;
    while let Some((bytes, descriptor)) = init.receive().step(|| "cannot hear init".to_owned())? {
        match serde_json::from_slice::<InitReport>(&bytes) {
            Ok(InitReport::Failed(failure)) => failed = Some(failure),
            Ok(InitReport::SeccompListener) => {
                hand_over_listener(container, &spec, descriptor)?;
            }
            Ok(InitReport::MapIds | InitReport::RootIsNext | InitReport::Ready) | Err(_) => {}
        }
    }
    container.forget_start()?;
    if let Some(failure) = failed {
        return Err(failure.into());
    }
    run_poststart_hooks(container, &spec)
}

/// Gives the one who decides about system calls what it needs for that.
fn hand_over_listener(
    container: &Container,
    spec: &Spec,
    listener: Option<OwnedFd>,
) -> std::result::Result<(), StartFailure> {
    let linux = spec.linux().as_ref();
    let profile = linux.and_then(|it| it.seccomp().as_ref());
    let path = profile.and_then(|it| it.listener_path().as_ref());
    let (Some(path), Some(listener)) = (path, listener) else {
        return Err(StartFailure::setup("nobody listens for system calls"));
    };
    let mut state = ContainerProcessState::default();
    state
        .set_version(SPEC_VERSION.to_owned())
        .set_fds(vec![SECCOMP_FD_NAME.to_owned()])
        .set_pid(container.record.pid)
        .set_metadata(profile.and_then(|it| it.listener_metadata().clone()))
        .set_state(container.oci_state(spec, ContainerState::Creating));
    let bytes = serde_json::to_vec(&state).unwrap_or_default();
    message_socket::send_descriptor(path, &bytes, listener.as_fd())
        .step(|| format!("cannot send the seccomp listener to {}", path.display()))
}

/// One that fails ends the container, as runc has it.
fn run_poststart_hooks(container: &Container, spec: &Spec) -> Result<()> {
    let Some(hooks) = spec
        .hooks()
        .as_ref()
        .and_then(|it| it.poststart().as_deref())
    else {
        return Ok(());
    };
    let state = container.oci_state(spec, ContainerState::Running);
    hooks::run_all(hooks, "poststart", &state).map_err(|failure| {
        if let Some(init) = container.init() {
            let _ended_meanwhile = process::send_signal(init.as_fd(), SIGKILL);
        }
        RuntimeError::Start(failure)
    })
}
