//! Signals, standing still, new limits, and the end of a container.

use std::os::fd::AsFd as _;
use std::time::Duration;

use oci_spec::runtime::{ContainerState, LinuxNamespaceType, LinuxResources};

use super::record::{Container, Root, Status};
use super::{Result, RuntimeError};
use crate::launch::error::Step;
use crate::launch::hooks;
use crate::launch::namespaces::Namespaces;
use crate::spec::signal::SIGKILL;
use crate::sys::{events, process};

/// How long a killed init is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends a signal to init, or to `all` processes.
pub fn kill(root: &Root, id: &str, signal: i32, all: bool) -> Result<()> {
    let container = root.find(id)?;
    let not_running = || RuntimeError::WrongState("container not running".to_owned());
    // Without a pid namespace of its own the others do not end with init.
    let shares_pids = !Namespaces::of(&container.spec()?)?.has(LinuxNamespaceType::Pid);
    if all || (signal == SIGKILL && shares_pids) {
        let processes = container.cgroup()?.processes().unwrap_or_default();
        if processes.is_empty() {
            return Err(not_running());
        }
        for pid in processes {
            let _ended_meanwhile = process::send_signal_to(pid, signal);
        }
        return Ok(());
    }
    let init = container.init().ok_or_else(not_running)?;
    process::send_signal(init.as_fd(), signal)
        .step(|| format!("cannot send signal {signal} to {id}"))?;
    Ok(())
}

/// Removes a container that has ended; with `force`, one that runs as well. One that was never
/// started is ended. Returns what went wrong afterwards, in hooks.
pub fn delete(root: &Root, id: &str, force: bool) -> Result<Vec<String>> {
    let container = match root.find(id) {
        Err(RuntimeError::NoSuchContainer(_)) if root.remove_unfinished(id)? => {
            return Ok(Vec::new());
        }
        Err(RuntimeError::NoSuchContainer(_)) if force => return Ok(Vec::new()),
        other => other?,
    };
    let status = container.status()?;
    match status {
        Status::Stopped => {}
        Status::Running | Status::Paused if !force => {
            return Err(RuntimeError::WrongState(format!(
                "cannot delete container {id} that is not stopped: {}",
                status.word()
            )));
        }
        Status::Created | Status::Running | Status::Paused => end(&container)?,
    }
    remove(&container)
}

fn end(container: &Container) -> Result<()> {
    let Some(init) = container.init() else {
        return Ok(());
    };
    let _ended_meanwhile = process::send_signal(init.as_fd(), SIGKILL);
    let cgroup = container.cgroup()?;
    if cgroup.is_paused() {
        // On v1 a frozen process does not even die.
        cgroup.resume()?;
    }
    let what = || format!("cannot end {}", container.record.id);
    if events::wait_for_end_within(init.as_fd(), PATIENCE).step(what)? {
        return Ok(());
    }
    Err(RuntimeError::WrongState(format!(
        "{}: init does not end",
        what()
    )))
}

/// Takes away what is left of a container without processes.
pub(super) fn remove(container: &Container) -> Result<Vec<String>> {
    let spec = container.spec()?;
    container.cgroup()?.destroy()?;
    container.remove()?;
    let hooks = spec.hooks().as_ref();
    let hooks = hooks
        .and_then(|it| it.poststop().as_deref())
        .unwrap_or_default();
    let state = container.oci_state(&spec, ContainerState::Stopped);
    let mut complaints = Vec::new();
    for hook in hooks {
        if let Err(failure) = hooks::run_all(std::slice::from_ref(hook), "poststop", &state) {
            complaints.push(failure.message);
        }
    }
    Ok(complaints)
}

pub fn pause(root: &Root, id: &str) -> Result<()> {
    let container = root.find(id)?;
    match container.status()? {
        Status::Created | Status::Running => Ok(container.cgroup()?.pause()?),
        other @ (Status::Paused | Status::Stopped) => Err(RuntimeError::WrongState(format!(
            "container {id} is {}",
            other.word()
        ))),
    }
}

pub fn resume(root: &Root, id: &str) -> Result<()> {
    let container = root.find(id)?;
    match container.status()? {
        Status::Paused => Ok(container.cgroup()?.resume()?),
        other @ (Status::Created | Status::Running | Status::Stopped) => Err(
            RuntimeError::WrongState(format!("container {id} is {}, not paused", other.word())),
        ),
    }
}

/// New limits; what `resources` (JSON) does not say stays.
pub fn update(root: &Root, id: &str, resources: &[u8]) -> Result<()> {
    let container = root.find(id)?;
    if container.status()? == Status::Stopped {
        return Err(RuntimeError::WrongState("container not running".to_owned()));
    }
    let resources: LinuxResources = serde_json::from_slice(resources)
        .map_err(|error| RuntimeError::Invalid(format!("the resources: {error}")))?;
    if resources
        .devices()
        .as_ref()
        .is_some_and(|it| !it.is_empty())
    {
        return Err(RuntimeError::Invalid(
            "rules for devices cannot be changed".to_owned(),
        ));
    }
    Ok(container.cgroup()?.update(&resources)?)
}
