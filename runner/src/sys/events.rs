//! Waiting for many descriptors in one thread, epoll(7), and what a loop over them needs.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{self, FcntlArg, OFlag};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// What a descriptor is watched for. Its end is always told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interest {
    pub read: bool,
    pub write: bool,
}

/// What happened to the descriptor that was added with `token`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    pub token: u64,
    pub readable: bool,
    pub writable: bool,
    /// The other side is gone in both directions.
    pub hung_up: bool,
}

/// A set of watched descriptors; level-triggered.
#[derive(Debug)]
pub struct Poller(Epoll);

impl Poller {
    pub fn new() -> io::Result<Self> {
        Ok(Self(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(self.0.add(fd, EpollEvent::new(flags(interest), token))?)
    }

    pub fn change(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        let mut event = EpollEvent::new(flags(interest), token);
        Ok(self.0.modify(fd, &mut event)?)
    }

    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.0.delete(fd)?)
    }

    /// Waits for something to happen, at most `timeout`.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<Ready>> {
        let mut events = [EpollEvent::empty(); 16];
        let timeout = match timeout {
            None => EpollTimeout::NONE,
            Some(limit) => EpollTimeout::try_from(limit).unwrap_or(EpollTimeout::MAX),
        };
        let n_events = match self.0.wait(&mut events, timeout) {
            Err(Errno::EINTR) => 0,
            other => other?,
        };
        Ok(events[..n_events].iter().map(ready).collect())
    }
}

fn flags(interest: Interest) -> EpollFlags {
    let mut flags = EpollFlags::empty();
    if interest.read {
        flags |= EpollFlags::EPOLLIN;
    }
    if interest.write {
        flags |= EpollFlags::EPOLLOUT;
    }
    flags
}

fn ready(event: &EpollEvent) -> Ready {
    let events = event.events();
    Ready {
        token: event.data(),
        readable: events.contains(EpollFlags::EPOLLIN),
        writable: events.contains(EpollFlags::EPOLLOUT),
        hung_up: events.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR),
    }
}

/// Makes reads and writes return at once.
pub fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_truncate(fcntl::fcntl(fd.as_fd(), FcntlArg::F_GETFL)?);
    fcntl::fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// A pipe: what is written to the second comes out of the first.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC)?)
}

/// read(2), again when a signal came between.
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match nix::unistd::read(fd, buffer) {
            Err(Errno::EINTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

/// write(2), again when a signal came between.
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match nix::unistd::write(fd, bytes) {
            Err(Errno::EINTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

/// Gives a stream's inode to a user, so that it can be opened again through `/proc/self/fd`.
pub fn set_owner(fd: BorrowedFd<'_>, uid: u32, gid: Option<u32>) -> io::Result<()> {
    Ok(nix::unistd::fchown(
        fd,
        Some(nix::unistd::Uid::from_raw(uid)),
        gid.map(nix::unistd::Gid::from_raw),
    )?)
}

/// Takes an exclusive lock without waiting, flock(2); `false` when another process has it.
pub fn try_lock(file: &std::fs::File) -> io::Result<bool> {
    // SAFETY: the descriptor is open; the call takes numbers only.
    let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    match Errno::result(result) {
        Ok(_) => Ok(true),
        Err(Errno::EWOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Waits until the process behind `pidfd` has ended, at most `limit`; `false` when it has not.
pub fn wait_for_end_within(pidfd: BorrowedFd<'_>, limit: Duration) -> io::Result<bool> {
    let deadline = std::time::Instant::now() + limit;
    let mut poll = [nix::poll::PollFd::new(pidfd, nix::poll::PollFlags::POLLIN)];
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        let left = nix::poll::PollTimeout::try_from(left).unwrap_or(nix::poll::PollTimeout::MAX);
        match nix::poll::poll(&mut poll, left) {
            Err(Errno::EINTR) => {}
            other => return other.map(|ready| ready > 0).map_err(io::Error::from),
        }
    }
}

/// Waits until the process behind `pidfd` has ended.
pub fn wait_for_end(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    let mut poll = [nix::poll::PollFd::new(pidfd, nix::poll::PollFlags::POLLIN)];
    loop {
        match nix::poll::poll(&mut poll, nix::poll::PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            other => return other.map(drop).map_err(io::Error::from),
        }
    }
}
