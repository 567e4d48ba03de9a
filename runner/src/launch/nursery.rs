//! The daemon's side of the process whose copies become shims.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use tokio::process::Command;

use crate::sys::executable;
use crate::sys::message_socket::MessageSocket;

/// Starts the nursery when it is first needed, and again should it ever be gone.
#[derive(Debug)]
pub(super) struct Nursery {
    /// Our own executable, protected from what runs in containers.
    executable: OwnedFd,
    socket: Mutex<Option<MessageSocket>>,
}

impl Nursery {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            executable: executable::protected()?,
            socket: Mutex::new(None),
        })
    }

    /// Has a shim made for `bundle`, with `connection` to talk to us.
    pub(super) fn raise(&self, bundle: &Path, connection: &UnixStream) -> io::Result<()> {
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let path = bundle.as_os_str().as_bytes();
        if let Some(nursery) = &*socket
            && nursery.send(path, Some(connection.as_fd())).is_ok()
        {
            return Ok(());
        }
        let nursery = self.start()?;
        nursery.send(path, Some(connection.as_fd()))?;
        *socket = Some(nursery);
        Ok(())
    }

    fn start(&self) -> io::Result<MessageSocket> {
        let (own, theirs) = MessageSocket::pair()?;
        // Descriptors are the same in the child until it executes, which opens this one.
        let program = format!("/proc/self/fd/{}", self.executable.as_raw_fd());
        let mut child = Command::new(program)
            .arg0("hythe")
            .args(["shim", "--nursery"])
            .env_clear()
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()?;
        tokio::spawn(async move {
            // Only so that no zombie stays.
            let _status = child.wait().await;
        });
        Ok(own)
    }
}
