//! How a container's first process comes into its namespaces.

use std::os::fd::{AsFd as _, OwnedFd};

use super::StartFailure;
use super::error::Step;
use super::namespaces::Namespaces;
use crate::sys::message_socket::MessageSocket;
use crate::sys::process::{self, Child, CloneRequest};
use crate::sys::{credentials, events};

/// Runs `child` in the namespaces of a container, in the cgroup v2 directory `birthplace`.
pub(super) fn clone_into(
    namespaces: &Namespaces,
    birthplace: Option<&OwnedFd>,
    child: impl FnOnce() -> i32,
) -> Result<Child, StartFailure> {
    let request = CloneRequest {
        namespaces: namespaces.born_into(),
        cgroup: birthplace.map(OwnedFd::as_fd),
        sibling: false,
    };
    if namespaces.joins_users() {
        return clone_by_way_of(request, namespaces, child);
    }
    let _borrowed = namespaces.borrow()?;
    process::clone_process(request, child).step(|| "cannot clone init".to_owned())
}

/// Nobody comes back from a user namespace, and what is made after entering one belongs to it.
/// So a process in between enters it, has a sibling there and ends.
fn clone_by_way_of(
    request: CloneRequest<'_>,
    namespaces: &Namespaces,
    child: impl FnOnce() -> i32,
) -> Result<Child, StartFailure> {
    let what = || "cannot clone init".to_owned();
    let (own, theirs) = MessageSocket::pair().step(what)?;
    let between = CloneRequest {
        cgroup: request.cgroup,
        ..CloneRequest::default()
    };
    let between = process::clone_process(between, move || {
        let born = namespaces.enter_all().and_then(|()| {
            credentials::become_namespace_root()
                .step(|| "cannot become root in the namespace".to_owned())?;
            let request = CloneRequest {
                namespaces: request.namespaces,
                cgroup: None,
                sibling: true,
            };
            process::clone_process(request, child).step(what)
        });
        let answer = born.map(|child| child.pid);
        let bytes = serde_json::to_vec(&answer).unwrap_or_default();
        i32::from(theirs.send(&bytes, None).is_err())
    })
    .step(what)?;
    let answer = own.receive().step(what)?;
    events::wait_for_end(between.pidfd.as_fd())
        .and_then(|()| process::reap(between.pidfd.as_fd()))
        .step(what)?;
    let (bytes, _) = answer.ok_or_else(|| StartFailure::setup("init was never made"))?;
    let answer: Result<i32, StartFailure> = serde_json::from_slice(&bytes)
        .map_err(|error| StartFailure::setup(format!("init was never made: {error}")))?;
    let pid = answer?;
    // It is our child: its number stays its own until we have reaped it.
    let pidfd = process::open_pidfd(pid).step(what)?;
    Ok(Child { pid, pidfd })
}
