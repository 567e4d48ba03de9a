//! How much a socket waits for before it says that there is something to read.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Has poll(2) and epoll(7) say that a TCP socket is readable only when `bytes`
/// have come, or its buffer is full, or nothing more comes (`SO_RCVLOWAT` in
/// socket(7)). Reading itself waits for nothing.
pub(crate) fn set(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    #[expect(unsafe_code, reason = "no crate has a name for this option")]
    // SAFETY: the kernel reads one int, which lives for the call.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const bytes).cast(),
            libc::c_int::BITS / 8,
        )
    };
    match outcome {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
