//! An init process that stays: passes signals on to its child, reaps every orphan, ends with the
//! child's exit code (`docker run --init`).

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;

use nix::sys::signal::SigSet;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, setpgid, tcsetpgrp};

use super::process::{exit_now, send_signal_to};

/// What `ps` shows for the process that stays.
const COMMAND_LINE: &[u8] = b"/sbin/docker-init";
const NAME: &std::ffi::CStr = c"docker-init";

/// Splits this process in two: the call returns in a child, which goes on; the process itself
/// stays behind for as long as the child lives, and never returns.
///
/// Must only be called while this process has one thread. All signals are blocked in the child.
pub fn stay_behind() -> io::Result<()> {
    // Blocked signals wait for us, also those that an init without handlers would never get.
    SigSet::all().thread_set_mask()?;
    nix::sys::prctl::set_child_subreaper(true)?;
    // SAFETY: there is one thread, so the child finds every lock as this process left it.
    match unsafe { fork() }? {
        ForkResult::Child => {
            // A process group of its own: what a terminal sends goes to the program once, not
            // also through us. There may be no terminal.
            let own = setpgid(Pid::from_raw(0), Pid::from_raw(0));
            let _no_terminal = own.and_then(|()| tcsetpgrp(io::stdin(), Pid::this()));
            Ok(())
        }
        ForkResult::Parent { child } => exit_now(look_after(child)),
    }
}

/// Returns the child's exit code once it has ended; what is left of its descendants goes with us.
fn look_after(child: Pid) -> i32 {
    close_from(3);
    // Otherwise the container would see paths of the host there.
    let _unchanged = show_as(COMMAND_LINE);
    let _unnamed = nix::sys::prctl::set_name(NAME);
    loop {
        let signal = next_signal();
        if signal == libc::SIGCHLD {
            if let Some(code) = reap_all(child) {
                return code;
            }
        } else {
            let _ended_meanwhile = send_signal_to(child.as_raw(), signal);
        }
    }
}

/// Reaps whatever has ended; the exit code if the child was among it.
fn reap_all(child: Pid) -> Option<i32> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => code = Some(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                code = Some(128 + signal as i32);
            }
            Ok(WaitStatus::StillAlive) | Err(_) => return code,
            Ok(_) => {}
        }
    }
}

/// Waits for a signal of any kind, real-time ones included.
fn next_signal() -> i32 {
    let all = SigSet::all();
    let mut signal = 0;
    // SAFETY: both point to values that live through the call.
    unsafe { libc::sigwait(all.as_ref(), &raw mut signal) };
    signal
}

fn close_from(first: u32) {
    // SAFETY: nothing of this process is used any more but its standard streams.
    let _done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// Writes over our own arguments in memory, where `/proc/PID/cmdline` is read from.
fn show_as(text: &[u8]) -> io::Result<()> {
    let mut stat = String::new();
    File::open("/proc/self/stat")?.read_to_string(&mut stat)?;
    // Field 48 and 49 of proc_pid_stat(5); the second field may hold spaces and ends with `)`.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let mut fields = after_name.split_ascii_whitespace().skip(48 - 3);
    let mut address = || -> Option<u64> { fields.next()?.parse().ok() };
    let (Some(start), Some(end)) = (address(), address()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let size = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
    let mut line = vec![0; size];
    let n_bytes = text.len().min(size.saturating_sub(1));
    line[..n_bytes].copy_from_slice(&text[..n_bytes]);
    let memory = File::options().write(true).open("/proc/self/mem")?;
    memory.write_all_at(&line, start)
}
