//! Installing a compiled system call filter, seccomp(2).

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use nix::errno::Errno;

/// Bytes of one `struct sock_filter`.
pub const INSTRUCTION_SIZE: usize = 8;

/// The most instructions the kernel takes (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// Puts this thread and all it will start under the filter `program`, instructions of
/// `struct sock_filter` in the byte order of this machine; `flags` are `SECCOMP_FILTER_FLAG_*`.
///
/// Needs `no_new_privs` or `CAP_SYS_ADMIN`. With `SECCOMP_FILTER_FLAG_NEW_LISTENER` the answer is
/// the descriptor of whoever decides.
pub fn install(program: &[u8], flags: u32) -> io::Result<Option<OwnedFd>> {
    let mut instructions: Vec<libc::sock_filter> = program
        .chunks_exact(INSTRUCTION_SIZE)
        .map(|bytes| libc::sock_filter {
            code: u16::from_ne_bytes([bytes[0], bytes[1]]),
            jt: bytes[2],
            jf: bytes[3],
            k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        })
        .collect();
    let filter = libc::sock_fprog {
        len: u16::try_from(instructions.len())
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        filter: instructions.as_mut_ptr(),
    };
    // SAFETY: `filter` points to `len` instructions, which outlive the call; the kernel checks
    // what they say.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            std::ptr::from_ref(&filter),
        )
    };
    let fd = Errno::result(result)?;
    if libc::c_ulong::from(flags) & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER == 0 {
        return Ok(None);
    }
    let fd = i32::try_from(fd).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
}
