//! What the kernel knows of a connected socket, and a socket that we were started with.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{getsockopt, sockopt};

/// The first descriptor that is passed on, `sd_listen_fds(3)`.
const FIRST_PASSED_ON: i32 = 3;

/// Whether it has an owner by now.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes the listening socket that whoever started us has opened for us, once. Only for a process that was
/// told in its environment that there is one.
pub fn passed_on() -> io::Result<OwnedFd> {
    if IS_TAKEN.swap(true, Ordering::SeqCst) {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    // SAFETY: only looked at: a number that is no open descriptor is an error of the call.
    let there = unsafe { BorrowedFd::borrow_raw(FIRST_PASSED_ON) };
    // Whoever started us may have promised what is not there, and the number be one of ours by
    // now; of ours, none listens yet.
    if !getsockopt(&there, sockopt::AcceptConn)? {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // No program that we start shall have it.
    fcntl(there, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open, listens, and was passed on to us; `IS_TAKEN` lets only one caller own
    // it.
    Ok(unsafe { OwnedFd::from_raw_fd(FIRST_PASSED_ON) })
}

/// Bytes sent that the other side has not read yet, unix(7).
pub fn unread_bytes(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut n_bytes: libc::c_int = 0;
    // SAFETY: TIOCOUTQ, which is SIOCOUTQ, writes one int, and the pointer is to a live one.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut n_bytes) };
    Errno::result(result)?;
    Ok(usize::try_from(n_bytes).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_the_other_side_has_read_is_not_counted() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        assert_eq!(unread_bytes(here.as_fd()).unwrap(), 0);
        here.write_all(b"abc").unwrap();
        assert!(unread_bytes(here.as_fd()).unwrap() > 0);
        there.read_exact(&mut [0; 3]).unwrap();
        assert_eq!(unread_bytes(here.as_fd()).unwrap(), 0);
    }
}
