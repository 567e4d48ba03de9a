//! How the kernel treats a process among others: `ioprio_set(2)`, `sched_setattr(2)`,
//! personality(2).

use std::io;

use nix::errno::Errno;

/// `struct sched_attr`, its first version.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchedulerAttributes {
    size: u32,
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

/// For this process and what it will start.
pub fn set_scheduler(attributes: SchedulerAttributes) -> io::Result<()> {
    let attributes = SchedulerAttributes {
        size: u32::try_from(size_of::<SchedulerAttributes>()).unwrap_or_default(),
        ..attributes
    };
    // SAFETY: the pointer is to a `sched_attr` whose size it holds, and which outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setattr,
            0,
            std::ptr::from_ref(&attributes),
            0,
        )
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// `class` is 1 for real time, 2 for best effort, 3 for idle; `level` goes from 0, first, to 7.
pub fn set_io_priority(class: u8, level: u8) -> io::Result<()> {
    const IOPRIO_WHO_PROCESS: i32 = 1;
    const CLASS_SHIFT: u32 = 13;
    let value = i32::from(class) << CLASS_SHIFT | i32::from(level);
    // SAFETY: the call takes numbers only.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// What kind of machine this process believes to be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Personality {
    Linux,
    Linux32,
}

/// For this process and what it will start.
pub fn set_personality(personality: Personality) -> io::Result<()> {
    let persona = match personality {
        Personality::Linux => 0,
        Personality::Linux32 => 0x0008,
    };
    // SAFETY: the call takes a number.
    let result = unsafe { libc::personality(persona) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}
