//! Sockets between two processes of ours, with whole messages and descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use nix::sys::socket::{
    self, AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
};

/// The longest message.
const MAX_MESSAGE_SIZE: usize = 16 * 1024;

/// One end of a pair; each message arrives whole. Closed by execve(2).
#[derive(Debug)]
pub struct MessageSocket(OwnedFd);

impl MessageSocket {
    /// Two ends that are connected to each other.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (left, right) = socket::socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )?;
        Ok((Self(left), Self(right)))
    }

    pub fn send(&self, message: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let raw = descriptor.map(|fd| [fd.as_raw_fd()]);
        let rights = raw.as_ref().map(|fds| ControlMessage::ScmRights(fds));
        socket::sendmsg::<()>(
            self.0.as_raw_fd(),
            &[IoSlice::new(message)],
            rights.as_slice(),
            MsgFlags::MSG_NOSIGNAL,
            None,
        )?;
        Ok(())
    }

    /// The next message; `None` when the other end is closed.
    pub fn receive(&self) -> io::Result<Option<(Vec<u8>, Option<OwnedFd>)>> {
        let mut buffer = vec![0_u8; MAX_MESSAGE_SIZE];
        let mut control = nix::cmsg_space!(i32);
        let (length, descriptor) = {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let received = loop {
                match socket::recvmsg::<()>(
                    self.0.as_raw_fd(),
                    &mut slices,
                    Some(&mut control),
                    MsgFlags::MSG_CMSG_CLOEXEC,
                ) {
                    Err(nix::errno::Errno::EINTR) => {}
                    Err(nix::errno::Errno::ECONNRESET) => return Ok(None),
                    other => break other?,
                }
            };
            let mut descriptor = None;
            for message in received.cmsgs()? {
                if let ControlMessageOwned::ScmRights(fds) = message {
                    for fd in fds {
                        // SAFETY: the kernel has just made this descriptor for us.
                        descriptor = Some(unsafe { OwnedFd::from_raw_fd(fd) });
                    }
                }
            }
            (received.bytes, descriptor)
        };
        if length == 0 {
            return Ok(None);
        }
        buffer.truncate(length);
        Ok(Some((buffer, descriptor)))
    }

    /// Whether the other end is closed, without waiting.
    pub fn is_closed(&self) -> bool {
        let mut poll = [nix::poll::PollFd::new(
            self.0.as_fd(),
            nix::poll::PollFlags::empty(),
        )];
        let _ready = nix::poll::poll(&mut poll, nix::poll::PollTimeout::ZERO);
        poll[0]
            .revents()
            .is_some_and(|events| events.contains(nix::poll::PollFlags::POLLHUP))
    }
}

impl From<OwnedFd> for MessageSocket {
    /// Takes an end that another process made.
    fn from(end: OwnedFd) -> Self {
        Self(end)
    }
}

impl From<MessageSocket> for OwnedFd {
    fn from(socket: MessageSocket) -> Self {
        socket.0
    }
}

impl std::os::fd::AsFd for MessageSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
