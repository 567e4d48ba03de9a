//! What this process takes of the machine: processor time, memory.

use std::io;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::process;

/// Pages are at least this large, and segments never share one.
const PAGE_BYTES: usize = 4096;

/// Processor time used so far, by all threads.
pub fn processor_time() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

/// Has the threads of this process share as many arenas of the allocator as there are processors,
/// mallopt(3). Each arena keeps what was freed in it, and by itself every thread that once waited
/// for a disk would have one. To be called before there are threads.
pub fn share_arenas() {
    let n_processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    process::limit_arenas(n_processors.clamp(2, 256));
}

/// Gives back what is not needed right now: memory that was freed, and code that was needed once.
/// What of the code is needed again is mapped again, from the page cache.
pub fn shrink() {
    process::trim_memory();
    // SAFETY: the callback is given a valid description of each loaded object, keeps nothing of
    // it, and takes no data.
    unsafe {
        libc::dl_iterate_phdr(Some(unmap_object), std::ptr::null_mut());
    }
}

/// Unmaps the pages of every segment that nobody ever writes to, be it the loader.
///
/// # Safety
///
/// `object` must be what `dl_iterate_phdr` gives its callback.
unsafe extern "C" fn unmap_object(
    object: *mut libc::dl_phdr_info,
    _size: usize,
    _data: *mut libc::c_void,
) -> i32 {
    // SAFETY: by the contract of this function it points to a description that lives as long as
    // the call.
    let object = unsafe { &*object };
    // SAFETY: `dlpi_phdr` is the table of `dlpi_phnum` headers of an object that stays loaded.
    let headers =
        unsafe { std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)) };
    for header in headers {
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        let address = |offset: u64| usize::try_from(object.dlpi_addr + offset).unwrap_or_default();
        let start = address(header.p_vaddr) & !(PAGE_BYTES - 1);
        let end = address(header.p_vaddr + header.p_memsz).next_multiple_of(PAGE_BYTES);
        // SAFETY: the segment is a mapping of its file that was never written to (it has no
        // relocations, being read-only): each page is read from there again when it is used.
        // Where it is not such a mapping, as the kernel's own, the advice is refused.
        let _refused = unsafe {
            libc::madvise(
                std::ptr::without_provenance_mut(start),
                end.saturating_sub(start),
                libc::MADV_DONTNEED,
            )
        };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_kib() -> u64 {
        let text = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = text.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.unwrap().split_whitespace().nth(1);
        number.unwrap().parse().unwrap()
    }

    #[test]
    fn shrinking_unmaps_code_that_goes_on_working() {
        drop(vec![1_u8; 1 << 20]);
        let before = resident_kib();
        shrink();
        assert!(resident_kib() < before);
        assert!(processor_time().unwrap() > Duration::ZERO);
    }
}
