//! `exec`: one more program in a running container.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, Process};

use super::create::{check_preserved, own_streams, write_pid};
use super::foreground::{self, Attached};
use super::record::{Container, Root, Status};
use super::{Result, RuntimeError};
use crate::launch::bundle::Bundle;
use crate::launch::cgroup::Entrance;
use crate::launch::error::Step;
use crate::launch::init::Unattended;
use crate::launch::message::{ExecRequest, InitReport};
use crate::launch::namespaces::{self, Namespaces};
use crate::launch::{AttachStdio, StartFailure, exec as program};
use crate::sys::message_socket::{self, MessageSocket};
use crate::sys::process::{self, Child, CloneRequest};

/// What `exec` is told.
#[derive(Debug, Clone)]
pub struct ExecOptions {
    pub id: String,
    pub process: ProcessSource,
    pub console_socket: Option<PathBuf>,
    pub pid_file: Option<PathBuf>,
    pub n_preserved: u32,
    /// Do not wait for its end.
    pub detach: bool,
    /// Also in a container that stands still.
    pub ignore_paused: bool,
}

/// What is to be run.
#[derive(Debug, Clone)]
pub enum ProcessSource {
    /// A `process` object in JSON.
    Json(Vec<u8>),
    /// Changes to the container's own process.
    Words {
        args: Vec<String>,
        terminal: bool,
        cwd: Option<PathBuf>,
        env: Vec<String>,
        /// `uid[:gid]`.
        user: Option<String>,
        additional_gids: Vec<u32>,
        capabilities: Vec<String>,
        no_new_privileges: bool,
        apparmor: Option<String>,
    },
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executed {
    /// It runs, and nobody waits for it.
    Running,
    Ended(i32),
}

pub fn exec(root: &Root, options: &ExecOptions) -> Result<Executed> {
    check_preserved(options.n_preserved)?;
    let container = root.find(&options.id)?;
    match container.status()? {
        Status::Running => {}
        Status::Paused if options.ignore_paused => {}
        Status::Paused => {
            let why = "cannot exec in a paused container (use --ignore-paused to override)";
            return Err(RuntimeError::WrongState(why.to_owned()));
        }
        Status::Created | Status::Stopped => {
            let why = "cannot exec in a container that is not running";
            return Err(RuntimeError::WrongState(why.to_owned()));
        }
    }
    let process = process_of(&container, &options.process)?;
    check_terminal(&process, options)?;
    let (own, theirs) = MessageSocket::pair().step(|| "cannot make a socket".to_owned())?;
    let child = clone(&container, (&process, options.n_preserved), theirs)?;
    let master = hear_out(&own)?;
    let attached = match (&options.console_socket, master) {
        (Some(path), Some(master)) => {
            message_socket::send_descriptor(path, b"/dev/ptmx", master.as_fd())
                .step(|| format!("cannot send the terminal to {}", path.display()))?;
            None
        }
        (_, master) => master,
    };
    if let Some(file) = &options.pid_file {
        write_pid(file, child.pid)?;
    }
    if options.detach {
        return Ok(Executed::Running);
    }
    let attached = Attached {
        child,
        master: attached,
    };
    Ok(Executed::Ended(foreground::follow(&attached)?))
}

fn check_terminal(process: &Process, options: &ExecOptions) -> Result<()> {
    let terminal = process.terminal() == Some(true);
    if terminal && options.detach && options.console_socket.is_none() {
        return Err(RuntimeError::Invalid(
            "a terminal needs --console-socket when nobody stays".to_owned(),
        ));
    }
    if !terminal && options.console_socket.is_some() {
        return Err(RuntimeError::Invalid(
            "--console-socket is given but no terminal is asked for".to_owned(),
        ));
    }
    Ok(())
}

fn process_of(container: &Container, source: &ProcessSource) -> Result<Process> {
    let invalid = |text: String| RuntimeError::Invalid(text);
    let process = match source {
        ProcessSource::Json(text) => serde_json::from_slice(text)
            .map_err(|error| invalid(format!("the process: {error}")))?,
        words @ ProcessSource::Words { .. } => {
            let spec = container.spec()?;
            let process = spec.process().clone();
            changed(process.unwrap_or_default(), words)?
        }
    };
    if process.args().as_ref().is_none_or(Vec::is_empty) {
        return Err(invalid("process.args must not be empty".to_owned()));
    }
    if !process.cwd().is_absolute() {
        return Err(invalid("process.cwd must be an absolute path".to_owned()));
    }
    Ok(process)
}

fn changed(mut process: Process, words: &ProcessSource) -> Result<Process> {
    let ProcessSource::Words {
        args,
        terminal,
        cwd,
        env,
        user,
        additional_gids,
        capabilities,
        no_new_privileges,
        apparmor,
    } = words
    else {
        return Ok(process);
    };
    process.set_args(Some(args.clone()));
    process.set_terminal(Some(*terminal));
    process.set_console_size(None);
    if let Some(cwd) = cwd {
        process.set_cwd(cwd.clone());
    }
    let mut all = process.env().clone().unwrap_or_default();
    all.extend(env.iter().cloned());
    process.set_env(Some(all));
    if let Some(user) = user {
        let (uid, gid) = parse_user(user)?;
        process.user_mut().set_uid(uid);
        if let Some(gid) = gid {
            process.user_mut().set_gid(gid);
        }
    }
    if !additional_gids.is_empty() {
        process
            .user_mut()
            .set_additional_gids(Some(additional_gids.clone()));
    }
    if !capabilities.is_empty() {
        let sets = process.capabilities().clone().unwrap_or_default();
        process.set_capabilities(Some(with_capabilities(sets, capabilities)?));
    }
    if *no_new_privileges {
        process.set_no_new_privileges(Some(true));
    }
    if apparmor.is_some() {
        process.set_apparmor_profile(apparmor.clone());
    }
    Ok(process)
}

fn parse_user(text: &str) -> Result<(u32, Option<u32>)> {
    let number = |part: &str| {
        part.parse::<u32>()
            .map_err(|_| RuntimeError::Invalid(format!("user {text:?} is not UID[:GID]")))
    };
    match text.split_once(':') {
        Some((uid, gid)) => Ok((number(uid)?, Some(number(gid)?))),
        None => Ok((number(text)?, None)),
    }
}

fn with_capabilities(mut sets: LinuxCapabilities, names: &[String]) -> Result<LinuxCapabilities> {
    let mut more = Capabilities::new();
    for name in names {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let known: Capability = bare
            .parse()
            .map_err(|_| RuntimeError::Invalid(format!("unknown capability {name:?}")))?;
        more.insert(known);
    }
    let joined = |set: &Option<Capabilities>| {
        let set = set.clone().unwrap_or_default();
        Some(set.union(&more).copied().collect::<Capabilities>())
    };
    let (bounding, effective, permitted) = (
        joined(sets.bounding()),
        joined(sets.effective()),
        joined(sets.permitted()),
    );
    sets.set_bounding(bounding);
    sets.set_effective(effective);
    sets.set_permitted(permitted);
    Ok(sets)
}

fn clone(
    container: &Container,
    (process, n_preserved): (&Process, u32),
    socket: MessageSocket,
) -> Result<Child> {
    let gone = || RuntimeError::WrongState("container not running".to_owned());
    let init = container.init().ok_or_else(gone)?;
    let spec = container.spec()?;
    let cgroup = Bundle::cgroup(&spec)?;
    let namespaces = Namespaces::of(&spec)?;
    let request = ExecRequest {
        id: container.record.id.clone(),
        process: process.clone(),
        user: None,
        stdio: AttachStdio::default(),
        console_size: None,
    };
    let stdio = match process.terminal() {
        Some(true) => None,
        _ => Some(own_streams().step(|| "cannot use our own streams".to_owned())?),
    };
    let Entrance { birthplace, tasks } = if cgroup.takes_processes() {
        cgroup.entrance()?
    } else {
        cgroup.entrance_beside(container.record.pid)?
    };
    let linux = spec.linux().as_ref();
    let setup = program::Setup {
        container_id: &container.record.id,
        request: &request,
        init: init.as_fd(),
        namespaces: namespaces.for_exec(),
        in_user_namespace: namespaces.maps_users(),
        tasks,
        stdio,
        seccomp: container.bundle().seccomp()?,
        socket,
        unattended: Some(Unattended { n_preserved }),
        personality: linux.and_then(|it| it.personality().clone()),
    };
    let clone = CloneRequest {
        cgroup: birthplace.as_ref().map(OwnedFd::as_fd),
        ..CloneRequest::default()
    };
    let _borrowed = namespaces::borrow_pids(init.as_fd())?;
    let child = process::clone_process(clone, move || program::run(setup))
        .step(|| "cannot clone a process".to_owned())?;
    Ok(child)
}

/// Listens until the program is executed; returns the master of its terminal.
fn hear_out(socket: &MessageSocket) -> Result<Option<OwnedFd>> {
    let mut master = None;
    while let Some((bytes, descriptor)) = socket
        .receive()
        .step(|| "cannot hear the process".to_owned())?
    {
        match serde_json::from_slice::<InitReport>(&bytes) {
            Ok(InitReport::Ready) => master = descriptor,
            Ok(InitReport::Failed(failure)) => return Err(failure.into()),
            Ok(InitReport::SeccompListener) => {
                let why = "a profile that asks somebody else cannot be used by an exec";
                return Err(StartFailure::setup(why).into());
            }
            Ok(InitReport::MapIds | InitReport::RootIsNext) | Err(_) => {}
        }
    }
    Ok(master)
}
