//! An init without a shim: whoever runs `hythe runtime start` gives it the order.

use std::os::fd::{AsFd as _, AsRawFd as _};

use oci_spec::runtime::{Hooks, State};

use super::{Unattended, await_order, report};
use crate::launch::StartFailure;
use crate::launch::error::Step;
use crate::launch::hooks;
use crate::launch::message::{InitOrder, InitReport};
use crate::sys::message_socket::{MessageListener, MessageSocket};

/// What init needs to be started by somebody who is not there yet.
#[derive(Debug)]
pub(in crate::launch) struct Visitor<'a> {
    /// Where that somebody connects.
    pub(in crate::launch) listener: MessageListener,
    pub(in crate::launch) hooks: Option<&'a Hooks>,
    /// What the hooks are told about the container.
    pub(in crate::launch) state: &'a State,
    /// Descriptors from 3 on that are the program's.
    pub(in crate::launch) n_preserved: u32,
    /// The runtime itself lives in a user namespace.
    pub(in crate::launch) is_mapped: bool,
}

impl Visitor<'_> {
    pub(super) fn unattended(&self) -> Unattended {
        Unattended {
            n_preserved: self.n_preserved,
        }
    }

    pub(super) fn is_mapped(&self) -> bool {
        self.is_mapped
    }

    pub(super) fn descriptors(&self) -> Vec<i32> {
        let mut all = vec![self.listener.as_fd().as_raw_fd()];
        all.extend((3..).take(self.n_preserved as usize));
        all
    }

    /// All that hooks want to see of the host is still there, and the namespaces are new.
    pub(super) fn announce_root(&self, socket: &MessageSocket) -> Result<(), StartFailure> {
        report(socket, &InitReport::RootIsNext, None);
        await_order(socket, InitOrder::EnterRoot)?;
        let hooks = self.hooks.and_then(|it| it.create_container().as_deref());
        self.run(hooks.unwrap_or_default(), "createContainer")
    }

    /// Waits for the one who starts us.
    pub(super) fn receive(&self) -> Result<MessageSocket, StartFailure> {
        self.listener
            .accept()
            .step(|| "cannot wait for the start".to_owned())
    }

    pub(super) fn run_start_hooks(&self) -> Result<(), StartFailure> {
        let hooks = self.hooks.and_then(|it| it.start_container().as_deref());
        self.run(hooks.unwrap_or_default(), "startContainer")
    }

    fn run(&self, hooks: &[oci_spec::runtime::Hook], kind: &str) -> Result<(), StartFailure> {
        if hooks.is_empty() {
            return Ok(());
        }
        let mut state = self.state.clone();
        state.set_pid(i32::try_from(std::process::id()).ok());
        if kind == "startContainer" {
            state.set_status(oci_spec::runtime::ContainerState::Created);
        }
        hooks::run_all(hooks, kind, &state)
    }
}
