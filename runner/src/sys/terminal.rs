//! Pseudo-terminals, pty(7).

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{self, OFlag};
use nix::sys::stat::Mode;

use super::{in_root, mount};

/// Makes a terminal in the devpts whose root directory is `devpts`: master, then slave.
///
/// Checks that it is a devpts and its `ptmx` the multiplexer, for a directory that somebody
/// else could have put there.
pub fn open(devpts: BorrowedFd<'_>) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let place = fcntl::openat(
        devpts,
        "ptmx",
        OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?;
    let genuine = mount::is_file_system(&place, mount::DEVPTS_MAGIC)?
        && in_root::status(&place)?.is_char_device(5, 2);
    if !genuine {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not the terminal multiplexer",
        ));
    }
    let master = fcntl::openat(devpts, "ptmx", flags | OFlag::O_NOFOLLOW, Mode::empty())?;
    if !in_root::status(&master)?.is_char_device(5, 2) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let unlocked: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int, which outlives the call.
    let result = unsafe {
        libc::ioctl(
            master.as_raw_fd(),
            libc::TIOCSPTLCK,
            std::ptr::from_ref(&unlocked),
        )
    };
    Errno::result(result)?;
    // The slave comes from the master itself: no path that could be something else.
    // SAFETY: TIOCGPTPEER takes open(2) flags as a number.
    let slave = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags.bits()) };
    let slave = Errno::result(slave)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok((master, unsafe { OwnedFd::from_raw_fd(slave) }))
}

/// Makes `terminal` the controlling one of this session, whose leader the caller is.
pub fn take_control(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes a number.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// Changes the size; the foreground processes get SIGWINCH.
pub fn resize(terminal: impl AsFd, rows: u16, columns: u16) -> io::Result<()> {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCSWINSZ reads one `winsize`, which outlives the call.
    let result = unsafe {
        libc::ioctl(
            terminal.as_fd().as_raw_fd(),
            libc::TIOCSWINSZ,
            std::ptr::from_ref(&size),
        )
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// Rows and columns.
pub fn size(terminal: BorrowedFd<'_>) -> io::Result<(u16, u16)> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCGWINSZ writes one `winsize`, which outlives the call.
    let result = unsafe {
        libc::ioctl(
            terminal.as_raw_fd(),
            libc::TIOCGWINSZ,
            std::ptr::from_mut(&mut size),
        )
    };
    Errno::result(result)?;
    Ok((size.ws_row, size.ws_col))
}

/// A terminal that passes everything on as it is typed, until this is dropped.
#[derive(Debug)]
pub struct RawMode {
    terminal: OwnedFd,
    before: nix::sys::termios::Termios,
}

impl RawMode {
    pub fn enter(terminal: BorrowedFd<'_>) -> io::Result<Self> {
        let terminal = terminal.try_clone_to_owned()?;
        let before = nix::sys::termios::tcgetattr(&terminal)?;
        let mut raw = before.clone();
        nix::sys::termios::cfmakeraw(&mut raw);
        nix::sys::termios::tcsetattr(&terminal, nix::sys::termios::SetArg::TCSANOW, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let now = nix::sys::termios::SetArg::TCSANOW;
        let _it_may_be_gone = nix::sys::termios::tcsetattr(&self.terminal, now, &self.before);
    }
}
