//! Metadata of an open file.

use std::ffi::OsStr;
use std::fs::File;
use std::io;

use nix::sys::stat::{self, FileStat, Mode};
use nix::sys::time::TimeSpec;
use nix::unistd::{self, Gid, Uid};
use xattr::FileExt as _;

use super::dir::FileTime;

/// fstat(2).
pub fn status(file: &File) -> io::Result<FileStat> {
    Ok(stat::fstat(file)?)
}

/// Sets the owner; this clears setuid, setgid and capabilities.
pub fn set_owner(file: &File, uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    Ok(unistd::fchown(file, Some(uid), Some(gid))?)
}

/// Sets permission, setuid, setgid and sticky bits.
pub fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    Ok(stat::fchmod(file, Mode::from_bits_truncate(mode))?)
}

/// Sets access and modification time.
pub fn set_times(file: &File, time: FileTime) -> io::Result<()> {
    let time = TimeSpec::from(time);
    Ok(stat::futimens(file, &time, &time)?)
}

/// Sets an extended attribute.
pub fn set_xattr(file: &File, key: &OsStr, value: &[u8]) -> io::Result<()> {
    file.set_xattr(key, value)
}
