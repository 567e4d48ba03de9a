//! Loading a program that decides which devices a cgroup v2 may use, bpf(2).

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use nix::errno::Errno;

/// One `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    pub code: u8,
    /// Destination in the low four bits, source in the high ones.
    pub registers: u8,
    pub offset: i16,
    pub immediate: i32,
}

/// The first fields of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
struct LoadAttributes {
    program_type: u32,
    n_instructions: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The fields of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct AttachAttributes {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
    replaced: u32,
}

/// The first fields of `union bpf_attr` for `BPF_PROG_QUERY`.
#[repr(C)]
struct QueryAttributes {
    target: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    program_ids: u64,
    n_programs: u32,
}

const BPF_PROG_LOAD: i32 = 5;
const BPF_PROG_ATTACH: i32 = 8;
const BPF_PROG_DETACH: i32 = 9;
const BPF_PROG_GET_FD_BY_ID: i32 = 13;
const BPF_PROG_QUERY: i32 = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// Loads `program`.
pub fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = LoadAttributes {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        n_instructions: u32::try_from(program.len())
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    let fd = call(BPF_PROG_LOAD, &attributes)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Puts `program` in charge of the cgroup beside those of its ancestors, and removes the
/// programs that were attached to this very cgroup before.
pub fn replace(cgroup: BorrowedFd<'_>, program: &OwnedFd) -> io::Result<()> {
    let old = attached(cgroup)?;
    let attributes = AttachAttributes {
        target: number(cgroup.as_raw_fd()),
        program: number(program.as_raw_fd()),
        attach_type: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
        replaced: 0,
    };
    call(BPF_PROG_ATTACH, &attributes)?;
    for program in old {
        let attributes = AttachAttributes {
            target: number(cgroup.as_raw_fd()),
            program: number(program.as_raw_fd()),
            attach_type: BPF_CGROUP_DEVICE,
            flags: 0,
            replaced: 0,
        };
        call(BPF_PROG_DETACH, &attributes)?;
    }
    Ok(())
}

fn attached(cgroup: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    let mut ids = [0_u32; 64];
    let mut attributes = QueryAttributes {
        target: number(cgroup.as_raw_fd()),
        attach_type: BPF_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        program_ids: ids.as_mut_ptr() as u64,
        n_programs: 64,
    };
    call_mut(BPF_PROG_QUERY, &mut attributes)?;
    let n_programs = usize::try_from(attributes.n_programs).unwrap_or(0);
    ids.iter()
        .take(n_programs)
        .map(|id| {
            let fd = call(BPF_PROG_GET_FD_BY_ID, &[*id, 0, 0])?;
            // SAFETY: the kernel has just made this descriptor for us.
            Ok(unsafe { OwnedFd::from_raw_fd(fd) })
        })
        .collect()
}

fn number(fd: i32) -> u32 {
    fd.cast_unsigned()
}

fn call<T>(command: i32, attributes: &T) -> io::Result<i32> {
    // SAFETY: `attributes` holds the fields of `command` in a size that the kernel is told;
    // what they point to outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    Ok(i32::try_from(Errno::result(result)?).unwrap_or_default())
}

fn call_mut<T>(command: i32, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: as in `call`; the kernel may also write the fields of `command`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            size_of::<T>(),
        )
    };
    Ok(i32::try_from(Errno::result(result)?).unwrap_or_default())
}
