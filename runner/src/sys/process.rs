//! Making, watching and ending processes: clone3(2), pidfds, waitid(2), execve(2).

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::panic::{self, AssertUnwindSafe};
use std::ptr;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::wait::{self, WaitPidFlag, WaitStatus};

/// `struct clone_args`, the part that Linux 5.7 has.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Since Linux 5.7.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Exit code of a child whose code panicked.
const PANICKED: i32 = 128;

/// A child, held by a descriptor that never means another process.
#[derive(Debug)]
pub struct Child {
    /// As the caller's pid namespace counts.
    pub pid: i32,
    pub pidfd: OwnedFd,
}

/// What a child is to have of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct CloneRequest<'a> {
    /// `CLONE_NEW*` bits.
    pub namespaces: i32,
    /// A cgroup v2 directory to be born in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// A child of our parent, so that our end does not orphan it.
    pub sibling: bool,
}

/// Runs `child` in a copy of this process, which ends with the code that `child` returns.
///
/// Must only be called while this process has one thread: the copy has no other, and a lock
/// that one held would stay locked.
pub fn clone_process(request: CloneRequest<'_>, child: impl FnOnce() -> i32) -> io::Result<Child> {
    let mut pidfd: i32 = -1;
    let mut args = CloneArgs {
        flags: (libc::CLONE_PIDFD as u64) | u64::from(request.namespaces.cast_unsigned()),
        pidfd: ptr::from_mut(&mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if request.sibling {
        args.flags |= libc::CLONE_PARENT as u64;
        // The parent is told as it would be of us.
        args.exit_signal = 0;
    }
    if let Some(cgroup) = request.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).unwrap_or_default();
    }
    // SAFETY: `args` is a valid clone_args of the size given; without CLONE_VM and with no stack
    // the child runs on its own copy of this one, as after fork(2).
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            ptr::from_ref(&args),
            size_of::<CloneArgs>(),
        )
    };
    let pid = Errno::result(result)?;
    if pid == 0 {
        // A panic must not unwind into what the parent was doing.
        let result = panic::catch_unwind(AssertUnwindSafe(child));
        exit_now(result.unwrap_or(PANICKED));
    }
    Ok(Child {
        pid: i32::try_from(pid).unwrap_or_default(),
        // SAFETY: the kernel stored a new descriptor there before it returned to the parent.
        pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
    })
}

/// A descriptor for the process with this number now, `pidfd_open(2)`.
pub fn open_pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = Errno::result(result)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap_or_default()) })
}

/// Sends `signal` to the process behind `pidfd`; 0 only asks whether it lives.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: the only pointer is null, which the call takes as "as kill(2) would".
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            ptr::null::<u8>(),
            0,
        )
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// Sends `signal` to a process by number; only for numbers just read from a control group.
pub fn send_signal_to(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: kill(2) takes two numbers.
    let result = unsafe { libc::kill(pid, signal) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// The exit code of a child that has ended (128 + signal when one ended it), and reaps it;
/// `None` while it lives.
pub fn reap(pidfd: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
    match wait::waitid(wait::Id::PIDFd(pidfd), flags)? {
        WaitStatus::Exited(_, code) => Ok(Some(code)),
        WaitStatus::Signaled(_, signal, _) => Ok(Some(128 + signal as i32)),
        WaitStatus::StillAlive
        | WaitStatus::Stopped(..)
        | WaitStatus::PtraceEvent(..)
        | WaitStatus::PtraceSyscall(_)
        | WaitStatus::Continued(_) => Ok(None),
    }
}

/// Ends this process at once, without running anything that was registered for its end.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Replaces this process by `program`; returns only the reason why it could not.
pub fn execute(program: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let Err(error) = nix::unistd::execve(program, args, env);
    error.into()
}

/// Marks every descriptor from `first` on to be closed by execve(2).
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: no pointer is passed; nothing is closed, so no owner loses its descriptor.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// Closes every descriptor above 2 but those in `keep`.
///
/// Only for a child made by [`clone_process`], whose parent's values still name the closed
/// descriptors: it must use none of them and must end by execve(2) or `exit_now`.
pub fn close_all_except(keep: &mut [i32]) -> io::Result<()> {
    keep.sort_unstable();
    let mut first = 3_u32;
    for kept in keep.iter().filter_map(|fd| u32::try_from(*fd).ok()) {
        if kept > first {
            close_range(first, kept - 1)?;
        }
        first = first.max(kept + 1);
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: the caller of `close_all_except` keeps what it will use.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// Makes `source` standard stream `number` (0, 1 or 2).
pub fn set_standard_stream(number: i32, source: BorrowedFd<'_>) -> io::Result<()> {
    if source.as_raw_fd() == number {
        let mut flags = nix::fcntl::FdFlag::from_bits_truncate(nix::fcntl::fcntl(
            source,
            nix::fcntl::FcntlArg::F_GETFD,
        )?);
        flags.remove(nix::fcntl::FdFlag::FD_CLOEXEC);
        nix::fcntl::fcntl(source, nix::fcntl::FcntlArg::F_SETFD(flags))?;
        return Ok(());
    }
    // SAFETY: both are open descriptors or small numbers; 0 to 2 belong to nobody in Rust.
    let result = unsafe { libc::dup2(source.as_raw_fd(), number) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// Standard stream 0, when it is a descriptor that the parent handed over.
pub fn take_standard_input() -> OwnedFd {
    // SAFETY: called once, at the start of a process whose parent passed this descriptor as
    // its own; nothing else in this process reads standard input.
    unsafe { OwnedFd::from_raw_fd(0) }
}

/// Puts this process at the head of a session of its own.
pub fn new_session() -> io::Result<()> {
    nix::unistd::setsid().map(drop).map_err(io::Error::from)
}

/// setns(2): joins the namespaces of kinds `kinds` (`CLONE_NEW*`) that `fd` stands for.
pub fn join_namespace(fd: BorrowedFd<'_>, kinds: i32) -> io::Result<()> {
    nix::sched::setns(fd.as_fd(), CloneFlags::from_bits_retain(kinds)).map_err(io::Error::from)
}

/// unshare(2).
pub fn leave_namespace(kinds: i32) -> io::Result<()> {
    nix::sched::unshare(CloneFlags::from_bits_retain(kinds)).map_err(io::Error::from)
}

/// Whether children of this process may be looked at by others of the same user.
pub fn set_dumpable(dumpable: bool) -> io::Result<()> {
    nix::sys::prctl::set_dumpable(dumpable).map_err(io::Error::from)
}

/// Dies by SIGKILL when the parent does.
pub fn die_with_parent() -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).map_err(io::Error::from)
}

/// The name `ps` shows, at most 15 bytes.
pub fn set_name(name: &CStr) -> io::Result<()> {
    nix::sys::prctl::set_name(name).map_err(io::Error::from)
}

/// What a process does with a signal that has no handler of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    Default,
    Ignore,
}

/// Sets the disposition of every signal that has one, and unblocks all.
pub fn reset_signals() {
    for signal in 1..=64 {
        // SIGKILL and SIGSTOP refuse; real-time signals that libc keeps for itself too.
        let _refused = set_disposition(signal, Disposition::Default);
    }
    let none = nix::sys::signal::SigSet::empty();
    let _always_works = none.thread_set_mask();
}

/// Sets the disposition of one signal.
pub fn set_disposition(signal: i32, disposition: Disposition) -> io::Result<()> {
    let handler = match disposition {
        Disposition::Default => libc::SIG_DFL,
        Disposition::Ignore => libc::SIG_IGN,
    };
    // SAFETY: neither disposition runs code of ours.
    let result = unsafe { libc::signal(signal, handler) };
    if result == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Has the allocator make no more arenas than this.
pub fn limit_arenas(n: usize) {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) only changes a setting of the allocator, and no other thread runs.
    unsafe {
        // It refuses what it does not know, and goes on as before.
        libc::mallopt(libc::M_ARENA_MAX, i32::try_from(n).unwrap_or(i32::MAX));
    }
    #[cfg(not(target_env = "gnu"))]
    let _it_has_none = n;
}

/// Gives memory that was freed back to the kernel.
pub fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) only touches memory that the allocator holds as free.
    unsafe {
        libc::malloc_trim(0);
    }
}
