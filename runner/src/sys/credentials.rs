//! Who a process is and what it may do: ids, capabilities(7), resource limits, `no_new_privs`.

use std::io;

use nix::errno::Errno;
use nix::unistd::{self, Gid, Uid};

/// A set of capabilities by number, as the kernel has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CapabilitySet(pub u64);

/// The three sets of a thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ThreadCapabilities {
    pub effective: CapabilitySet,
    pub permitted: CapabilitySet,
    pub inheritable: CapabilitySet,
}

impl CapabilitySet {
    pub fn contains(self, number: u32) -> bool {
        number < 64 && self.0 & (1 << number) != 0
    }

    /// What is in both.
    #[must_use]
    pub fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    #[must_use]
    pub fn with(self, number: u32) -> Self {
        Self(self.0 | 1_u64.checked_shl(number).unwrap_or(0))
    }
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityHalf {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`: two halves of 32 bits.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// capset(2) for this thread.
pub fn set_capabilities(sets: ThreadCapabilities) -> io::Result<()> {
    let header = CapabilityHeader {
        version: CAPABILITY_VERSION,
        pid: 0,
    };
    let half = |shift: u32| CapabilityHalf {
        effective: low(sets.effective.0 >> shift),
        permitted: low(sets.permitted.0 >> shift),
        inheritable: low(sets.inheritable.0 >> shift),
    };
    let data = [half(0), half(32)];
    // SAFETY: the header says version 3, for which the kernel reads two halves; both outlive
    // the call.
    let result =
        unsafe { libc::syscall(libc::SYS_capset, std::ptr::from_ref(&header), data.as_ptr()) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// capget(2) of this thread.
pub fn capabilities() -> io::Result<ThreadCapabilities> {
    let header = CapabilityHeader {
        version: CAPABILITY_VERSION,
        pid: 0,
    };
    let mut data = [CapabilityHalf::default(); 2];
    // SAFETY: the header says version 3, for which the kernel writes two halves.
    let result = unsafe {
        libc::syscall(
            libc::SYS_capget,
            std::ptr::from_ref(&header),
            data.as_mut_ptr(),
        )
    };
    Errno::result(result)?;
    let join = |half: fn(&CapabilityHalf) -> u32| {
        CapabilitySet(u64::from(half(&data[0])) | u64::from(half(&data[1])) << 32)
    };
    Ok(ThreadCapabilities {
        effective: join(|half| half.effective),
        permitted: join(|half| half.permitted),
        inheritable: join(|half| half.inheritable),
    })
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
const fn low(bits: u64) -> u32 {
    bits as u32
}

/// Whether the capability is in this thread's bounding set; `None` when the kernel has no such.
pub fn is_bounding(number: u32) -> Option<bool> {
    // SAFETY: the call takes numbers only.
    let result =
        unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(number), 0, 0, 0) };
    match result {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// Removes a capability from the bounding set, for this process and all it will start.
pub fn drop_bounding(number: u32) -> io::Result<()> {
    // SAFETY: the call takes numbers only.
    let result =
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// Empties the ambient set, then raises what is in `set`.
pub fn set_ambient(set: CapabilitySet) -> io::Result<()> {
    ambient(libc::PR_CAP_AMBIENT_CLEAR_ALL, 0)?;
    for number in 0..64 {
        if set.contains(number) {
            ambient(libc::PR_CAP_AMBIENT_RAISE, number)?;
        }
    }
    Ok(())
}

fn ambient(operation: i32, number: u32) -> io::Result<()> {
    // SAFETY: the call takes numbers only.
    let result = unsafe {
        libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::c_ulong::from(operation.cast_unsigned()),
            libc::c_ulong::from(number),
            0,
            0,
        )
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// Keeps the permitted capabilities when the user id changes from 0.
pub fn keep_capabilities(keep: bool) -> io::Result<()> {
    nix::sys::prctl::set_keepcaps(keep).map_err(io::Error::from)
}

/// Nothing this process starts can gain privileges from files, prctl(2).
pub fn set_no_new_privileges() -> io::Result<()> {
    nix::sys::prctl::set_no_new_privs().map_err(io::Error::from)
}

/// Becomes the user, real, effective and saved, with exactly these groups.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    unistd::setgroups(&groups)?;
    let gid = Gid::from_raw(gid);
    unistd::setresgid(gid, gid, gid)?;
    let uid = Uid::from_raw(uid);
    unistd::setresuid(uid, uid, uid)?;
    Ok(())
}

/// Becomes root of the user namespace just entered; its supplementary groups may stay.
pub fn become_namespace_root() -> io::Result<()> {
    let gid = Gid::from_raw(0);
    unistd::setresgid(gid, gid, gid)?;
    let uid = Uid::from_raw(0);
    unistd::setresuid(uid, uid, uid)?;
    Ok(())
}

/// Does `work` as if files belonged to this user and group, with all rights that this thread has.
pub fn as_owner_of_files<T>((uid, gid): (u32, u32), work: impl FnOnce() -> T) -> io::Result<T> {
    /// Back to root, whatever happens.
    struct Back(ThreadCapabilities);
    impl Drop for Back {
        fn drop(&mut self) {
            unistd::setfsuid(Uid::from_raw(0));
            unistd::setfsgid(Gid::from_raw(0));
            let _as_it_was = set_capabilities(self.0);
        }
    }
    let own = capabilities()?;
    let _back = Back(own);
    unistd::setfsgid(Gid::from_raw(gid));
    unistd::setfsuid(Uid::from_raw(uid));
    // Ceasing to be root has taken those away that are about files.
    set_capabilities(own)?;
    Ok(work())
}

/// umask(2).
pub fn set_umask(mask: u32) {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
}

/// A soft and a hard limit, getrlimit(2); `u64::MAX` is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub soft: u64,
    pub hard: u64,
}

/// The limit of this process; `resource` is one of `RLIMIT_*`.
pub fn limit(resource: u32) -> io::Result<Limit> {
    let mut value = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `value` is written to and outlives the call.
    let result = unsafe {
        libc::prlimit64(
            0,
            resource,
            std::ptr::null(),
            std::ptr::from_mut(&mut value),
        )
    };
    Errno::result(result)?;
    Ok(Limit {
        soft: value.rlim_cur,
        hard: value.rlim_max,
    })
}

pub fn set_limit(resource: u32, limit: Limit) -> io::Result<()> {
    let value = libc::rlimit64 {
        rlim_cur: limit.soft,
        rlim_max: limit.hard,
    };
    // SAFETY: `value` is read from and outlives the call.
    let result = unsafe {
        libc::prlimit64(
            0,
            resource,
            std::ptr::from_ref(&value),
            std::ptr::null_mut(),
        )
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}
