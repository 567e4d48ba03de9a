//! A copy of a tree with everything that a file has: owner, mode, times, attributes, links.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;

use nix::sys::stat::FileStat;

use super::dir::{Directory, FileTime, Kind, kind_of};

/// Where a file with several names was copied to first: the directory and its name there.
type FirstNames = HashMap<(u64, u64), (std::rc::Rc<Directory>, CString)>;

/// Copies everything in `from` into `to`, which is empty, and makes `to` like `from`.
///
/// Symbolic links are copied, not followed; sockets are left out. Blocking.
pub fn copy_content(from: &Directory, to: &Directory) -> io::Result<()> {
    let to = std::rc::Rc::new(to.reopen()?);
    copy_level(from, &to, &mut FirstNames::new())?;
    if let Some(stat) = from.stat(c".")? {
        to.set_owner(c".", stat.st_uid, stat.st_gid)?;
        to.set_mode(c".", stat.st_mode)?;
        to.set_times(c".", modified(&stat))?;
    }
    Ok(())
}

fn copy_level(
    from: &Directory,
    to: &std::rc::Rc<Directory>,
    first_names: &mut FirstNames,
) -> io::Result<()> {
    for name in from.names()? {
        let Some(stat) = from.stat(&name)? else {
            continue;
        };
        if is_linked(&stat, first_names) {
            let (directory, first) = &first_names[&(stat.st_dev, stat.st_ino)];
            to.create_hard_link(directory, first, &name)?;
            continue;
        }
        if !copy_object(from, to, &name, (&stat, first_names))? {
            continue;
        }
        if stat.st_nlink > 1 && kind_of(&stat) != Kind::Directory {
            let first = (std::rc::Rc::clone(to), name.clone());
            first_names.insert((stat.st_dev, stat.st_ino), first);
        }
        copy_metadata(from, to, &name, &stat)?;
    }
    Ok(())
}

fn is_linked(stat: &FileStat, first_names: &FirstNames) -> bool {
    stat.st_nlink > 1
        && kind_of(stat) != Kind::Directory
        && first_names.contains_key(&(stat.st_dev, stat.st_ino))
}

/// False when the object is of a kind that is left out.
fn copy_object(
    from: &Directory,
    to: &std::rc::Rc<Directory>,
    name: &CStr,
    (stat, first_names): (&FileStat, &mut FirstNames),
) -> io::Result<bool> {
    match kind_of(stat) {
        Kind::File { .. } => copy_file(from.open_file(name)?, to.create_file(name, 0o600)?)?,
        Kind::Directory => {
            to.create_dir(name, 0o700)?;
            let below = std::rc::Rc::new(to.open_child(name)?);
            copy_level(&from.open_child(name)?, &below, first_names)?;
        }
        Kind::Symlink => {
            let target = from.read_link(name)?;
            let target = CString::new(std::os::unix::ffi::OsStringExt::into_vec(target))?;
            to.create_symlink(&target, name)?;
        }
        Kind::Node(node) => to.create_node(name, node)?,
        Kind::Socket => return Ok(false),
    }
    Ok(true)
}

fn copy_file(mut from: File, mut to: File) -> io::Result<()> {
    // copy_file_range(2) where the file systems can.
    io::copy(&mut from, &mut to)?;
    Ok(())
}

/// Owner before mode: a change of owner clears the set-id bits. Times last.
fn copy_metadata(from: &Directory, to: &Directory, name: &CStr, stat: &FileStat) -> io::Result<()> {
    to.set_owner(name, stat.st_uid, stat.st_gid)?;
    if kind_of(stat) != Kind::Symlink {
        to.set_mode(name, stat.st_mode)?;
    }
    for (key, value) in from.xattrs(name)? {
        // What only overlayfs may see belongs to its layers, not to the files.
        if !key.as_encoded_bytes().starts_with(b"trusted.overlay.") {
            to.set_xattr(name, &key, &value)?;
        }
    }
    to.set_times(name, modified(stat))
}

fn modified(stat: &FileStat) -> FileTime {
    FileTime {
        seconds: stat.st_mtime,
        nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn trees_are_copied_with_links_and_modes() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("a/f"), "content").unwrap();
        fs::set_permissions(from.join("a/f"), fs::Permissions::from_mode(0o4711)).unwrap();
        fs::hard_link(from.join("a/f"), from.join("a/b/g")).unwrap();
        symlink("/etc/passwd", from.join("link")).unwrap();
        fs::set_permissions(&from, fs::Permissions::from_mode(0o1777)).unwrap();
        copy_content(
            &Directory::open(&from).unwrap(),
            &Directory::open(&to).unwrap(),
        )
        .unwrap();
        assert_eq!(fs::read_to_string(to.join("a/b/g")).unwrap(), "content");
        let metadata = |name: &str| fs::metadata(to.join(name)).unwrap();
        assert_eq!(metadata("a/f").ino(), metadata("a/b/g").ino());
        assert_eq!(metadata("a/f").mode() & 0o7777, 0o4711);
        assert_eq!(metadata("").mode() & 0o7777, 0o1777);
        assert_eq!(
            fs::read_link(to.join("link")).unwrap().to_str(),
            Some("/etc/passwd")
        );
    }
}
