//! Our own executable in a form that nobody can write to.
//!
//! A process of a container may reach the file it was started from (`/proc/PID/exe`) before it
//! executes its own program. It must then find a read-only mount of it, or a sealed copy
//! (`memfd_create(2)`) where we may not mount.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::fcntl::{self, FcntlArg, SealFlag};
use nix::sys::memfd::{self, MFdFlags};

use super::mount;

/// The bytes of an ELF header that say where the program headers are.
const ELF_HEADER_SIZE: usize = 64;
const PROGRAM_HEADER_SIZE: usize = 56;
const PT_LOAD: u32 = 1;

/// An empty file that exists only in memory and only for us.
pub fn memory_file(name: &str) -> io::Result<OwnedFd> {
    memfd::memfd_create(name, MFdFlags::MFD_CLOEXEC).map_err(io::Error::from)
}

/// Our own executable, to be executed by way of `/proc/self/fd`. The view shares its memory with
/// every other process of the file; the copy has all of its own.
pub fn protected() -> io::Result<OwnedFd> {
    read_only_view().or_else(|_| sealed_copy())
}

/// Our own executable on a mount of its own that is read-only and attached to nothing, so that
/// nobody can make it anything else.
fn read_only_view() -> io::Result<OwnedFd> {
    let path = std::fs::read_link("/proc/self/exe")?;
    let tree = mount::clone_path(&path, false)?;
    let read_only = mount::Change {
        set: mount::Attributes::READ_ONLY,
        ..mount::Change::default()
    };
    mount::change(tree.as_fd(), read_only, false)?;
    let same = |fd: BorrowedFd<'_>| -> io::Result<(u64, u64)> {
        let stat = nix::sys::stat::fstat(fd)?;
        Ok((stat.st_dev, stat.st_ino))
    };
    // Somebody may have replaced the file meanwhile.
    if same(tree.as_fd())? != same(File::open("/proc/self/exe")?.as_fd())? {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(tree)
}

/// Whether the file that this process runs from cannot be written to by way of `/proc`.
pub fn is_protected() -> io::Result<bool> {
    let own = File::open("/proc/self/exe")?;
    if let Ok(seals) = fcntl::fcntl(&own, FcntlArg::F_GET_SEALS) {
        return Ok(SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_WRITE));
    }
    let flags = nix::sys::statvfs::fstatvfs(&own)?.flags();
    Ok(flags.contains(nix::sys::statvfs::FsFlags::ST_RDONLY))
}

/// Copies the part of `/proc/self/exe` that is loaded and seals it.
///
/// What follows the last loaded byte (symbols, debugging information) is left out: it can be
/// many times as large and would stay in memory.
fn sealed_copy() -> io::Result<OwnedFd> {
    let mut source = File::open("/proc/self/exe")?;
    let size_bytes = source.metadata()?.len();
    let loaded_bytes = loaded_size(&mut source)?.min(size_bytes);
    source.seek(SeekFrom::Start(0))?;
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let executable = MFdFlags::from_bits_retain(libc::MFD_EXEC);
    // Kernels since 6.3 want to be told that it will be executed; older ones know no such flag.
    let copy = memfd::memfd_create("hythe", flags | executable)
        .or_else(|_| memfd::memfd_create("hythe", flags))?;
    let mut copy = File::from(copy);
    io::copy(&mut source.take(loaded_bytes), &mut copy)?;
    let seals = SealFlag::F_SEAL_SEAL
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE;
    fcntl::fcntl(&copy, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(copy.into())
}

/// The end of the last `PT_LOAD` segment, elf(5). Both byte orders of this machine's own kind
/// are enough: the file is the one that is running.
fn loaded_size(file: &mut File) -> io::Result<u64> {
    let mut header = [0_u8; ELF_HEADER_SIZE];
    file.read_exact(&mut header)?;
    let table_offset = read_u64(&header, 32);
    let n_headers = u64::from(u16::from_ne_bytes([header[56], header[57]]));
    file.seek(SeekFrom::Start(table_offset))?;
    let mut table = vec![0_u8; PROGRAM_HEADER_SIZE * usize::try_from(n_headers).unwrap_or(0)];
    file.read_exact(&mut table)?;
    let end = table
        .chunks_exact(PROGRAM_HEADER_SIZE)
        .filter(|entry| u32::from_ne_bytes([entry[0], entry[1], entry[2], entry[3]]) == PT_LOAD)
        .map(|entry| read_u64(entry, 8).saturating_add(read_u64(entry, 32)))
        .max();
    end.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn read_u64(bytes: &[u8], offset: usize) -> u64 {
    let mut value = [0_u8; 8];
    value.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_ne_bytes(value)
}

/// Maps every page of our own read-only code and data, so that each copy of this process finds
/// them shared. Since Linux 5.14; before it they are mapped as they are used.
pub fn map_code() -> io::Result<()> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    for (start, end) in maps.lines().filter_map(code_range) {
        // SAFETY: the advice maps pages that the range already stands for and changes none;
        // a range that is gone is an error.
        let result = unsafe {
            libc::madvise(
                std::ptr::without_provenance_mut(start),
                end - start,
                libc::MADV_POPULATE_READ,
            )
        };
        nix::errno::Errno::result(result)?;
    }
    Ok(())
}

/// Start and end of a line of `/proc/self/maps` that is a read-only part of our copy.
fn code_range(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    let is_ours = line.contains("/memfd:hythe") && permissions.starts_with("r-");
    is_ours.then_some((
        usize::from_str_radix(start, 16).ok()?,
        usize::from_str_radix(end, 16).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_only_parts_of_the_copy_are_found() {
        for (line, expected) in [
            (
                "1000-3000 r-xp 0 00:01 7 /memfd:hythe (deleted)",
                Some((0x1000, 0x3000)),
            ),
            ("1000-3000 rw-p 0 00:01 7 /memfd:hythe (deleted)", None),
            ("1000-3000 r-xp 0 00:01 7 /usr/lib/libc.so.6", None),
            ("rubbish", None),
        ] {
            assert_eq!(code_range(line), expected, "{line}");
        }
    }

    #[test]
    fn the_copy_runs_and_cannot_be_written_to() {
        use std::os::fd::AsRawFd as _;
        let copy = sealed_copy().unwrap();
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
        let status = std::process::Command::new(&path)
            .arg("--list")
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        assert!(std::fs::write(&path, "x").is_err());
    }
}
