//! Paths of a container, walked inside its root and nowhere else: openat2(2) with
//! `RESOLVE_IN_ROOT`, where symbolic links and `..` cannot lead out.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{self, OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::{self, FileStat, Mode};

/// As many links as the kernel follows in one path.
const MAX_LINKS: u32 = 40;

/// Opens `path` inside `root` for use as a place (`O_PATH`), following symbolic links.
pub fn open_place(root: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    open(root, path, OFlag::O_PATH)
}

/// Opens `path` inside `root` for reading. Never blocks, whatever it is.
pub fn open_readable(root: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    open(
        root,
        path,
        OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY,
    )
}

/// Opens `path` inside `root` for writing. Never blocks, whatever it is.
pub fn open_writable(root: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    open(
        root,
        path,
        OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY,
    )
}

/// Opens `path` below `directory` for writing, on the same file system and without following
/// any link: for kernel files in a `/proc` that a container could have mounted over.
pub fn open_exact(directory: impl AsFd, path: &Path, write: bool) -> io::Result<OwnedFd> {
    let access = if write {
        OFlag::O_WRONLY
    } else {
        OFlag::O_RDONLY
    };
    let how = OpenHow::new()
        .flags(access | OFlag::O_CLOEXEC | OFlag::O_NOCTTY)
        .resolve(
            ResolveFlag::RESOLVE_BENEATH
                | ResolveFlag::RESOLVE_NO_XDEV
                | ResolveFlag::RESOLVE_NO_SYMLINKS,
        );
    fcntl::openat2(directory, path, how).map_err(io::Error::from)
}

fn open(root: impl AsFd, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    loop {
        match fcntl::openat2(root.as_fd(), path, how) {
            // The kernel saw a rename race with `..` and asks to walk again.
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

/// Opens the directory `path` inside `root` and makes what is missing of it.
///
/// Links that lead to nothing are followed as the container would: their target is made.
pub fn create_dir_all(root: BorrowedFd<'_>, path: &Path, mode: u32) -> io::Result<OwnedFd> {
    // Mostly it is there.
    if let Ok(directory) = open_directory(root, path) {
        return Ok(directory);
    }
    walk_and_create(root, path, mode)
}

/// Opens `path` inside `root` as a place; an empty file is made when nothing is there.
pub fn create_file(root: BorrowedFd<'_>, path: &Path, mode: u32) -> io::Result<OwnedFd> {
    match open_place(root, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let parent = create_dir_all(root, directory, 0o755)?;
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match fcntl::openat(&parent, name, flags, Mode::from_bits_truncate(mode)) {
        Ok(file) => Ok(file),
        // A link that leads to nothing: make what it leads to.
        Err(Errno::EEXIST) => {
            let target = stat_link(&parent, name)?;
            let next = if target.is_absolute() {
                target
            } else {
                directory.join(target)
            };
            create_file_after_link(root, &next, mode)
        }
        Err(error) => Err(error.into()),
    }
}

/// One link is enough: what it leads to is made without following a second one.
fn create_file_after_link(root: BorrowedFd<'_>, path: &Path, mode: u32) -> io::Result<OwnedFd> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let parent = create_dir_all(root, directory, 0o755)?;
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    fcntl::openat(&parent, name, flags, Mode::from_bits_truncate(mode)).map_err(io::Error::from)
}

fn walk_and_create(root: BorrowedFd<'_>, path: &Path, mode: u32) -> io::Result<OwnedFd> {
    let mut pending: Vec<OsString> = components(path);
    pending.reverse();
    let mut walked = PathBuf::new();
    let mut current = open_directory(root, Path::new("."))?;
    let mut links = 0;
    while let Some(name) = pending.pop() {
        if name == ".." {
            walked.pop();
            current = open_directory(root, &walked)?;
            continue;
        }
        let next = walked.join(&name);
        let made = stat::mkdirat(&current, name.as_os_str(), Mode::from_bits_truncate(mode));
        match made {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error.into()),
        }
        match open_directory(root, &next) {
            Ok(directory) => {
                current = directory;
                walked = next;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::ELOOP.into());
                }
                let target = stat_link(&current, &name)?;
                if target.is_absolute() {
                    walked = PathBuf::new();
                    current = open_directory(root, Path::new("."))?;
                }
                pending.extend(components(&target).into_iter().rev());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(current)
}

fn components(path: &Path) -> Vec<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

fn open_directory(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    open(root, path, OFlag::O_PATH | OFlag::O_DIRECTORY)
}

fn stat_link(directory: impl AsFd, name: &std::ffi::OsStr) -> io::Result<PathBuf> {
    Ok(PathBuf::from(fcntl::readlinkat(directory, name)?))
}

/// fstat(2), also of a place.
pub fn status(fd: impl AsFd) -> io::Result<FileStatus> {
    Ok(FileStatus(stat::fstat(fd)?))
}

/// Major and minor number in a `dev_t`.
pub fn device_numbers(device: u64) -> (u64, u64) {
    (stat::major(device), stat::minor(device))
}

/// What fstat(2) says.
#[derive(Debug, Clone, Copy)]
pub struct FileStatus(FileStat);

impl FileStatus {
    pub fn is_dir(&self) -> bool {
        self.is(libc::S_IFDIR)
    }

    pub fn is_file(&self) -> bool {
        self.is(libc::S_IFREG)
    }

    /// Whether this is the character device `major:minor`.
    pub fn is_char_device(&self, major: u64, minor: u64) -> bool {
        self.is(libc::S_IFCHR) && self.0.st_rdev == stat::makedev(major, minor)
    }

    /// `S_IFMT` and permission bits.
    pub fn mode(&self) -> u32 {
        self.0.st_mode
    }

    /// Major and minor number of a device node.
    pub fn device(&self) -> (u64, u64) {
        device_numbers(self.0.st_rdev)
    }

    fn is(&self, kind: u32) -> bool {
        self.0.st_mode & libc::S_IFMT == kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn root() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        let fd = fs::File::open(dir.path()).unwrap().into();
        (dir, fd)
    }

    #[test]
    fn links_stay_inside_and_missing_targets_are_made_inside() {
        let (dir, root) = root();
        symlink("/outside/deep", dir.path().join("abs")).unwrap();
        symlink("../../../up", dir.path().join("rel")).unwrap();
        create_dir_all(root.as_fd(), Path::new("/abs/x"), 0o755).unwrap();
        create_dir_all(root.as_fd(), Path::new("rel/y"), 0o755).unwrap();
        assert!(dir.path().join("outside/deep/x").is_dir());
        assert!(dir.path().join("up/y").is_dir());
    }

    #[test]
    fn a_link_to_itself_is_refused() {
        let (dir, root) = root();
        symlink("loop", dir.path().join("loop")).unwrap();
        assert!(create_dir_all(root.as_fd(), Path::new("loop/x"), 0o755).is_err());
        assert!(create_file(root.as_fd(), Path::new("loop"), 0o644).is_err());
    }

    #[test]
    fn files_are_made_with_their_directories_and_through_one_link() {
        let (dir, root) = root();
        create_file(root.as_fd(), Path::new("/etc/hosts"), 0o644).unwrap();
        assert!(dir.path().join("etc/hosts").is_file());
        symlink("/run/stub", dir.path().join("etc/resolv.conf")).unwrap();
        create_file(root.as_fd(), Path::new("/etc/resolv.conf"), 0o644).unwrap();
        assert!(dir.path().join("run/stub").is_file());
        create_dir_all(root.as_fd(), Path::new("/"), 0o755).unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let (dir, root) = root();
        fs::write(dir.path().join("file"), "").unwrap();
        let error = create_dir_all(root.as_fd(), Path::new("file/x"), 0o755).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTDIR));
    }
}
