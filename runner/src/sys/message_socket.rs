//! Sockets between two processes of ours, with whole messages and descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::path::Path;

use nix::sys::socket::{
    self, AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag,
    SockType, UnixAddr,
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

    /// Connects to a [`MessageListener`].
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = unconnected()?;
        socket::connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
        Ok(Self(socket))
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

/// Where one process waits for others to connect.
#[derive(Debug)]
pub struct MessageListener(OwnedFd);

impl MessageListener {
    /// Listens at `path`, which may have at most 107 bytes.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let socket = unconnected()?;
        socket::bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
        socket::listen(&socket, Backlog::new(1)?)?;
        Ok(Self(socket))
    }

    /// Waits for the next to connect.
    pub fn accept(&self) -> io::Result<MessageSocket> {
        loop {
            match socket::accept4(self.0.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
                Err(nix::errno::Errno::EINTR) => {}
                other => {
                    // SAFETY: the kernel has just made this descriptor for us.
                    return Ok(MessageSocket(unsafe { OwnedFd::from_raw_fd(other?) }));
                }
            }
        }
    }
}

impl std::os::fd::AsFd for MessageListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn unconnected() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socket::socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        flags,
        None,
    )?)
}

/// Sends one descriptor with a name over a stream socket at `path`, as runtimes hand over
/// terminals and listeners.
pub fn send_descriptor(path: &Path, message: &[u8], fd: BorrowedFd<'_>) -> io::Result<()> {
    let stream = std::os::unix::net::UnixStream::connect(path)?;
    let raw = [fd.as_raw_fd()];
    socket::sendmsg::<()>(
        stream.as_raw_fd(),
        &[IoSlice::new(message)],
        &[ControlMessage::ScmRights(&raw)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    Ok(())
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
