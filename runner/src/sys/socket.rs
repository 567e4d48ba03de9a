//! What the kernel knows of a connected socket.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::errno::Errno;

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
