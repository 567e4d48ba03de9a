//! File systems of volumes: mounted with the first container that uses one, unmounted with the
//! last.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use tokio::sync::Mutex;

use super::backing::FileSystem;
use crate::launch;
use crate::spec::ContainerId;
use crate::sys::mount;

/// The containers that use a volume now. Its lock is held while the volume is being mounted or
/// unmounted, so that only its own users wait for a slow file system.
type Users = Arc<Mutex<BTreeSet<ContainerId>>>;

/// Who uses which volume, by the volume's name.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    users: std::sync::Mutex<BTreeMap<String, Users>>,
}

impl Mounts {
    fn users(&self, name: &str) -> Users {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(users.entry(name.to_owned()).or_default())
    }

    pub(super) async fn mount(
        &self,
        name: &str,
        user: &ContainerId,
        file_system: FileSystem,
        target: PathBuf,
    ) -> io::Result<()> {
        let users = self.users(name);
        let mut users = users.lock().await;
        // It may have stayed mounted while the agent was away.
        blocking(move || {
            if is_mounted(&target) {
                return Ok(());
            }
            let FileSystem {
                fs_type,
                device,
                options,
            } = &file_system;
            launch::mount_at(fs_type, device, options, &target)
        })
        .await?;
        users.insert(user.clone());
        Ok(())
    }

    pub(super) async fn unmount(
        &self,
        name: &str,
        user: &ContainerId,
        target: PathBuf,
    ) -> io::Result<()> {
        let users = self.users(name);
        let mut users = users.lock().await;
        users.remove(user);
        if users.is_empty() {
            return unmount(&target).await;
        }
        Ok(())
    }
}

/// Takes the mount at `target` away, if there is one.
pub(super) async fn unmount(target: &Path) -> io::Result<()> {
    let target = target.to_owned();
    blocking(move || {
        while is_mounted(&target) {
            mount::detach(&target)?;
        }
        Ok(())
    })
    .await
}

/// Whether something is mounted at `path`: it lies on another device than its parent.
pub(super) fn is_mounted(path: &Path) -> bool {
    let device = |path: &Path| std::fs::symlink_metadata(path).map(|metadata| metadata.dev());
    let Some(parent) = path.parent() else {
        return false;
    };
    matches!((device(path), device(parent)), (Ok(inner), Ok(outer)) if inner != outer)
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(act)
        .await
        .map_err(io::Error::other)
        .flatten()
}
