//! A path as a caller wrote it becomes an open parent and a name in it.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::PathStat;
use crate::spec::clean;
use crate::sys::dir::{Directory, Kind, kind_of};

/// As many links in a row as the kernel follows, `path_resolution(7)`.
const MAX_LINKS: usize = 40;

/// What a path stands for.
#[derive(Debug)]
pub(in crate::engine) struct Found {
    /// The directory that it is in.
    pub(in crate::engine) parent: Directory,
    /// Its name there; `.` for the root and for paths that end in a slash.
    pub(in crate::engine) name: CString,
    /// What entries of an archive of it begin with.
    pub(in crate::engine) archive_name: PathBuf,
    pub(in crate::engine) stat: PathStat,
}

/// Looks up `path` below `root`. The last component is not followed unless `asked`, the path as
/// the caller wrote it, ends in a slash or `/.`.
pub(in crate::engine) fn find(root: &Directory, path: &Path, asked: &str) -> io::Result<Found> {
    let clean = clean(path);
    let follows = asked.ends_with('/') || asked.ends_with("/.") || asked == ".";
    let (parent, name) = match (clean.parent(), clean.file_name()) {
        (Some(parent), Some(name)) if !follows => {
            (open(root, parent)?, CString::new(name.as_bytes())?)
        }
        _ => (open(root, &clean)?, c".".to_owned()),
    };
    let stat = parent
        .stat(&name)?
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let link_target = match kind_of(&stat) {
        Kind::Symlink => link_target(&parent, &name, &clean)?,
        _ => String::new(),
    };
    let base = match clean.file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => "/".to_owned(),
    };
    let ends_in_dot = asked.ends_with("/.") || asked == ".";
    let archive_name = match clean.file_name() {
        Some(name) if !ends_in_dot => PathBuf::from(name),
        _ => PathBuf::from("."),
    };
    Ok(Found {
        parent,
        name,
        archive_name,
        stat: PathStat {
            name: base,
            size_bytes: stat.st_size,
            mode: stat.st_mode,
            modified_at: modified_at(stat.st_mtime, stat.st_mtime_nsec),
            link_target,
        },
    })
}

fn open(root: &Directory, path: &Path) -> io::Result<Directory> {
    if path.as_os_str().is_empty() {
        return root.reopen();
    }
    root.open_in_root(&CString::new(path.as_os_str().as_bytes())?)
}

/// As [`find`], and a last component that is a link is followed, as often as it takes.
pub(in crate::engine) fn find_target(root: &Directory, path: &Path) -> io::Result<Found> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let found = find(root, &path, "")?;
        if found.stat.link_target.is_empty() {
            return Ok(found);
        }
        path = PathBuf::from(found.stat.link_target);
    }
    Err(io::Error::from_raw_os_error(nix::libc::ELOOP))
}

/// Where a link leads, as an absolute path of the container.
fn link_target(parent: &Directory, name: &CStr, path: &Path) -> io::Result<String> {
    let target = PathBuf::from(parent.read_link(name)?);
    let from = path.parent().unwrap_or(Path::new(""));
    let whole = Path::new("/").join(clean(&Path::new("/").join(from).join(target)));
    Ok(whole.to_string_lossy().into_owned())
}

fn modified_at(seconds: i64, nanoseconds: i64) -> Timestamp {
    let nanoseconds = i32::try_from(nanoseconds).unwrap_or(0);
    Timestamp::new(seconds, nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn paths_are_found_as_docker_finds_them() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("etc/sub")).unwrap();
        fs::write(dir.path().join("etc/f"), "x").unwrap();
        symlink("/etc", dir.path().join("link")).unwrap();
        symlink("../../../../etc/f", dir.path().join("etc/up")).unwrap();
        let root = Directory::open(dir.path()).unwrap();
        // Asked, name, prefix of entries, link target.
        let cases = [
            ("/etc/f", "f", "f", ""),
            ("etc", "etc", "etc", ""),
            ("/etc/", "etc", "etc", ""),
            ("/etc/.", "etc", ".", ""),
            ("/link", "link", "link", "/etc"),
            ("/link/", "link", "link", ""),
            ("/link/f", "f", "f", ""),
            ("/etc/up", "up", "up", "/etc/f"),
            ("/", "/", ".", ""),
            ("/../..", "/", ".", ""),
        ];
        for (asked, name, archive_name, link_target) in cases {
            let found = find(&root, Path::new(asked), asked).unwrap();
            assert_eq!(found.stat.name, name, "{asked}");
            assert_eq!(found.archive_name, Path::new(archive_name), "{asked}");
            assert_eq!(found.stat.link_target, link_target, "{asked}");
        }
        for missing in ["/nothing", "/etc/f/x", "/etc/nothing/x"] {
            assert!(
                find(&root, Path::new(missing), missing).is_err(),
                "{missing}"
            );
        }
    }
}
