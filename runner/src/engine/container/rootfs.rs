//! The files of a container, running or not, as its processes see them.
//!
//! A stopped container's layers are mounted for as long as they are looked at, as a mount that
//! belongs to no namespace: nothing else on this host sees it, and it goes with its descriptor.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::cell::Container;
use super::record::{Record, ResolvedMount};
use crate::engine::{Engine, EngineError};
use crate::image::Snapshot;
use crate::spec::ContainerId;
use crate::sys::copy;
use crate::sys::dir::Directory;
use crate::sys::mount::{Attributes, FsContext};

/// Mounts the layers of a snapshot. Blocking.
pub(in crate::engine) fn mount(snapshot: &Snapshot) -> io::Result<Directory> {
    let overlay = FsContext::open("overlay")?;
    for lower in &snapshot.lower {
        overlay.set_string("lowerdir+", lower.as_os_str().as_bytes())?;
    }
    overlay.set_string("upperdir", snapshot.upper.as_os_str().as_bytes())?;
    overlay.set_string("workdir", snapshot.work.as_os_str().as_bytes())?;
    Directory::at(overlay.mount(Attributes::default())?)
}

/// Mounts a snapshot to be read only, which works beside a running container: all its layers
/// are lower ones then. Blocking.
pub(super) fn mount_read_only(snapshot: &Snapshot) -> io::Result<Directory> {
    let upper = std::iter::once(&snapshot.upper);
    mount_layers(upper.chain(&snapshot.lower))
}

/// Mounts what a snapshot stands on, without what was written to it. Blocking.
pub(in crate::engine) fn mount_image(snapshot: &Snapshot) -> io::Result<Directory> {
    match snapshot.lower.as_slice() {
        // An overlay takes no fewer than two layers when none is writable.
        [only] => Directory::open(only),
        layers => mount_layers(layers.iter()),
    }
}

fn mount_layers<'a>(layers: impl Iterator<Item = &'a PathBuf>) -> io::Result<Directory> {
    let overlay = FsContext::open("overlay")?;
    for layer in layers {
        overlay.set_string("lowerdir+", layer.as_os_str().as_bytes())?;
    }
    Directory::at(overlay.mount(Attributes::READ_ONLY)?)
}

/// A place in a container: a root that nothing leads out of, and a path below it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) root: Directory,
    /// Relative to `root`.
    pub(super) path: PathBuf,
    /// It is on a mount that the container may only read.
    pub(super) read_only: bool,
    /// What root of the container is here, in a container whose ids are mapped.
    pub(super) mapped_root: Option<(u32, u32)>,
}

impl Engine {
    /// Finds what `path` means in the container. Blocking.
    pub(super) fn place(&self, container: &Container, path: &Path) -> io::Result<Place> {
        let record = container.record();
        let relative = path.strip_prefix("/").unwrap_or(path);
        if let Some(shim) = container.shim() {
            // All its mounts are there already.
            let root = Directory::open(Path::new(&format!("/proc/{}/root", shim.init_pid())))?;
            let mapped_root = mapped_root(shim.init_pid());
            return Ok(Place {
                root,
                path: relative.to_owned(),
                read_only: is_read_only(&record, path),
                mapped_root,
            });
        }
        // A stopped one has no mounts; what is below one of them is looked for in its source.
        if let Some((mount, below)) = covering_mount(&record, path) {
            let volume = &mount.view.name;
            if !volume.is_empty() && !self.shared.volumes.is_reachable(volume) {
                return Err(io::Error::other(format!(
                    "volume {volume} is mounted only while a container that uses it runs"
                )));
            }
            return Ok(Place {
                root: Directory::open(&mount.view.source)?,
                path: below,
                read_only: !mount.view.read_write,
                mapped_root: None,
            });
        }
        let snapshot = self
            .shared
            .images
            .snapshot(&record.id)
            .map_err(io::Error::other)?;
        Ok(Place {
            root: mount(&snapshot)?,
            path: relative.to_owned(),
            read_only: record.host.read_only_rootfs,
            mapped_root: None,
        })
    }

    /// Copies what the image has at a volume's place into the volume, if that is empty.
    pub(super) async fn fill_volume(
        &self,
        id: &ContainerId,
        mount_point: &ResolvedMount,
    ) -> Result<(), EngineError> {
        let snapshot = self.shared.images.snapshot(id);
        let snapshot =
            snapshot.map_err(|error| EngineError::internal("finding the image's files", &error))?;
        let (source, destination) = (
            mount_point.view.source.clone(),
            mount_point.view.destination.clone(),
        );
        let filled = tokio::task::spawn_blocking(move || {
            let volume = Directory::open(&source)?;
            if !volume.names()?.is_empty() {
                return Ok(());
            }
            let path = CString::new(destination)?;
            match mount(&snapshot)?.open_in_root(&path) {
                Ok(content) => copy::copy_content(&content, &volume),
                // The image has nothing there, or no directory.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) =>
                {
                    Ok(())
                }
                Err(error) => Err(error),
            }
        });
        let filled = filled.await.map_err(io::Error::other).flatten();
        filled.map_err(|error| EngineError::internal("copying the image's files", &error))
    }
}

/// What root of a process is outside, unless that is root.
fn mapped_root(pid: i32) -> Option<(u32, u32)> {
    let of = |file: &str| -> Option<u32> {
        let map = std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
        map.lines().find_map(|line| {
            let mut fields = line.split_whitespace();
            (fields.next()? == "0").then(|| fields.next()?.parse().ok())?
        })
    };
    Some((of("uid_map")?, of("gid_map")?)).filter(|root| *root != (0, 0))
}

/// The innermost mount over `path`, and what is left of the path below it.
fn covering_mount<'a>(record: &'a Record, path: &Path) -> Option<(&'a ResolvedMount, PathBuf)> {
    let with_source = |mount: &&ResolvedMount| mount.view.source.is_dir();
    record
        .mounts
        .iter()
        .filter(with_source)
        .filter_map(|mount| {
            let below = path.strip_prefix(&mount.view.destination).ok()?;
            Some((mount, below.to_owned()))
        })
        .min_by_key(|(_, below)| below.components().count())
}

fn is_read_only(record: &Record, path: &Path) -> bool {
    match covering_mount(record, path) {
        Some((mount, _)) => !mount.view.read_write,
        None => record.host.read_only_rootfs,
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::super::view::{MountKind, MountView};
    use super::*;
    use crate::spec::Submounts;

    #[test]
    fn the_innermost_mount_covers() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = record("web");
        for destination in ["/data", "/data/inner"] {
            record.mounts.push(ResolvedMount {
                view: MountView {
                    kind: MountKind::Bind,
                    name: String::new(),
                    source: dir.path().to_owned(),
                    destination: destination.to_owned(),
                    driver: String::new(),
                    read_write: destination == "/data",
                    propagation: None,
                },
                anonymous: false,
                submounts: Submounts::Follow,
                tmpfs_options: Vec::new(),
            });
        }
        let below = |path: &str| {
            covering_mount(&record, Path::new(path))
                .map(|(mount, below)| (mount.view.destination.clone(), below.display().to_string()))
        };
        assert_eq!(below("/data/x"), Some(("/data".to_owned(), "x".to_owned())));
        assert_eq!(
            below("/data/inner/y"),
            Some(("/data/inner".to_owned(), "y".to_owned()))
        );
        assert_eq!(below("/database"), None);
        assert!(is_read_only(&record, Path::new("/data/inner/y")));
    }
}
