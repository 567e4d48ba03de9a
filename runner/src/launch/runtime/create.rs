//! `create`: everything of a container but its program.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use oci_spec::runtime::{ContainerState, Spec};

use super::record::{Container, Record, Root, begin_of, check_id, oci_state};
use super::{Result, RuntimeError, validate};
use crate::launch::bundle::Bundle;
use crate::launch::cgroup::Entrance;
use crate::launch::error::Step;
use crate::launch::id_maps::IdMaps;
use crate::launch::init::{self, ChildStdio, Visitor};
use crate::launch::message::{InitOrder, InitReport};
use crate::launch::namespaces::Namespaces;
use crate::launch::seccomp::Compiler;
use crate::launch::shim::{order, rootfs};
use crate::launch::{Cgroup, Rootfs, ShimConfig, StartFailure, StdinMode};
use crate::launch::{birth, fitting, hooks};
use crate::sys::message_socket::{self, MessageSocket};
use crate::sys::process::{self, Child};
use crate::sys::{events, host};

const SIGKILL: i32 = 9;

/// What `create` and `run` are told.
#[derive(Debug, Clone, Default)]
pub struct CreateOptions {
    pub id: String,
    /// The directory with `config.json`.
    pub bundle: PathBuf,
    /// Where the terminal's master is to be sent.
    pub console_socket: Option<PathBuf>,
    pub pid_file: Option<PathBuf>,
    /// Descriptors from 3 on that the program gets.
    pub n_preserved: u32,
}

/// A container that was just made.
#[derive(Debug)]
pub(super) struct Created {
    pub(super) container: Container,
    pub(super) child: Child,
    /// The master of its terminal, unless somebody was given it.
    pub(super) master: Option<OwnedFd>,
    pub(super) warnings: Vec<String>,
}

/// Returns one sentence for each thing that this machine cannot do and that was left out.
pub fn create(root: &Root, options: &CreateOptions) -> Result<Vec<String>> {
    let created = make(root, options, false)?;
    Ok(created.warnings)
}

/// Makes a container; `keeps_terminal` when the caller looks after it itself.
pub(super) fn make(root: &Root, options: &CreateOptions, keeps_terminal: bool) -> Result<Created> {
    check_id(&options.id)?;
    check_preserved(options.n_preserved)?;
    let bundle = fs::canonicalize(&options.bundle)
        .step(|| format!("cannot open the bundle {}", options.bundle.display()))?;
    let mut spec = validate::load(&bundle, &options.id)?;
    check_terminal(&spec, options, keeps_terminal)?;
    let warnings = fitting::fit(&mut spec)?;
    let cgroup = Bundle::cgroup(&spec)?;
    let namespaces = Namespaces::of(&spec)?;
    let directory = root.claim(&options.id)?;
    let setting = Setting {
        options,
        spec: &spec,
        bundle: &bundle,
        directory: &directory,
        cgroup: &cgroup,
        namespaces: &namespaces,
    };
    match setting.make(keeps_terminal) {
        Ok((container, child, master)) => Ok(Created {
            container,
            child,
            master,
            warnings,
        }),
        Err(failure) => {
            let _first_failure_counts = cgroup.destroy();
            let _first_failure_counts = fs::remove_dir_all(&directory);
            Err(failure.into())
        }
    }
}

/// A descriptor that is not there would turn into one of ours.
pub(super) fn check_preserved(n_preserved: u32) -> Result<()> {
    for number in (3..).take(n_preserved as usize) {
        if !Path::new(&format!("/proc/self/fd/{number}")).exists() {
            return Err(RuntimeError::Invalid(format!(
                "descriptor {number} is to be preserved and is not open"
            )));
        }
    }
    Ok(())
}

fn check_terminal(spec: &Spec, options: &CreateOptions, keeps_terminal: bool) -> Result<()> {
    let terminal = spec
        .process()
        .as_ref()
        .and_then(oci_spec::runtime::Process::terminal)
        == Some(true);
    match &options.console_socket {
        None if terminal && !keeps_terminal => Err(RuntimeError::Invalid(
            "a terminal needs --console-socket when nobody stays".to_owned(),
        )),
        Some(_) if !terminal => Err(RuntimeError::Invalid(
            "--console-socket is given but process.terminal is not set".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// All that the making of one container is about.
#[derive(Debug, Clone, Copy)]
struct Setting<'a> {
    options: &'a CreateOptions,
    spec: &'a Spec,
    bundle: &'a Path,
    directory: &'a Path,
    cgroup: &'a Cgroup,
    namespaces: &'a Namespaces,
}

type Made = (Container, Child, Option<OwnedFd>);

impl Setting<'_> {
    fn make(self, keeps_terminal: bool) -> std::result::Result<Made, StartFailure> {
        let linux = self.spec.linux().as_ref();
        self.write_bundle()?;
        self.cgroup
            .create(linux.and_then(|it| it.resources().as_ref()))?;
        let (socket, init_socket) =
            MessageSocket::pair().step(|| "cannot make a socket".to_owned())?;
        let child = self.clone_init(init_socket)?;
        let finished = self.hear_out(&socket, &child).and_then(|master| {
            let master = self.hand_over(master, keeps_terminal)?;
            let container = Container::new(self.directory.to_owned(), self.record(child.pid));
            if let Some(file) = &self.options.pid_file {
                write_pid(file, child.pid)?;
            }
            container
                .save()
                .map_err(|error| StartFailure::setup(error.to_string()))?;
            Ok((container, master))
        });
        match finished {
            Ok((container, master)) => Ok((container, child, master)),
            Err(failure) => {
                let _it_ends_anyway = process::send_signal(child.pidfd.as_fd(), SIGKILL);
                let _reaped = events::wait_for_end(child.pidfd.as_fd())
                    .and_then(|()| process::reap(child.pidfd.as_fd()));
                self.clean_up_after_hooks();
                Err(failure)
            }
        }
    }

    fn write_bundle(self) -> std::result::Result<(), StartFailure> {
        let mut kept = self.spec.clone();
        let profile = kept.linux().as_ref().and_then(|it| it.seccomp().clone());
        let program = match &profile {
            Some(profile) => Some(Compiler::compile_for_runtime(profile)?),
            None => None,
        };
        // Later verbs need no more of it than whom to tell.
        if let (Some(linux), Some(mut profile)) = (kept.linux_mut(), profile) {
            profile.set_syscalls(None);
            linux.set_seccomp(Some(profile));
        }
        let bundle = Bundle::at(self.directory);
        Ok(bundle.write(&kept, &self.shim_config(), program.as_deref())?)
    }

    fn shim_config(self) -> ShimConfig {
        let size = self
            .spec
            .process()
            .as_ref()
            .and_then(oci_spec::runtime::Process::console_size);
        let side = |it: u64| u16::try_from(it).unwrap_or(u16::MAX);
        let root = self.spec.root().as_ref();
        ShimConfig {
            id: self.options.id.clone(),
            rootfs: Rootfs::Directory(root.map_or_else(PathBuf::new, |it| it.path().clone())),
            log: None,
            stdin: StdinMode::Open,
            console_size: size.map(|it| (side(it.height()), side(it.width()))),
            user: None,
            reaper: false,
        }
    }

    fn record(self, pid: i32) -> Record {
        let root = self.spec.root().as_ref();
        let linux = self.spec.linux().as_ref();
        let cgroup = linux.and_then(|it| it.cgroups_path().clone());
        Record {
            id: self.options.id.clone(),
            pid,
            begin_ticks: begin_of(pid).unwrap_or(0),
            bundle: self.bundle.to_owned(),
            rootfs: root.map_or_else(PathBuf::new, |it| it.path().clone()),
            created: Timestamp::now(),
            cgroup: cgroup.unwrap_or_default(),
        }
    }

    fn clone_init(self, socket: MessageSocket) -> std::result::Result<Child, StartFailure> {
        let config = self.shim_config();
        let process = init::process_of(self.spec)?;
        let stdio = match process.terminal() {
            Some(true) => None,
            _ => Some(own_streams().step(|| "cannot use our own streams".to_owned())?),
        };
        let state = oci_state(self.spec, &self.record(0), ContainerState::Creating, None);
        let visitor = Visitor {
            listener: Container::listen(self.directory)?,
            hooks: self.spec.hooks().as_ref(),
            state: &state,
            n_preserved: self.options.n_preserved,
            is_mapped: host::is_in_user_namespace(),
        };
        set_clocks(self.spec, self.namespaces)?;
        let Entrance { birthplace, tasks } = self.cgroup.entrance()?;
        let setup = init::Setup {
            spec: self.spec,
            shim: &config,
            namespaces: self.namespaces,
            cgroup: self.cgroup,
            rootfs: rootfs::open(&config.rootfs, self.directory, IdMaps::of(self.spec))?,
            sources: rootfs::open_sources(self.spec)?,
            tasks,
            stdio,
            seccomp: Bundle::at(self.directory).seccomp()?,
            socket,
            visitor: Some(visitor),
        };
        birth::clone_into(self.namespaces, birthplace.as_ref(), move || {
            init::run(setup)
        })
    }

    /// Listens to init until it waits for the start; returns the master of its terminal.
    fn hear_out(
        self,
        socket: &MessageSocket,
        child: &Child,
    ) -> std::result::Result<Option<OwnedFd>, StartFailure> {
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
                InitReport::MapIds => {
                    IdMaps::of(self.spec).write(child.pid)?;
                    order(socket, InitOrder::IdsMapped)?;
                }
                InitReport::RootIsNext => {
                    self.run_create_hooks(child.pid)?;
                    order(socket, InitOrder::EnterRoot)?;
                }
                InitReport::SeccompListener => {
                    return Err(StartFailure::setup("init is under its filter too early"));
                }
            }
        }
    }

    fn run_create_hooks(self, pid: i32) -> std::result::Result<(), StartFailure> {
        let Some(all) = self.spec.hooks() else {
            return Ok(());
        };
        let record = self.record(pid);
        let state = oci_state(self.spec, &record, ContainerState::Creating, Some(pid));
        let prestart = all.prestart().as_deref().unwrap_or_default();
        hooks::run_all(prestart, "prestart", &state)?;
        let create_runtime = all.create_runtime().as_deref().unwrap_or_default();
        hooks::run_all(create_runtime, "createRuntime", &state)
    }

    /// What hooks have made for a container that never was, others of them take away.
    fn clean_up_after_hooks(self) {
        let hooks = self.spec.hooks().as_ref();
        let hooks = hooks.and_then(|it| it.poststop().as_deref());
        let record = self.record(0);
        let state = oci_state(self.spec, &record, ContainerState::Stopped, None);
        let _first_failure_counts = hooks::run_all(hooks.unwrap_or_default(), "poststop", &state);
    }

    fn hand_over(
        self,
        master: Option<OwnedFd>,
        keeps_terminal: bool,
    ) -> std::result::Result<Option<OwnedFd>, StartFailure> {
        match (&self.options.console_socket, master) {
            (Some(path), Some(master)) => {
                message_socket::send_descriptor(path, b"/dev/ptmx", master.as_fd())
                    .step(|| format!("cannot send the terminal to {}", path.display()))?;
                Ok(None)
            }
            (_, master) => Ok(master.filter(|_| keeps_terminal)),
        }
    }
}

/// The streams that this process was started with, for the program.
pub(super) fn own_streams() -> io::Result<ChildStdio> {
    Ok(ChildStdio {
        stdin: io::stdin().as_fd().try_clone_to_owned()?,
        stdout: io::stdout().as_fd().try_clone_to_owned()?,
        stderr: io::stderr().as_fd().try_clone_to_owned()?,
    })
}

/// The whole file at once: its reader waits for it.
pub(super) fn write_pid(path: &Path, pid: i32) -> std::result::Result<(), StartFailure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!(".{name}.partial"));
    fs::write(&partial, pid.to_string())
        .and_then(|()| fs::rename(&partial, path))
        .step(|| format!("cannot write {}", path.display()))
}

/// Makes a time namespace for our children and sets its clocks.
fn set_clocks(spec: &Spec, namespaces: &Namespaces) -> std::result::Result<(), StartFailure> {
    const NEW_TIME: i32 = oci_spec::runtime::LinuxNamespaceType::Time as i32;
    if !namespaces.has_own_clocks() {
        return Ok(());
    }
    let what = || "cannot make a time namespace".to_owned();
    process::leave_namespace(NEW_TIME).step(what)?;
    let offsets = spec
        .linux()
        .as_ref()
        .and_then(|it| it.time_offsets().as_ref());
    for (clock, offset) in offsets.into_iter().flatten() {
        let (seconds, nanoseconds) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
        let line = format!("{clock} {seconds} {nanoseconds}\n");
        fs::write("/proc/self/timens_offsets", line)
            .step(|| format!("cannot set the clock {clock}"))?;
    }
    Ok(())
}
