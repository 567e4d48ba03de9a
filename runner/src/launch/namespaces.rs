//! Which namespaces a container gets: its own, or those it shares.

use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};

use super::StartFailure;
use super::error::Step;
use super::mount_options::MountOptions;
use crate::sys::process;

/// `CLONE_NEW*`, clone(2).
const NEW_CGROUP: i32 = LinuxNamespaceType::Cgroup as i32;
const NEW_MOUNT: i32 = LinuxNamespaceType::Mount as i32;
const NEW_NETWORK: i32 = LinuxNamespaceType::Network as i32;
const NEW_PID: i32 = LinuxNamespaceType::Pid as i32;
const NEW_TIME: i32 = LinuxNamespaceType::Time as i32;
const NEW_USER: i32 = LinuxNamespaceType::User as i32;
const NEW_UTS: i32 = LinuxNamespaceType::Uts as i32;

/// The namespaces of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Namespaces {
    /// `CLONE_NEW*` of the container's own.
    created: i32,
    /// Kind and file of those that belong to another container.
    joined: Vec<(i32, PathBuf)>,
}

impl Namespaces {
    pub(super) fn of(spec: &Spec) -> Result<Self, StartFailure> {
        let listed = spec
            .linux()
            .as_ref()
            .and_then(|it| it.namespaces().as_ref());
        let mut created = 0;
        let mut joined = Vec::new();
        for namespace in listed.into_iter().flatten() {
            let kind = namespace.typ() as i32;
            match namespace.path() {
                Some(path) => joined.push((kind, path.clone())),
                None => created |= kind,
            }
        }
        if created & NEW_MOUNT == 0 {
            return Err(StartFailure::setup(
                "a container needs a mount namespace of its own, not one that it joins",
            ));
        }
        Ok(Self { created, joined })
    }

    /// `CLONE_NEW*` of those that init is born into: all but the cgroup namespace, whose root
    /// is the group that init enters only afterwards, and the time namespace, whose clocks are
    /// set before anybody is born into it.
    pub(super) fn born_into(&self) -> i32 {
        self.created & !(NEW_CGROUP | NEW_TIME)
    }

    pub(super) fn has_own_clocks(&self) -> bool {
        self.created & NEW_TIME != 0
    }

    pub(super) fn joins_users(&self) -> bool {
        self.joined.iter().any(|(kind, _)| *kind == NEW_USER)
    }

    /// Whether the container's ids are those of a user namespace.
    pub(super) fn maps_users(&self) -> bool {
        self.has_own_users() || self.joins_users()
    }

    /// Whether the container has its own of `kind`, or joins one.
    pub(super) fn has(&self, kind: LinuxNamespaceType) -> bool {
        let kind = kind as i32;
        self.created & kind != 0 || self.joined.iter().any(|(it, _)| *it == kind)
    }

    pub(super) fn has_own_cgroups(&self) -> bool {
        self.created & NEW_CGROUP != 0
    }

    pub(super) fn has_own_users(&self) -> bool {
        self.created & NEW_USER != 0
    }

    pub(super) fn has_own_names(&self) -> bool {
        self.created & NEW_UTS != 0
    }

    pub(super) fn has_own_network(&self) -> bool {
        self.created & NEW_NETWORK != 0
    }

    /// What the process of an exec has to join besides the pid namespace.
    pub(super) fn for_exec(&self) -> i32 {
        let joined = self.joined.iter().fold(0, |bits, (kind, _)| bits | kind);
        (self.created | joined) & !NEW_PID
    }

    /// Whether init is the first process of a pid namespace, so that all end with it.
    pub(super) fn has_own_pids(&self) -> bool {
        self.created & NEW_PID != 0
    }

    /// Enters the namespaces that are shared, for good. Some belong to the host and can only be
    /// entered before the user namespace, others to that and only after it.
    pub(super) fn enter_all(&self) -> Result<(), StartFailure> {
        let what = |path: &PathBuf| format!("cannot join namespace {}", path.display());
        let (users, others): (Vec<_>, Vec<_>) =
            self.joined.iter().partition(|(kind, _)| *kind == NEW_USER);
        let open = |(kind, path): &&(i32, PathBuf)| {
            let file = File::open(path).step(|| what(path))?;
            Ok((*kind, path.clone(), file))
        };
        let mut waiting = Vec::new();
        let users = users
            .iter()
            .map(open)
            .collect::<Result<Vec<_>, StartFailure>>()?;
        for (kind, path, file) in others
            .iter()
            .map(open)
            .collect::<Result<Vec<_>, StartFailure>>()?
        {
            match process::join_namespace(file.as_fd(), kind) {
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    waiting.push((kind, path, file));
                }
                other => other.step(|| what(&path))?,
            }
        }
        for (kind, path, file) in users.into_iter().chain(waiting) {
            process::join_namespace(file.as_fd(), kind).step(|| what(&path))?;
        }
        Ok(())
    }

    /// Enters the namespaces that are shared, so that a child is born in them.
    pub(super) fn borrow(&self) -> Result<Borrowed, StartFailure> {
        let mut borrowed = Borrowed { own: Vec::new() };
        for (kind, path) in &self.joined {
            let what = || format!("cannot join namespace {}", path.display());
            let file = File::open(path).step(what)?;
            borrowed.enter(file.as_fd(), *kind)?;
        }
        Ok(borrowed)
    }
}

/// Enters the pid namespace of `init`, so that a child is born in it.
pub(super) fn borrow_pids(init: BorrowedFd<'_>) -> Result<Borrowed, StartFailure> {
    let mut borrowed = Borrowed { own: Vec::new() };
    borrowed.enter(init, NEW_PID)?;
    Ok(borrowed)
}

/// Namespaces of another that this process is in until the value is dropped.
#[derive(Debug)]
pub(super) struct Borrowed {
    own: Vec<(i32, OwnedFd)>,
}

impl Borrowed {
    fn enter(&mut self, namespace: BorrowedFd<'_>, kind: i32) -> Result<(), StartFailure> {
        let name = match kind {
            NEW_CGROUP => "cgroup",
            NEW_NETWORK => "net",
            NEW_PID => "pid",
            NEW_UTS => "uts",
            other if other == LinuxNamespaceType::Ipc as i32 => "ipc",
            _ => "time",
        };
        let what = || format!("cannot join a {name} namespace");
        let own = File::open(format!("/proc/self/ns/{name}")).step(what)?;
        process::join_namespace(namespace, kind).step(what)?;
        self.own.push((kind, own.into()));
        Ok(())
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        for (kind, own) in self.own.drain(..).rev() {
            if process::join_namespace(own.as_fd(), kind).is_err() {
                // The shim must never go on in a container's namespace.
                process::exit_now(1);
            }
        }
    }
}

/// Whether a mount makes something visible that exists already.
pub(super) fn is_bind(mount: &Mount) -> bool {
    let options = MountOptions::parse(mount.options().as_deref().unwrap_or_default());
    options.bind.is_some() || mount.typ().as_deref() == Some("bind")
}
