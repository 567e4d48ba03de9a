//! Mounts as file descriptors: fsopen(2), fsmount(2), `open_tree(2)`, `move_mount(2)`,
//! `mount_setattr(2)`. No path is ever followed to find a mount's target.

use std::ffi::CString;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags};

/// Per-mount flags, `MOUNT_ATTR_*`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes(pub u64);

impl Attributes {
    pub const READ_ONLY: Self = Self(libc::MOUNT_ATTR_RDONLY);
    pub const NO_SUID: Self = Self(libc::MOUNT_ATTR_NOSUID);
    pub const NO_DEV: Self = Self(libc::MOUNT_ATTR_NODEV);
    pub const NO_EXEC: Self = Self(libc::MOUNT_ATTR_NOEXEC);
    pub const NO_DIR_ATIME: Self = Self(libc::MOUNT_ATTR_NODIRATIME);
    pub const NO_SYMLINK_FOLLOW: Self = Self(libc::MOUNT_ATTR_NOSYMFOLLOW);
    /// The bits that hold the access time mode, for clearing.
    pub const ATIME_MODE: Self = Self(libc::MOUNT_ATTR__ATIME);
    pub const NO_ATIME: Self = Self(libc::MOUNT_ATTR_NOATIME);
    pub const STRICT_ATIME: Self = Self(libc::MOUNT_ATTR_STRICTATIME);

    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// How mounts below reach other namespaces, `mount_namespaces(7)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropagationType {
    Private,
    Shared,
    Slave,
    Unbindable,
}

impl PropagationType {
    fn bits(self) -> u64 {
        match self {
            Self::Private => libc::MS_PRIVATE,
            Self::Shared => libc::MS_SHARED,
            Self::Slave => libc::MS_SLAVE,
            Self::Unbindable => libc::MS_UNBINDABLE,
        }
    }
}

/// What `mount_setattr(2)` is to change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    pub set: Attributes,
    pub clear: Attributes,
    pub propagation: Option<PropagationType>,
}

/// A file system being configured, fsopen(2).
#[derive(Debug)]
pub struct FsContext {
    fd: OwnedFd,
}

impl FsContext {
    pub fn open(fs_type: &str) -> io::Result<Self> {
        let name = CString::new(fs_type)?;
        // SAFETY: `name` is a C string that outlives the call.
        let result =
            unsafe { libc::syscall(libc::SYS_fsopen, name.as_ptr(), libc::FSOPEN_CLOEXEC) };
        Ok(Self { fd: owned(result)? })
    }

    /// Sets `key=value`; values are limited to 255 bytes by the kernel.
    pub fn set_string(&self, key: &str, value: &[u8]) -> io::Result<()> {
        let key = CString::new(key)?;
        let value = CString::new(value)?;
        // SAFETY: both are C strings that outlive the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                self.fd.as_raw_fd(),
                libc::FSCONFIG_SET_STRING,
                key.as_ptr(),
                value.as_ptr(),
                0,
            )
        };
        self.explained(result)
    }

    pub fn set_flag(&self, key: &str) -> io::Result<()> {
        let key = CString::new(key)?;
        // SAFETY: `key` is a C string that outlives the call; a flag has no value.
        let result = unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                self.fd.as_raw_fd(),
                libc::FSCONFIG_SET_FLAG,
                key.as_ptr(),
                ptr::null::<u8>(),
                0,
            )
        };
        self.explained(result)
    }

    /// Makes the superblock and mounts it, attached to nothing.
    pub fn mount(self, attributes: Attributes) -> io::Result<OwnedFd> {
        // SAFETY: the command takes neither key nor value.
        let created = unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                self.fd.as_raw_fd(),
                libc::FSCONFIG_CMD_CREATE,
                ptr::null::<u8>(),
                ptr::null::<u8>(),
                0,
            )
        };
        self.explained(created)?;
        // SAFETY: no pointer is passed.
        let result = unsafe {
            libc::syscall(
                libc::SYS_fsmount,
                self.fd.as_raw_fd(),
                libc::FSMOUNT_CLOEXEC,
                attributes.0,
            )
        };
        owned(result)
    }

    /// Adds what the kernel wrote into the context's log to a failure.
    fn explained(&self, result: libc::c_long) -> io::Result<()> {
        if result >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        let mut message = vec![0_u8; 512];
        let Ok(clone) = self.fd.try_clone() else {
            return Err(error);
        };
        match std::fs::File::from(clone).read(&mut message) {
            // Each message starts with its severity, such as "e ".
            Ok(length) if length > 2 => {
                let text = String::from_utf8_lossy(&message[2..length]);
                Err(io::Error::new(
                    error.kind(),
                    format!("{error} ({})", text.trim_end()),
                ))
            }
            _ => Err(error),
        }
    }
}

/// A copy of the mount at `path` (with those below it when `recursive`), attached to nothing.
pub fn clone_path(path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = clone_flags(recursive);
    // SAFETY: `path` is a C string that outlives the call.
    let result =
        unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    owned(result)
}

/// As [`clone_path`], for what `fd` stands for.
pub fn clone_fd(fd: BorrowedFd<'_>, recursive: bool) -> io::Result<OwnedFd> {
    let flags = clone_flags(recursive) | libc::AT_EMPTY_PATH.cast_unsigned();
    // SAFETY: the path is an empty C string literal.
    let result = unsafe { libc::syscall(libc::SYS_open_tree, fd.as_raw_fd(), c"".as_ptr(), flags) };
    owned(result)
}

fn clone_flags(recursive: bool) -> u32 {
    let recursive = if recursive {
        libc::AT_RECURSIVE.cast_unsigned()
    } else {
        0
    };
    libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | recursive
}

/// Attaches the detached `tree` on top of what `target` stands for.
pub fn attach(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both paths are empty C string literals.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH,
        )
    };
    done(result)
}

/// Changes the mount `fd` stands for, and those below it when `recursive`.
pub fn change(fd: BorrowedFd<'_>, change: Change, recursive: bool) -> io::Result<()> {
    let mut attributes = libc::mount_attr {
        attr_set: change.set.0,
        attr_clr: change.clear.0,
        propagation: change.propagation.map_or(0, PropagationType::bits),
        userns_fd: 0,
    };
    // Setting one access time mode has to clear the others.
    if change.set.0 & libc::MOUNT_ATTR__ATIME != 0 {
        attributes.attr_clr |= libc::MOUNT_ATTR__ATIME;
    }
    set_attributes(fd, &mut attributes, recursive)
}

/// Maps the owners of a detached mount by the user namespace `userns`.
pub fn map_ids(fd: BorrowedFd<'_>, userns: BorrowedFd<'_>, recursive: bool) -> io::Result<()> {
    let mut attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::try_from(userns.as_raw_fd()).unwrap_or_default(),
    };
    set_attributes(fd, &mut attributes, recursive)
}

fn set_attributes(
    fd: BorrowedFd<'_>,
    attributes: &mut libc::mount_attr,
    recursive: bool,
) -> io::Result<()> {
    let recursive = if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty literal; `attributes` is a `mount_attr` of the size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            ptr::from_mut(attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    done(result)
}

/// Makes every mount of this namespace reach no other one.
pub fn make_all_private() -> io::Result<()> {
    nix::mount::mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .map_err(io::Error::from)
}

/// Makes every mount of this namespace hear of the parent's changes but tell nothing.
pub fn make_all_slave() -> io::Result<()> {
    nix::mount::mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_SLAVE,
        None::<&str>,
    )
    .map_err(io::Error::from)
}

/// mount(2), for what the descriptor calls of older kernels cannot say.
pub fn mount_at(fs_type: &str, target: &Path, options: &[u8]) -> io::Result<()> {
    nix::mount::mount(
        Some(fs_type),
        target,
        Some(fs_type),
        MsFlags::empty(),
        Some(options),
    )
    .map_err(io::Error::from)
}

/// Makes `new_root` (a mount of this namespace) the root and lets go of the old one.
pub fn pivot_into(new_root: BorrowedFd<'_>) -> io::Result<()> {
    nix::unistd::fchdir(new_root)?;
    // With both arguments alike the old root ends up stacked on the new one, so no directory
    // for it has to exist inside, pivot_root(2).
    nix::unistd::pivot_root(".", ".")?;
    nix::mount::umount2(".", MntFlags::MNT_DETACH)?;
    nix::unistd::chdir("/")?;
    Ok(())
}

/// Unmounts `path` and all below it, at once for new users and later for those inside.
pub fn detach(path: &Path) -> io::Result<()> {
    nix::mount::umount2(path, MntFlags::MNT_DETACH).map_err(io::Error::from)
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = Errno::result(result)?;
    let fd = i32::try_from(fd).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn done(result: libc::c_long) -> io::Result<()> {
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// Whether `fd` lies on a file system with this magic number, statfs(2).
pub fn is_file_system(fd: impl AsFd, magic: i64) -> io::Result<bool> {
    let found = nix::sys::statfs::fstatfs(fd)?.filesystem_type();
    Ok(found.0 == magic)
}

/// `devpts`.
pub const DEVPTS_MAGIC: i64 = 0x1cd1;
/// `proc`.
pub const PROC_MAGIC: i64 = 0x9fa0;
/// `cgroup2`.
pub const CGROUP2_MAGIC: i64 = 0x6367_7270;
