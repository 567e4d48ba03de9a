//! A directory held open, and everything that is done to names directly in it.
//!
//! For trees whose content strangers chose (layers, containers' root file systems): only
//! `open_in_root` walks more than one component, and it never leaves the directory; every other call
//! takes one plain name and does not follow it.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{self, AtFlags, OFlag, OpenHow, ResolveFlag};
pub use nix::sys::stat::FileStat;
use nix::sys::stat::{self, FchmodatFlags, Mode, SFlag, UtimensatFlags};
use nix::sys::time::TimeSpec;
use nix::unistd::{self, Gid, Uid, UnlinkatFlags};

/// What a node without content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    Fifo,
    Char { major: u64, minor: u64 },
    Block { major: u64, minor: u64 },
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File { size_bytes: u64 },
    Directory,
    Symlink,
    Node(Node),
    Socket,
}

/// Seconds since the epoch and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileTime {
    pub seconds: i64,
    pub nanoseconds: u32,
}

impl From<FileTime> for TimeSpec {
    fn from(time: FileTime) -> Self {
        Self::new(time.seconds, i64::from(time.nanoseconds))
    }
}

/// An open directory.
#[derive(Debug)]
pub struct Directory(OwnedFd);

/// A directory on the way from the top of a tree that is being removed.
#[derive(Debug)]
struct Level {
    name: CString,
    subdirectories: Vec<CString>,
    /// Device and inode.
    identity: (u64, u64),
}

/// `T` of chattr(1), from the kernel's `linux/fs.h`.
const FS_TOPDIR_FL: libc::c_int = 0x0002_0000;

const DIRECTORY: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_CLOEXEC);

impl Directory {
    /// Opens one of our own directories by path.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(fcntl::open(path, DIRECTORY, Mode::empty())?))
    }

    /// Another handle on the same directory.
    pub fn reopen(&self) -> io::Result<Self> {
        Self::at(&self.0)
    }

    /// Opens the directory that a place (an `O_PATH` descriptor, such as a mount) stands for.
    pub fn at(place: impl AsFd) -> io::Result<Self> {
        Ok(Self(fcntl::openat(place, c".", DIRECTORY, Mode::empty())?))
    }

    /// Opens `path` below this directory, symbolic links and all, as if this were `/`
    /// (openat2(2), `RESOLVE_IN_ROOT`).
    pub fn open_in_root(&self, path: &CStr) -> io::Result<Self> {
        let how = OpenHow::new()
            .flags(DIRECTORY)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        // EAGAIN: a rename somewhere raced with a `..` in the path; openat2(2) says to try again.
        loop {
            match fcntl::openat2(&self.0, path, how) {
                Err(Errno::EAGAIN) => {}
                opened => return Ok(Self(opened?)),
            }
        }
    }

    /// Opens the directory `name` in this one; a symbolic link is not followed.
    pub fn open_child(&self, name: &CStr) -> io::Result<Self> {
        let flags = DIRECTORY | OFlag::O_NOFOLLOW;
        Ok(Self(fcntl::openat(&self.0, name, flags, Mode::empty())?))
    }

    /// Opens the regular file `name` for reading; a symbolic link is not followed, and what only
    /// looks like a file (a fifo, a device) is not waited for.
    pub fn open_file(&self, name: &CStr) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let fd = fcntl::openat(&self.0, name, flags, Mode::empty())?;
        Ok(File::from(fd))
    }

    /// Creates the regular file `name`, its mode at most `mode`; it must not exist.
    pub fn create_file(&self, name: &CStr, mode: u32) -> io::Result<File> {
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = fcntl::openat(&self.0, name, flags, Mode::from_bits_truncate(mode))?;
        Ok(File::from(fd))
    }

    /// Creates the directory `name`, its mode at most `mode`; it must not exist.
    pub fn create_dir(&self, name: &CStr, mode: u32) -> io::Result<()> {
        Ok(stat::mkdirat(
            &self.0,
            name,
            Mode::from_bits_truncate(mode),
        )?)
    }

    /// Creates a symbolic link `name` with any text as its target.
    pub fn create_symlink(&self, target: &CStr, name: &CStr) -> io::Result<()> {
        Ok(unistd::symlinkat(target, &self.0, name)?)
    }

    /// Creates a device or a fifo, mode 0600.
    pub fn create_node(&self, name: &CStr, node: Node) -> io::Result<()> {
        let (kind, device) = match node {
            Node::Fifo => (SFlag::S_IFIFO, 0),
            Node::Char { major, minor } => (SFlag::S_IFCHR, stat::makedev(major, minor)),
            Node::Block { major, minor } => (SFlag::S_IFBLK, stat::makedev(major, minor)),
        };
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        Ok(stat::mknodat(&self.0, name, kind, mode, device)?)
    }

    /// Gives the object `target_name` in `target` a second name here. Links are not followed.
    pub fn create_hard_link(
        &self,
        target: &Directory,
        target_name: &CStr,
        name: &CStr,
    ) -> io::Result<()> {
        let flags = AtFlags::empty();
        Ok(unistd::linkat(
            &target.0,
            target_name,
            &self.0,
            name,
            flags,
        )?)
    }

    /// The metadata of `name` itself; `None` if there is nothing.
    pub fn stat(&self, name: &CStr) -> io::Result<Option<FileStat>> {
        match stat::fstatat(&self.0, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What `name` is, itself; `None` if there is nothing.
    pub fn kind(&self, name: &CStr) -> io::Result<Option<Kind>> {
        Ok(self.stat(name)?.map(|stat| kind_of(&stat)))
    }

    /// Sets the owner of `name` itself.
    pub fn set_owner(&self, name: &CStr, uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        Ok(unistd::fchownat(
            &self.0,
            name,
            Some(uid),
            Some(gid),
            flags,
        )?)
    }

    /// Sets the permission bits of `name` itself; fails on a symbolic link, even on one that was
    /// put there in this moment.
    pub fn set_mode(&self, name: &CStr, mode: u32) -> io::Result<()> {
        let mode = Mode::from_bits_truncate(mode);
        let flags = FchmodatFlags::NoFollowSymlink;
        Ok(stat::fchmodat(&self.0, name, mode, flags)?)
    }

    /// Sets access and modification time of `name` itself.
    pub fn set_times(&self, name: &CStr, time: FileTime) -> io::Result<()> {
        let time = TimeSpec::from(time);
        let flags = UtimensatFlags::NoFollowSymlink;
        Ok(stat::utimensat(&self.0, name, &time, &time, flags)?)
    }

    /// Sets an extended attribute of `name` itself.
    pub fn set_xattr(&self, name: &CStr, key: &OsStr, value: &[u8]) -> io::Result<()> {
        xattr::set(self.proc_path(name), key, value)
    }

    /// Sets an extended attribute of this directory.
    pub fn set_own_xattr(&self, key: &OsStr, value: &[u8]) -> io::Result<()> {
        self.set_xattr(c".", key, value)
    }

    /// The extended attributes of `name` itself, sorted by key.
    pub fn xattrs(&self, name: &CStr) -> io::Result<Vec<(std::ffi::OsString, Vec<u8>)>> {
        let path = self.proc_path(name);
        let mut found = Vec::new();
        for key in xattr::list(&path)? {
            // Gone in between is the same as never there.
            if let Some(value) = xattr::get(&path, &key)? {
                found.push((key, value));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Where the symbolic link `name` points.
    pub fn read_link(&self, name: &CStr) -> io::Result<std::ffi::OsString> {
        Ok(fcntl::readlinkat(&self.0, name)?)
    }

    /// Names in this directory, without `.` and `..`, sorted.
    pub fn names(&self) -> io::Result<Vec<CString>> {
        let flags = DIRECTORY | OFlag::O_NOFOLLOW;
        let mut dir = Dir::openat(&self.0, c".", flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push(entry.file_name().to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Removes `name` and everything below it, never following a link. Nothing there is no error.
    pub fn remove_tree(&self, name: &CStr) -> io::Result<()> {
        match unistd::unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(()),
            Err(Errno::EISDIR) => {}
            Err(error) => return Err(error.into()),
        }
        // Archives nest as deep as they like, so neither the stack nor the number of open
        // descriptors may grow with the depth: one directory is open, the way back is `..`.
        let mut here = self.open_child(name)?;
        let mut above = vec![here.enter(name)?];
        while let Some(level) = above.last_mut() {
            if let Some(child) = level.subdirectories.pop() {
                here = here.open_child(&child)?;
                above.push(here.enter(&child)?);
                continue;
            }
            let Some(done) = above.pop() else { break };
            match above.last() {
                Some(parent) => {
                    here = here.open_child(c"..")?;
                    here.check_is(parent)?;
                    unistd::unlinkat(&here.0, done.name.as_c_str(), UnlinkatFlags::RemoveDir)?;
                }
                None => unistd::unlinkat(&self.0, name, UnlinkatFlags::RemoveDir)?,
            }
        }
        Ok(())
    }

    /// Removes what is no directory from here and remembers the rest.
    fn enter(&self, name: &CStr) -> io::Result<Level> {
        let mut subdirectories = Vec::new();
        for name in self.names()? {
            match unistd::unlinkat(&self.0, name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(Errno::EISDIR) => subdirectories.push(name),
                Err(error) => return Err(error.into()),
            }
        }
        let stat = stat::fstat(&self.0)?;
        Ok(Level {
            name: name.to_owned(),
            subdirectories,
            identity: (stat.st_dev, stat.st_ino),
        })
    }

    /// Stops a removal whose `..` leads elsewhere because somebody moved directories around.
    fn check_is(&self, level: &Level) -> io::Result<()> {
        let stat = stat::fstat(&self.0)?;
        if (stat.st_dev, stat.st_ino) == level.identity {
            Ok(())
        } else {
            Err(io::Error::other(
                "a directory was moved while it was removed",
            ))
        }
    }

    /// Says that the trees in this directory have nothing to do with each other (chattr(1), `T`):
    /// ext4 then begins each in a block group of its own. Without that, a tree that is made where
    /// one of its size was just removed can cost several times as much: a file system without a
    /// journal looks, for each new file, at every inode that became free there in the last minutes.
    pub fn spread_trees(&self) -> io::Result<()> {
        let flags = self.flags()?;
        if flags & FS_TOPDIR_FL != 0 {
            return Ok(());
        }
        let flags = flags | FS_TOPDIR_FL;
        // SAFETY: the request reads one `int`, which `flags` is.
        let outcome =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const flags) };
        Ok(Errno::result(outcome).map(drop)?)
    }

    /// The flags that chattr(1) sets.
    fn flags(&self) -> io::Result<libc::c_int> {
        let mut flags = 0;
        // SAFETY: the request writes one `int`, and `flags` is one that nobody else uses.
        let outcome =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) };
        Errno::result(outcome)?;
        Ok(flags)
    }

    /// Writes everything of this file system to its device (syncfs(2)).
    pub fn sync_file_system(&self) -> io::Result<()> {
        Ok(unistd::syncfs(&self.0)?)
    }

    /// A path to `name` through our descriptor, for calls that have no `*at` form.
    fn proc_path(&self, name: &CStr) -> PathBuf {
        let mut path = PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()));
        path.push(OsStr::from_bytes(name.to_bytes()));
        path
    }
}

/// What a `stat` result describes.
pub fn kind_of(stat: &FileStat) -> Kind {
    let (major, minor) = (stat::major(stat.st_rdev), stat::minor(stat.st_rdev));
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFDIR => Kind::Directory,
        SFlag::S_IFLNK => Kind::Symlink,
        SFlag::S_IFIFO => Kind::Node(Node::Fifo),
        SFlag::S_IFCHR => Kind::Node(Node::Char { major, minor }),
        SFlag::S_IFBLK => Kind::Node(Node::Block { major, minor }),
        SFlag::S_IFSOCK => Kind::Socket,
        _ => Kind::File {
            size_bytes: stat.st_size.cast_unsigned(),
        },
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_spread_where_the_file_system_can() {
        let parent = tempfile::tempdir().unwrap();
        let directory = Directory::open(parent.path()).unwrap();
        if let Err(error) = directory.spread_trees() {
            let code = error.raw_os_error();
            assert!(
                matches!(code, Some(libc::ENOTTY | libc::EOPNOTSUPP)),
                "{error}"
            );
            return;
        }
        directory.spread_trees().unwrap();
        assert_ne!(directory.flags().unwrap() & FS_TOPDIR_FL, 0);
        // What is below belongs together.
        directory.create_dir(c"tree", 0o755).unwrap();
        let tree = directory.open_child(c"tree").unwrap();
        assert_eq!(tree.flags().unwrap() & FS_TOPDIR_FL, 0);
    }
}
