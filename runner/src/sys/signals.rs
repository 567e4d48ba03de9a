//! Signals as something to read, signalfd(2).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The signals of this process.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Every signal that can be held back is from now on read here.
    pub fn take_all() -> io::Result<Self> {
        let mut all = SigSet::all();
        // Mistakes of our own must end us.
        for own in [
            Signal::SIGSEGV,
            Signal::SIGBUS,
            Signal::SIGILL,
            Signal::SIGFPE,
        ] {
            all.remove(own);
        }
        all.thread_set_mask()?;
        Ok(Self(SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC)?))
    }

    /// The next signal; waits for one.
    pub fn next(&self) -> io::Result<i32> {
        loop {
            match self.0.read_signal() {
                Ok(Some(signal)) => return Ok(i32::try_from(signal.ssi_signo).unwrap_or(0)),
                Ok(None) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
