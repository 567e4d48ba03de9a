//! Device nodes and links made directly in an open directory, mknod(2), symlink(2).

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;

use nix::fcntl::AtFlags;
use nix::sys::stat::{self, FchmodatFlags, Mode, SFlag};
use nix::unistd::{self, Gid, Uid};

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Block,
    Character,
    Fifo,
}

/// A node to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewNode {
    pub kind: Kind,
    pub major: u64,
    pub minor: u64,
    /// Permission bits, whatever the umask is.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

/// Makes `name` in `directory`; never follows or replaces what is there.
pub fn create(directory: BorrowedFd<'_>, name: &CStr, node: NewNode) -> io::Result<()> {
    let kind = match node.kind {
        Kind::Block => SFlag::S_IFBLK,
        Kind::Character => SFlag::S_IFCHR,
        Kind::Fifo => SFlag::S_IFIFO,
    };
    let mode = Mode::from_bits_truncate(node.mode);
    let device = stat::makedev(node.major, node.minor);
    stat::mknodat(directory, name, kind, mode, device)?;
    let (uid, gid) = (Uid::from_raw(node.uid), Gid::from_raw(node.gid));
    let no_follow = AtFlags::AT_SYMLINK_NOFOLLOW;
    unistd::fchownat(directory, name, Some(uid), Some(gid), no_follow)?;
    // The node was made just now and is no link.
    stat::fchmodat(directory, name, mode, FchmodatFlags::FollowSymlink)?;
    Ok(())
}

/// Makes the link `name` in `directory`.
pub fn create_symlink(directory: BorrowedFd<'_>, name: &CStr, target: &str) -> io::Result<()> {
    unistd::symlinkat(target, directory, name).map_err(io::Error::from)
}
