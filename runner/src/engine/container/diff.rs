//! What a container changed against its image: `docker diff`.
//!
//! The kernel's overlay writes into the upper directory: a file is there when it was changed or
//! made, a character device 0/0 stands for a deletion, and an attribute marks a directory that
//! hides the one below.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::record::Record;
use super::view::{Change, ChangeKind};
use crate::engine::{Engine, EngineError};
use crate::image::Snapshot;
use crate::spec::ContainerRef;
use crate::sys::dir::{Directory, Kind, Node};

const WHITEOUT: Kind = Kind::Node(Node::Char { major: 0, minor: 0 });
/// Mount points and files that the launcher makes in every container; nobody changed them.
const OURS: &[&str] = &[
    "/.dockerenv",
    "/dev",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/mtab",
    "/etc/resolv.conf",
    "/proc",
    "/sys",
];

impl Engine {
    /// What the container changed against its image, sorted by path.
    pub async fn container_changes(
        &self,
        container: &ContainerRef,
    ) -> Result<Vec<Change>, EngineError> {
        let record = self.find_container(container)?.record();
        let snapshot = self.shared.images.snapshot(&record.id);
        let snapshot = snapshot
            .map_err(|error| EngineError::internal("finding the container's layer", &error))?;
        let changes = tokio::task::spawn_blocking(move || changes(&snapshot, &ignored(&record)));
        let changes = changes.await.map_err(io::Error::other).flatten();
        changes.map_err(|error| EngineError::internal("comparing the container's layer", &error))
    }
}

/// Places that are mounted over.
fn ignored(record: &Record) -> BTreeSet<PathBuf> {
    let mounts = record
        .mounts
        .iter()
        .map(|mount| PathBuf::from(&mount.view.destination));
    OURS.iter().map(PathBuf::from).chain(mounts).collect()
}

fn changes(snapshot: &Snapshot, ignored: &BTreeSet<PathBuf>) -> io::Result<Vec<Change>> {
    let image = super::rootfs::mount_image(snapshot)?;
    let mut comparison = Comparison {
        image,
        ignored,
        changes: Vec::new(),
    };
    comparison.compare(&Directory::open(&snapshot.upper)?, Path::new("/"))?;
    comparison.changes.sort();
    Ok(comparison.changes)
}

struct Comparison<'a> {
    /// The image's files without the container's.
    image: Directory,
    ignored: &'a BTreeSet<PathBuf>,
    changes: Vec<Change>,
}

impl Comparison<'_> {
    /// True when anything below `path` is told.
    fn compare(&mut self, upper: &Directory, path: &Path) -> io::Result<bool> {
        let mut any = false;
        for name in upper.names()? {
            let below = path.join(OsStr::from_bytes(name.to_bytes()));
            if self.ignored.contains(&below) {
                continue;
            }
            let Some(kind) = upper.kind(&name)? else {
                continue;
            };
            let in_image = self.kind_in_image(&below)?;
            if kind == WHITEOUT {
                self.tell(&below, ChangeKind::Deleted);
                any = true;
                continue;
            }
            let inner = if kind == Kind::Directory {
                self.compare(&upper.open_child(&name)?, &below)?
            } else {
                false
            };
            if let Some(kind) = self.verdict(&below, (kind, in_image), inner) {
                self.tell(&below, kind);
                any = true;
            }
        }
        Ok(any)
    }

    /// What an object of the upper directory says; `inner` when something below it is told.
    fn verdict(
        &self,
        path: &Path,
        (kind, in_image): (Kind, Option<Kind>),
        inner: bool,
    ) -> Option<ChangeKind> {
        match in_image {
            None => {
                let leads_to_mount = self.ignored.iter().any(|mount| mount.starts_with(path));
                (inner || !leads_to_mount).then_some(ChangeKind::Added)
            }
            // A directory is told only for what is below it: the kernel copies it up for reasons
            // that nobody meant.
            Some(Kind::Directory) if kind == Kind::Directory => {
                inner.then_some(ChangeKind::Modified)
            }
            Some(_) => Some(ChangeKind::Modified),
        }
    }

    fn kind_in_image(&self, path: &Path) -> io::Result<Option<Kind>> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(Some(Kind::Directory));
        };
        let parent = parent.strip_prefix("/").unwrap_or(parent);
        let opened = if parent.as_os_str().is_empty() {
            self.image.reopen()
        } else {
            self.image
                .open_in_root(&std::ffi::CString::new(parent.as_os_str().as_bytes())?)
        };
        let parent = match opened {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            opened => opened?,
        };
        parent.kind(&std::ffi::CString::new(name.as_bytes())?)
    }

    fn tell(&mut self, path: &Path, kind: ChangeKind) {
        self.changes.push(Change {
            path: path.to_string_lossy().into_owned(),
            kind,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn changes_are_told_and_mount_points_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        for path in ["lower/etc", "lower/opt/old", "upper", "work"] {
            fs::create_dir_all(place(path)).unwrap();
        }
        fs::write(place("lower/etc/passwd"), "a").unwrap();
        let snapshot = Snapshot {
            image: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
            lower: vec![place("lower")],
            upper: place("upper"),
            work: place("work"),
        };
        // What a container does, through a real overlay.
        let root = super::super::rootfs::mount(&snapshot).unwrap();
        root.open_in_root(c"etc")
            .unwrap()
            .remove_tree(c"passwd")
            .unwrap();
        root.open_in_root(c"etc")
            .unwrap()
            .create_file(c"hosts", 0o600)
            .unwrap();
        root.open_in_root(c"opt")
            .unwrap()
            .create_file(c"new", 0o600)
            .unwrap();
        root.create_dir(c"data", 0o700).unwrap();
        root.create_dir(c"mnt", 0o700).unwrap();
        root.open_in_root(c"mnt")
            .unwrap()
            .create_dir(c"volume", 0o700)
            .unwrap();
        drop(root);
        let ignored = ["/etc/hosts", "/mnt/volume"]
            .iter()
            .map(PathBuf::from)
            .collect();
        let told: Vec<String> = changes(&snapshot, &ignored)
            .unwrap()
            .into_iter()
            .map(|change| format!("{:?} {}", change.kind, change.path))
            .collect();
        assert_eq!(
            told,
            [
                "Added /data",
                "Modified /etc",
                "Deleted /etc/passwd",
                "Modified /opt",
                "Added /opt/new"
            ]
        );
    }
}
