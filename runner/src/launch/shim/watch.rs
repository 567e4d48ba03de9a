//! A descriptor in the loop's set, registered only while it is of interest.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use crate::spec::StdStream;
use crate::sys::events::{Interest, Poller};

/// What a descriptor in the set belongs to; travels as the token of epoll(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// New connections.
    Listener,
    Connection(u32),
    /// The end of a program.
    Exit(u32),
    /// What a program that is being started reports.
    Report(u32),
    Input(u32),
    Output(u32, StdStream),
}

impl Source {
    pub(super) fn token(self) -> u64 {
        let (kind, index) = match self {
            Self::Listener => (0, 0),
            Self::Connection(index) => (1, index),
            Self::Exit(index) => (2, index),
            Self::Report(index) => (3, index),
            Self::Input(index) => (4, index),
            Self::Output(index, StdStream::Stdout) => (5, index),
            Self::Output(index, StdStream::Stderr) => (6, index),
        };
        kind << 32 | u64::from(index)
    }

    pub(super) fn from_token(token: u64) -> Option<Self> {
        let index = u32::try_from(token & 0xffff_ffff).ok()?;
        Some(match token >> 32 {
            0 => Self::Listener,
            1 => Self::Connection(index),
            2 => Self::Exit(index),
            3 => Self::Report(index),
            4 => Self::Input(index),
            5 => Self::Output(index, StdStream::Stdout),
            6 => Self::Output(index, StdStream::Stderr),
            _ => return None,
        })
    }
}

/// A descriptor that the loop may watch.
#[derive(Debug)]
pub(super) struct Watch<F: AsFd> {
    pub(super) fd: F,
    source: Source,
    /// `None` while it is not in the set: even without interest the kernel would report its
    /// end over and over.
    registered: Option<(Rc<Poller>, Interest)>,
}

impl<F: AsFd> Watch<F> {
    pub(super) fn new(fd: F, source: Source) -> Self {
        Self {
            fd,
            source,
            registered: None,
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Watches for `wanted`, or not at all.
    pub(super) fn set(&mut self, poller: &Rc<Poller>, wanted: Option<Interest>) -> io::Result<()> {
        let token = self.source.token();
        match (&self.registered, wanted) {
            (Some((_, current)), Some(interest)) if *current == interest => return Ok(()),
            (None, None) => return Ok(()),
            (None, Some(interest)) => poller.add(&self.fd, token, interest)?,
            (Some(_), Some(interest)) => poller.change(&self.fd, token, interest)?,
            (Some(_), None) => poller.remove(&self.fd)?,
        }
        self.registered = wanted.map(|interest| (Rc::clone(poller), interest));
        Ok(())
    }
}

/// Closing a descriptor takes it out of the set only when no copy of it is left, and a terminal
/// has copies.
impl<F: AsFd> Drop for Watch<F> {
    fn drop(&mut self) {
        if let Some((poller, _)) = self.registered.take() {
            let _was_in_the_set = poller.remove(&self.fd);
        }
    }
}

pub(super) const READ: Interest = Interest {
    read: true,
    write: false,
};
pub(super) const WRITE: Interest = Interest {
    read: false,
    write: true,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_sources() {
        for source in [
            Source::Listener,
            Source::Connection(7),
            Source::Exit(0),
            Source::Report(u32::MAX),
            Source::Input(1),
            Source::Output(2, StdStream::Stdout),
            Source::Output(2, StdStream::Stderr),
        ] {
            assert_eq!(Source::from_token(source.token()), Some(source));
        }
        assert_eq!(Source::from_token(u64::MAX), None);
    }
}
