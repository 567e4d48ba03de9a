//! Whole trees: removed, measured. Blocking work is done off the async threads.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::dir::{Directory, Kind, kind_of};

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

/// Removes `path` and everything below it, never following a link. Nothing there is no error.
pub async fn remove(path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    blocking(move || {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::other("the root cannot be removed"));
        };
        let parent = match Directory::open(parent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let name = CString::new(name.as_bytes()).map_err(io::Error::other)?;
        parent.remove_tree(&name)
    })
    .await
}

/// Bytes that the files below `path` occupy by their length; hard links count once each. What
/// disappears meanwhile is not counted.
pub async fn size(path: &Path) -> io::Result<u64> {
    let path = path.to_owned();
    blocking(move || measure(Directory::open(&path)?)).await
}

fn measure(top: Directory) -> io::Result<u64> {
    let mut total = 0_u64;
    let mut to_visit = vec![top];
    while let Some(directory) = to_visit.pop() {
        for name in directory.names()? {
            let Some(stat) = directory.stat(&name)? else {
                continue;
            };
            match kind_of(&stat) {
                Kind::File { size_bytes } => total += size_bytes / u64::max(1, stat.st_nlink),
                Kind::Directory => match directory.open_child(&name) {
                    Ok(child) => to_visit.push(child),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                },
                Kind::Symlink | Kind::Node(_) | Kind::Socket => {}
            }
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn trees_are_measured_and_removed_without_following_links() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir_all(tree.join("a/b")).unwrap();
        std::fs::write(tree.join("a/b/f"), [0; 10]).unwrap();
        std::fs::write(tree.join("g"), [0; 5]).unwrap();
        std::fs::write(dir.path().join("kept"), "x").unwrap();
        std::os::unix::fs::symlink(dir.path(), tree.join("out")).unwrap();
        assert_eq!(size(&tree).await.unwrap(), 15);
        remove(&tree).await.unwrap();
        remove(&tree).await.unwrap();
        assert!(!tree.exists() && dir.path().join("kept").exists());
    }
}
