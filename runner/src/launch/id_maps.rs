//! Which ids of the host the ids of a user namespace stand for, `user_namespaces(7)`.

use std::fs::{self, File};
use std::os::fd::{AsFd as _, OwnedFd};

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Mount, Spec};

use super::StartFailure;
use super::error::Step;
use crate::sys::process::{self, CloneRequest};
use crate::sys::{events, message_socket::MessageSocket};

const SIGKILL: i32 = 9;

/// The mappings of users and of groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdMaps<'a> {
    pub(super) users: &'a [LinuxIdMapping],
    pub(super) groups: &'a [LinuxIdMapping],
}

impl<'a> IdMaps<'a> {
    /// Those of the container itself.
    pub(super) fn of(spec: &'a Spec) -> Self {
        let linux = spec.linux().as_ref();
        let users = linux.and_then(|it| it.uid_mappings().as_deref());
        let groups = linux.and_then(|it| it.gid_mappings().as_deref());
        Self {
            users: users.unwrap_or_default(),
            groups: groups.unwrap_or_default(),
        }
    }

    /// What root of the container is outside; `None` without a mapping.
    pub(super) fn root(self) -> Option<(u32, u32)> {
        let of = |mappings: &[LinuxIdMapping]| {
            let root = mappings.iter().find(|it| it.container_id() == 0);
            root.map(LinuxIdMapping::host_id)
        };
        Some((of(self.users)?, of(self.groups)?))
    }

    /// Those of one mount, else the container's.
    pub(super) fn of_mount(mount: &'a Mount, spec: &'a Spec) -> Self {
        match (mount.uid_mappings(), mount.gid_mappings()) {
            (Some(users), Some(groups)) => Self { users, groups },
            _ => Self::of(spec),
        }
    }

    /// Gives the new user namespace of process `pid` its ids, for good.
    pub(super) fn write(self, pid: i32) -> Result<(), StartFailure> {
        let write = |file: &str, text: String| {
            let path = format!("/proc/{pid}/{file}");
            fs::write(&path, text).step(|| format!("cannot write {path}"))
        };
        write("uid_map", lines(self.users))?;
        write("gid_map", lines(self.groups))
    }

    /// A user namespace with these ids and nobody in it, for mounts.
    ///
    /// Only for a process with one thread.
    pub(super) fn namespace(self) -> Result<OwnedFd, StartFailure> {
        let what = || "cannot make a user namespace".to_owned();
        let (own, theirs) = MessageSocket::pair().step(what)?;
        let request = CloneRequest {
            namespaces: LinuxNamespaceType::User as i32,
            ..CloneRequest::default()
        };
        let child = process::clone_process(request, move || {
            // Only there for the namespace to be looked at.
            let _held = process::die_with_parent().and_then(|()| theirs.receive().map(drop));
            0
        })
        .step(what)?;
        let namespace = self.write(child.pid).and_then(|()| {
            File::open(format!("/proc/{}/ns/user", child.pid))
                .map(OwnedFd::from)
                .step(what)
        });
        drop(own);
        let _it_ends_anyway = process::send_signal(child.pidfd.as_fd(), SIGKILL);
        events::wait_for_end(child.pidfd.as_fd())
            .and_then(|()| process::reap(child.pidfd.as_fd()))
            .step(what)?;
        namespace
    }
}

fn lines(mappings: &[LinuxIdMapping]) -> String {
    let lines: Vec<String> = mappings
        .iter()
        .map(|it| format!("{} {} {}", it.container_id(), it.host_id(), it.size()))
        .collect();
    lines.join("\n")
}
