//! The first process of a container, from its clone to the execution of the program.
//!
//! Runs in a copy of the shim, in namespaces of its own. Says what it does over a socket
//! (`message`); everything here either succeeds or ends the process with a report. Nothing is
//! undone: mounts and namespaces go with the process.

mod devices;
mod limits;
mod mounts;
mod program;
mod scheduling;
mod user;
mod visitor;

pub(super) use limits::resource_number;
pub(super) use program::{ChildStdio, Program, Unattended};
pub(super) use user::owner;
pub(super) use visitor::Visitor;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{Process, Spec};

use super::error::Step;
use super::message::{InitOrder, InitReport};
use super::mount_options::parse_propagation;
use super::namespaces::Namespaces;
use super::{Cgroup, ShimConfig, StartFailure};
use crate::sys::message_socket::MessageSocket;
use crate::sys::mount::{self, Attributes, Change};
use crate::sys::{credentials, host, in_root, process, terminal};

/// What init starts with; all of it made by the shim.
#[derive(Debug)]
pub(super) struct Setup<'a> {
    pub(super) spec: &'a Spec,
    pub(super) shim: &'a ShimConfig,
    pub(super) namespaces: &'a Namespaces,
    pub(super) cgroup: &'a Cgroup,
    /// The root file system, attached to nothing.
    pub(super) rootfs: OwnedFd,
    /// For each mount of the specification that binds something, that thing, detached.
    pub(super) sources: Vec<Option<OwnedFd>>,
    /// v1 control groups to join.
    pub(super) tasks: Vec<File>,
    /// `None` with a terminal, which is made here.
    pub(super) stdio: Option<ChildStdio>,
    pub(super) seccomp: Option<Vec<u8>>,
    pub(super) socket: MessageSocket,
    /// Who starts it when there is no shim.
    pub(super) visitor: Option<Visitor<'a>>,
}

impl Setup<'_> {
    /// Whether nodes of devices come from the host, as nobody makes any in a user namespace.
    fn binds_nodes(&self) -> bool {
        self.namespaces.maps_users() || self.visitor.as_ref().is_some_and(Visitor::is_mapped)
    }
}

/// Becomes the container's program; returns an exit code when that fails.
pub(super) fn run(mut setup: Setup<'_>) -> i32 {
    let failure = match start(&mut setup) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    report(&setup.socket, &InitReport::Failed(failure.clone()), None);
    failure.exit_code
}

fn start(setup: &mut Setup<'_>) -> Result<std::convert::Infallible, StartFailure> {
    let process = process_of(setup.spec)?;
    close_foreign(setup)?;
    join_groups(&setup.tasks)?;
    write_own_settings(process)?;
    shield(setup.visitor.is_none())?;
    enter_user_namespace(setup)?;
    process::new_session().step(|| "cannot start a session".to_owned())?;
    set_up_namespaces(setup)?;
    let null = build_root(setup)?;
    let root = setup.rootfs.as_fd();
    let (stdio, master) = match setup.stdio.take() {
        Some(stdio) => (stdio, None),
        None => open_terminal(root, setup.shim.console_size).map(|(a, b)| (a, Some(b)))?,
    };
    if master.is_some() {
        devices::bind_console(root, stdio.stdin.as_fd())?;
    }
    in_root::create_dir_all(root, process.cwd(), 0o755).step(|| {
        format!(
            "cannot make the working directory {}",
            process.cwd().display()
        )
    })?;
    finish_root(setup, &null)?;
    join_session_keyring(&setup.shim.id)?;
    let linux = setup.spec.linux().as_ref();
    let program = Program::find(root, process, setup.shim.user.as_ref())?
        .behind_reaper(setup.shim.reaper)
        .with_personality(linux.and_then(|it| it.personality().clone()))
        .unattended(setup.visitor.as_ref().map(Visitor::unattended));
    let master = master.as_ref().map(OwnedFd::as_fd);
    report(&setup.socket, &InitReport::Ready, master);
    if let Some(visitor) = &setup.visitor {
        setup.socket = visitor.receive()?;
    }
    await_order(&setup.socket, InitOrder::Start)?;
    if let Some(visitor) = &setup.visitor {
        visitor.run_start_hooks()?;
    }
    program.take_streams(&stdio)?;
    Err(program.execute(process, setup.seccomp.as_deref(), &setup.socket))
}

pub(super) fn process_of(spec: &Spec) -> Result<&Process, StartFailure> {
    spec.process()
        .as_ref()
        .ok_or_else(|| StartFailure::setup("the bundle has no process"))
}

fn close_foreign(setup: &Setup<'_>) -> Result<(), StartFailure> {
    let mut keep = vec![setup.rootfs.as_raw_fd(), setup.socket.as_fd().as_raw_fd()];
    keep.extend(
        setup
            .sources
            .iter()
            .flatten()
            .map(std::os::fd::AsRawFd::as_raw_fd),
    );
    keep.extend(setup.tasks.iter().map(std::os::fd::AsRawFd::as_raw_fd));
    if let Some(visitor) = &setup.visitor {
        keep.extend(visitor.descriptors());
    }
    if let Some(stdio) = &setup.stdio {
        keep.extend(
            [&stdio.stdin, &stdio.stdout, &stdio.stderr].map(std::os::fd::AsRawFd::as_raw_fd),
        );
    }
    process::close_all_except(&mut keep).step(|| "cannot close descriptors".to_owned())
}

/// Enters v1 control groups. The kernel does it without its big lock for `0`, "myself".
pub(super) fn join_groups(tasks: &[File]) -> Result<(), StartFailure> {
    for mut file in tasks {
        file.write_all(b"0")
            .step(|| "cannot join a control group".to_owned())?;
    }
    Ok(())
}

/// Settings of this process that live in `/proc`: written while it is still the host's.
pub(super) fn write_own_settings(process: &Process) -> Result<(), StartFailure> {
    let own = || -> std::io::Result<String> {
        Ok(fs::read_link("/proc/self")?.to_string_lossy().into_owned())
    };
    if let Some(score) = process.oom_score_adj() {
        let file = format!(
            "{}/oom_score_adj",
            own().step(|| "cannot read /proc".to_owned())?
        );
        // Below the parent's it needs CAP_SYS_RESOURCE; the caller was warned.
        let _refused = write_proc(Path::new(&file), &score.to_string());
    }
    if let Some(profile) = process
        .apparmor_profile()
        .as_ref()
        .filter(|it| !it.is_empty())
    {
        let what = || format!("cannot apply the AppArmor profile {profile}");
        let file = format!("{}/attr/apparmor/exec", own().step(what)?);
        write_proc(Path::new(&file), &format!("exec {profile}")).step(what)?;
    }
    Ok(())
}

/// Writes a file of the host's `/proc`, after making sure that it is one.
fn write_proc(file: &Path, value: &str) -> std::io::Result<()> {
    let proc = File::open("/proc")?;
    if !mount::is_file_system(&proc, mount::PROC_MAGIC)? {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    File::from(in_root::open_exact(&proc, file, true)?).write_all(value.as_bytes())
}

/// Until the program runs, no other process of the container may look into this one.
pub(super) fn shield(dies_with_parent: bool) -> Result<(), StartFailure> {
    let what = || "cannot shield the process".to_owned();
    if dies_with_parent {
        process::die_with_parent().step(what)?;
    }
    process::set_dumpable(false).step(what)
}

fn enter_user_namespace(setup: &Setup<'_>) -> Result<(), StartFailure> {
    if !setup.namespaces.has_own_users() {
        return Ok(());
    }
    report(&setup.socket, &InitReport::MapIds, None);
    await_order(&setup.socket, InitOrder::IdsMapped)?;
    credentials::become_namespace_root().step(|| "cannot become root in the namespace".to_owned())
}

fn set_up_namespaces(setup: &Setup<'_>) -> Result<(), StartFailure> {
    let spec = setup.spec;
    if setup.namespaces.has_own_cgroups() {
        mounts::new_cgroup_namespace()?;
    }
    if let Some(name) = spec
        .hostname()
        .as_ref()
        .filter(|_| setup.namespaces.has_own_names())
    {
        host::set_hostname(name).step(|| format!("cannot set host name {name}"))?;
    }
    if let Some(name) = spec
        .domainname()
        .as_ref()
        .filter(|_| setup.namespaces.has_own_names())
    {
        host::set_domainname(name).step(|| format!("cannot set domain name {name}"))?;
    }
    if setup.namespaces.has_own_network() {
        host::bring_up_loopback().step(|| "cannot bring up lo".to_owned())?;
    }
    let sysctls = spec.linux().as_ref().and_then(|it| it.sysctl().as_ref());
    for (name, value) in sysctls.into_iter().flatten() {
        let file = Path::new("sys").join(name.replace('.', "/"));
        write_proc(&file, value).step(|| format!("cannot set sysctl {name} to {value:?}"))?;
    }
    Ok(())
}

/// Everything below `/`; returns the mount that masked files get.
fn build_root(setup: &mut Setup<'_>) -> Result<OwnedFd, StartFailure> {
    let detached = mounts::prepare(setup)?;
    let null = mounts::host_null()?;
    let listed = setup
        .spec
        .linux()
        .as_ref()
        .and_then(|it| it.devices().as_ref());
    let mut nodes = Vec::new();
    for device in listed.into_iter().flatten() {
        // In a user namespace nobody makes device nodes.
        let host = if setup.binds_nodes() {
            let node = mount::clone_path(device.path(), false);
            Some(node.step(|| format!("cannot bind device node {}", device.path().display()))?)
        } else {
            None
        };
        nodes.push(devices::Node { device, host });
    }
    if let Some(visitor) = &setup.visitor {
        visitor.announce_root(&setup.socket)?;
    }
    let root = setup.rootfs.as_fd();
    mounts::enter_root(root)?;
    mounts::attach(root, &detached)?;
    // A `/dev` of the host brings its own nodes.
    if !is_bound(setup.spec, "/dev") {
        devices::create(root, &nodes)?;
    }
    Ok(null)
}

fn is_bound(spec: &Spec, target: &str) -> bool {
    let mut mounts = spec.mounts().iter().flatten();
    mounts
        .any(|mount| mount.destination() == Path::new(target) && super::namespaces::is_bind(mount))
}

/// What may only be done once nothing has to be made any more.
fn finish_root(setup: &Setup<'_>, null: &OwnedFd) -> Result<(), StartFailure> {
    let root = setup.rootfs.as_fd();
    let linux = setup.spec.linux().as_ref();
    let paths = |it: Option<&Option<Vec<String>>>| it.cloned().flatten().unwrap_or_default();
    mounts::make_read_only(
        root,
        &paths(linux.map(oci_spec::runtime::Linux::readonly_paths)),
    )?;
    mounts::mask(
        root,
        &paths(linux.map(oci_spec::runtime::Linux::masked_paths)),
        null,
    )?;
    let mut change = Change::default();
    let word = linux.and_then(|it| it.rootfs_propagation().as_deref());
    let propagation = word.filter(|it| !it.is_empty()).map(|word| {
        parse_propagation(word)
            .ok_or_else(|| StartFailure::setup(format!("{word:?} is no mount propagation")))
    });
    if let Some((kind, recursive)) = propagation.transpose()? {
        change.propagation = Some(kind);
        mount::change(root, change, recursive)
            .step(|| "cannot set the propagation of the root".to_owned())?;
    }
    if setup
        .spec
        .root()
        .as_ref()
        .and_then(oci_spec::runtime::Root::readonly)
        == Some(true)
    {
        let read_only = Change {
            set: Attributes::READ_ONLY,
            ..Change::default()
        };
        mount::change(root, read_only, false)
            .step(|| "cannot make the root read-only".to_owned())?;
    }
    Ok(())
}

/// A new terminal of the container's own devpts as the three streams, and its master.
pub(super) fn open_terminal(
    root: BorrowedFd<'_>,
    size: Option<(u16, u16)>,
) -> Result<(ChildStdio, OwnedFd), StartFailure> {
    let what = || "cannot make a terminal".to_owned();
    let devpts = in_root::open_readable(root, Path::new("/dev/pts")).step(what)?;
    let (master, slave) = terminal::open(devpts.as_fd()).step(what)?;
    if let Some((rows, columns)) = size {
        terminal::resize(&master, rows, columns).step(what)?;
    }
    terminal::take_control(slave.as_fd()).step(what)?;
    let stdio = ChildStdio {
        stdin: slave.try_clone().step(what)?,
        stdout: slave.try_clone().step(what)?,
        stderr: slave,
    };
    Ok((stdio, master))
}

/// A keyring that holds none of the host's keys; a kernel without keys needs none.
pub(super) fn join_session_keyring(id: &str) -> Result<(), StartFailure> {
    const ENOSYS: i32 = 38;
    match host::new_session_keyring(&format!("_ses.{id}")) {
        Err(error) if error.raw_os_error() != Some(ENOSYS) => {
            Err(error).step(|| "cannot make a session keyring".to_owned())
        }
        _ => Ok(()),
    }
}

/// Tells the shim. When it is gone this process is about to die with it.
pub(super) fn report(socket: &MessageSocket, message: &InitReport, with: Option<BorrowedFd<'_>>) {
    if let Ok(bytes) = serde_json::to_vec(message) {
        let _shim_is_gone = socket.send(&bytes, with);
    }
}

pub(super) fn await_order(socket: &MessageSocket, wanted: InitOrder) -> Result<(), StartFailure> {
    let message = socket
        .receive()
        .step(|| "cannot hear the shim".to_owned())?
        .ok_or_else(|| StartFailure::setup("the shim is gone"))?;
    match serde_json::from_slice::<InitOrder>(&message.0) {
        Ok(order) if order == wanted => Ok(()),
        other => Err(StartFailure::setup(format!("unexpected order {other:?}"))),
    }
}
