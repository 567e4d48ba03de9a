//! Files that survive a crash: written under a temporary name, fsynced, renamed, and the
//! directory fsynced. Paths here are our own; nothing a container or an archive chose comes here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Distinguishes temporary names within the process; the process id distinguishes them beyond.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A name next to `path` that no reader looks at and that no other writer uses.
fn temporary_name(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    let n = COUNTER.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".{}-{n}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// Whether a file name is one of `replace_file`'s that a crash left.
pub fn is_temporary(name: &str) -> bool {
    let extension = Path::new(name).extension();
    name.starts_with('.') && extension.is_some_and(|extension| extension == "tmp")
}

/// Replaces the file at `path` (mode 0600): readers see the old or the new content, and when this
/// returns the new one survives a power loss.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, content, File::sync_all)?;
    sync_parent(path)
}

/// Like [`replace_file`] for what dies with the machine anyhow: the new content survives the end
/// of this process, but a power loss may leave nothing, the old content, or an empty file.
pub fn replace_file_unsynced(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, content, |_| Ok(()))
}

fn replace(
    path: &Path,
    content: &[u8],
    settle: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = temporary_name(path);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        settle(&file)?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // The first error is the one to tell; the leftover is cleared at the next start.
        drop(fs::remove_file(&temporary));
    }
    written
}

/// Removes a file, if it is there, so that it stays removed after a power loss.
pub fn remove_file(path: &Path) -> io::Result<()> {
    if remove_file_unsynced(path)? {
        sync_parent(path)?;
    }
    Ok(())
}

/// Removes a file, if it is there, which a power loss may bring back. Returns whether it was.
pub fn remove_file_unsynced(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a rename or a creation in a directory durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

/// Creates a directory that only we may enter, and its parents, if missing.
pub fn create_private_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_and_leaves_no_temporary_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        for content in ["first, longer", "second"] {
            replace_file(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        replace_file_unsynced(&path, b"third").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "third");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        remove_file(&path).unwrap();
        remove_file(&path).unwrap();
    }

    #[test]
    fn temporary_names_are_recognised() {
        let name = temporary_name(Path::new("/x/images.json"));
        assert!(is_temporary(name.file_name().unwrap().to_str().unwrap()));
        assert!(!is_temporary("images.json") && !is_temporary(".hidden"));
    }

    #[test]
    fn a_failed_write_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("x"), "y").unwrap();
        assert!(replace_file(&path, b"new").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
