//! From the mounts a caller asked for to mounts whose source is known: volumes are made, missing
//! directories created, the volumes of other containers taken over.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::record::{Record, ResolvedMount};
use super::view::{MountKind, MountView};
use crate::engine::{CreateVolume, Engine, EngineError};
use crate::spec::{
    ContainerConfig, ContainerId, ContainerRef, HostConfig, MountSource, MountSpec, Submounts,
    clean,
};

impl Engine {
    /// All mounts of a container that is being made. Volumes are held for it; the caller lets go
    /// of them when the creation fails.
    pub(super) async fn resolve_mounts(
        &self,
        id: &ContainerId,
        config: &ContainerConfig,
        host: &HostConfig,
    ) -> Result<Vec<ResolvedMount>, EngineError> {
        // By destination, so that a later word replaces an earlier one: what the image declares,
        // then other containers' volumes, then the caller's own.
        let mut mounts: BTreeMap<String, ResolvedMount> = BTreeMap::new();
        let mut from_others: BTreeMap<String, ResolvedMount> = BTreeMap::new();
        for source in &host.volumes_from {
            // Not a 404: the client would take that for a missing image.
            let mounts = self.mounts_of(source);
            let mounts =
                mounts.map_err(|error| EngineError::InvalidParameter(error.to_string()))?;
            for mount in mounts {
                from_others.insert(mount.view.destination.clone(), mount);
            }
        }
        let asked = host.mounts.iter().map(|mount| destination(&mount.target));
        let asked = asked.collect::<Result<Vec<_>, _>>()?;
        if let Some(twice) = asked
            .iter()
            .enumerate()
            .find(|(n, target)| asked[..*n].contains(target))
        {
            return Err(EngineError::InvalidParameter(format!(
                "Duplicate mount point: {}",
                twice.1
            )));
        }
        for path in &config.volumes {
            let target = destination(path)?;
            if asked.contains(&target) || from_others.contains_key(&target) {
                continue;
            }
            let mount = self.volume_mount(id, &anonymous(&target), &target).await?;
            mounts.insert(target, mount);
        }
        for (target, mount) in from_others {
            self.hold_volume(id, &mount)?;
            mounts.insert(target, mount);
        }
        for (mount, target) in host.mounts.iter().zip(asked) {
            let resolved = self.resolve_mount(id, mount, &target).await?;
            mounts.insert(target, resolved);
        }
        Ok(mounts.into_values().collect())
    }

    async fn resolve_mount(
        &self,
        id: &ContainerId,
        mount: &MountSpec,
        target: &str,
    ) -> Result<ResolvedMount, EngineError> {
        match &mount.source {
            MountSource::Volume { .. } => self.volume_mount(id, mount, target).await,
            MountSource::Bind {
                path,
                create_missing,
            } => {
                check_bind_source(path, *create_missing)?;
                Ok(resolved(mount, target, MountKind::Bind, path.clone()))
            }
            MountSource::Tmpfs {
                size_bytes,
                mode,
                options,
            } => {
                let mut resolved = resolved(mount, target, MountKind::Tmpfs, PathBuf::new());
                resolved.tmpfs_options.clone_from(options);
                if let Some(size) = size_bytes {
                    resolved.tmpfs_options.push(format!("size={size}"));
                }
                if let Some(mode) = mode {
                    resolved.tmpfs_options.push(format!("mode={mode:o}"));
                }
                Ok(resolved)
            }
        }
    }

    async fn volume_mount(
        &self,
        id: &ContainerId,
        mount: &MountSpec,
        target: &str,
    ) -> Result<ResolvedMount, EngineError> {
        let MountSource::Volume {
            name,
            subpath,
            driver,
            driver_options,
            labels,
            ..
        } = &mount.source
        else {
            return Err(EngineError::Internal("not a volume mount".to_owned()));
        };
        let volume = self
            .create_volume(CreateVolume {
                name: name.clone(),
                driver: driver.clone().unwrap_or_default(),
                options: driver_options.clone(),
                labels: labels.clone(),
            })
            .await?;
        let source = match subpath {
            None => volume.mountpoint.clone(),
            Some(subpath) => volume_subpath(&volume.mountpoint, subpath)?,
        };
        let mut resolved = resolved(mount, target, MountKind::Volume, source);
        resolved.view.name = volume.name;
        resolved.view.driver = volume.driver;
        resolved.anonymous = name.is_none();
        self.hold_volume(id, &resolved)?;
        Ok(resolved)
    }

    /// Makes the files of all its volumes accessible, or of none.
    pub(in crate::engine) async fn mount_volumes(
        &self,
        record: &Record,
    ) -> Result<(), EngineError> {
        for mount in volumes_of(record) {
            let mounted = self.shared.volumes.mount(&mount.view.name, &record.id);
            if let Err(error) = mounted.await {
                self.unmount_volumes(record).await;
                return Err(error);
            }
        }
        Ok(())
    }

    /// The container runs no more.
    pub(super) async fn unmount_volumes(&self, record: &Record) {
        for mount in volumes_of(record) {
            let volumes = &self.shared.volumes;
            volumes.unmount(&mount.view.name, &record.id).await;
        }
    }

    fn hold_volume(&self, id: &ContainerId, mount: &ResolvedMount) -> Result<(), EngineError> {
        let name = &mount.view.name;
        if name.is_empty() || self.shared.volumes.hold(name, id) {
            Ok(())
        } else {
            Err(EngineError::no_such_volume(name))
        }
    }

    /// `container[:ro|rw]`: its binds and volumes.
    fn mounts_of(&self, source: &str) -> Result<Vec<ResolvedMount>, EngineError> {
        let (container, read_only) = match source.rsplit_once(':') {
            None => (source, false),
            Some((container, "ro")) => (container, true),
            Some((container, "rw")) => (container, false),
            Some((_, mode)) => {
                return Err(EngineError::InvalidParameter(format!(
                    "invalid mode for volumes-from: {mode}"
                )));
            }
        };
        let record: Record = self.find_container(&ContainerRef::new(container))?.record();
        let shared = record
            .mounts
            .into_iter()
            .filter(|mount| mount.view.kind != MountKind::Tmpfs);
        Ok(shared
            .map(|mut mount| {
                mount.view.read_write &= !read_only;
                // It goes with the container that it was made for.
                mount.anonymous = false;
                mount
            })
            .collect())
    }
}

fn volumes_of(record: &Record) -> impl Iterator<Item = &ResolvedMount> {
    let mounts = record.mounts.iter();
    mounts.filter(|mount| mount.view.kind == MountKind::Volume)
}

/// A volume that the image declares.
fn anonymous(target: &str) -> MountSpec {
    MountSpec {
        source: MountSource::Volume {
            name: None,
            no_copy: false,
            subpath: None,
            driver: None,
            driver_options: BTreeMap::new(),
            labels: BTreeMap::new(),
        },
        target: target.to_owned(),
        read_only: false,
        propagation: None,
        submounts: Submounts::Follow,
        form: crate::spec::MountForm::Short,
    }
}

fn resolved(mount: &MountSpec, target: &str, kind: MountKind, source: PathBuf) -> ResolvedMount {
    let is_bind = kind == MountKind::Bind;
    ResolvedMount {
        view: MountView {
            kind,
            name: String::new(),
            source,
            destination: target.to_owned(),
            driver: String::new(),
            read_write: !mount.read_only,
            propagation: mount
                .propagation
                .or(is_bind.then_some(crate::spec::Propagation::Rprivate)),
        },
        anonymous: false,
        submounts: mount.submounts,
        tmpfs_options: Vec::new(),
    }
}

/// An absolute path in the container, cleaned of `.`, `..` and doubled slashes.
fn destination(target: &str) -> Result<String, EngineError> {
    let path = Path::new(target);
    if !path.is_absolute() {
        return Err(EngineError::InvalidParameter(format!(
            "invalid mount config: invalid mount path: '{target}' mount path must be absolute"
        )));
    }
    let clean = Path::new("/").join(clean(path));
    if clean == Path::new("/") {
        return Err(EngineError::InvalidParameter(
            "invalid specification: destination can't be '/'".to_owned(),
        ));
    }
    Ok(clean.to_string_lossy().into_owned())
}

/// `-v` makes a missing source a directory, `--mount` refuses it.
fn check_bind_source(path: &Path, create_missing: bool) -> Result<(), EngineError> {
    if !path.is_absolute() {
        return Err(EngineError::InvalidParameter(format!(
            "invalid mount path: '{}' mount path must be absolute",
            path.display()
        )));
    }
    if path.exists() {
        return Ok(());
    }
    if !create_missing {
        return Err(EngineError::InvalidParameter(format!(
            "invalid mount config for type \"bind\": bind source path does not exist: {}",
            path.display()
        )));
    }
    std::fs::create_dir_all(path).map_err(|error| {
        EngineError::InvalidParameter(format!(
            "error while creating mount source path '{}': {error}",
            path.display()
        ))
    })
}

/// A directory of a volume; checked so that no link in the volume leads out of it.
fn volume_subpath(mountpoint: &Path, subpath: &Path) -> Result<PathBuf, EngineError> {
    let refuse = |reason: &str| {
        Err(EngineError::InvalidParameter(format!(
            "volume subpath {}: {reason}",
            subpath.display()
        )))
    };
    let mut path = mountpoint.to_owned();
    for component in subpath.components() {
        let Component::Normal(name) = component else {
            return refuse("must be relative, without ..");
        };
        path.push(name);
        match std::fs::symlink_metadata(&path) {
            Err(_) => return refuse("does not exist"),
            Ok(metadata) if metadata.is_symlink() => return refuse("goes through a symbolic link"),
            Ok(_) => {}
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_cleaned() {
        for (given, clean) in [("/a", "/a"), ("/a/../b/", "/b"), ("//a/./b", "/a/b")] {
            assert_eq!(destination(given).unwrap(), clean);
        }
        for bad in ["", "a", "/", "/..", "/a/.."] {
            assert!(destination(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn subpaths_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("link")).unwrap();
        assert!(volume_subpath(dir.path(), Path::new("a")).is_ok());
        for bad in ["../x", "/etc", "link", "missing"] {
            assert!(volume_subpath(dir.path(), Path::new(bad)).is_err(), "{bad}");
        }
    }
}
