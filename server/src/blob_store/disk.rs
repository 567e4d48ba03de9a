//! Writes segments to the local disk: staging file, fsync, rename, fsync of the
//! folder.
//!
//! One that comes in a single batch, as most configs and many layers do, is
//! written under its own name at once: nothing used that name before and no row
//! says it yet, so nobody looks there, and the second fsync finds its work done
//! by the first. What a crash leaves of it the collector removes, as it does
//! with every object that no row names.
//!
//! Not through `object_store`'s own writer, for two reasons: that one stages
//! beside the final name, so that what a crash leaves could only be found by
//! walking the whole store, and all of it goes through the page cache. Reading,
//! listing and deleting do go through it.
//!
//! No thread is held between batches: a thousand slow uploads cost a thousand
//! open files, not a thousand threads.

use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::staged::Staged;
use super::{StoreError, key};
use crate::lane::Lane;

/// One segment on its way to the disk.
#[derive(Debug)]
pub(super) struct DiskWriter {
    root: Arc<Path>,
    staging: PathBuf,
    target: PathBuf,
    /// The first batch, for as long as it is the only one.
    first: Option<Vec<Bytes>>,
    /// What the staging file is written in, when there is more.
    lane: Option<Lane<Option<Staged>>>,
    /// Whether the staging file is no longer this writer's to remove.
    published: bool,
}

impl DiskWriter {
    pub(super) fn new(root: Arc<Path>, key: &str) -> Self {
        let name = key.rsplit('/').next().unwrap_or(key);
        Self {
            staging: root.join(key::STAGING).join(name),
            target: root.join(key),
            root,
            first: None,
            lane: None,
            published: false,
        }
    }

    pub(super) async fn write(&mut self, mut batch: Vec<Bytes>) -> Result<(), StoreError> {
        if let Some(first) = self.first.take() {
            drop(batch.splice(..0, first));
        } else if self.lane.is_none() {
            self.first = Some(batch);
            return Ok(());
        }
        let staging = self.staging.clone();
        let lane = self.lane.get_or_insert_with(|| Lane::new(None));
        let written = lane.push(move |file: &mut Option<Staged>| {
            let file = match file {
                Some(file) => file,
                None => file.insert(Staged::create(&staging)?),
            };
            file.write(&batch)
        });
        written
            .await
            .map_err(|error| StoreError::disk("writing a segment", error))
    }

    pub(super) async fn finish(mut self) -> Result<(), StoreError> {
        let staged = match &mut self.lane {
            Some(lane) => lane.finish().await,
            None => Ok(None),
        };
        let staged = staged.map_err(|error| StoreError::disk("writing a segment", error))?;
        let (staging, target) = (self.staging.clone(), self.target.clone());
        let first = self.first.take().unwrap_or_default();
        let published = spawn_blocking(move || match staged {
            Some(file) => publish(file, &staging, &target),
            None => write_small(&first, &target),
        });
        published
            .await
            .unwrap_or_else(|error| Err(error.into()))
            .map_err(|error| StoreError::disk("publishing a segment", error))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for DiskWriter {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        let lane = self.lane.take();
        let staging = std::mem::take(&mut self.staging);
        let _root = Arc::clone(&self.root);
        tokio::spawn(async move {
            // The file must not be created after it was removed.
            if let Some(mut lane) = lane {
                drop(lane.finish().await);
            }
            match tokio::fs::remove_file(&staging).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %staging.display(), %error, "a staging file is left behind");
                }
                _ => {}
            }
        });
    }
}

fn write_all(file: &mut File, batch: &[Bytes]) -> io::Result<()> {
    for bytes in batch {
        file.write_all(bytes)?;
    }
    Ok(())
}

/// From here on the segment exists under its key, whatever happens.
fn publish(file: Staged, staging: &Path, target: &Path) -> io::Result<()> {
    file.sync()?;
    std::fs::rename(staging, target)?;
    sync_folder_of(target)
}

/// Writes a whole segment under its own name.
fn write_small(batch: &[Bytes], target: &Path) -> io::Result<()> {
    let mut file = File::create_new(target)?;
    let written = write_all(&mut file, batch)
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_folder_of(target));
    if written.is_err() {
        // A full disk needs the space back now, not when the collector comes.
        drop(std::fs::remove_file(target));
    }
    written
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Makes the folders that segments are written to.
pub(super) fn prepare(root: &Path) -> io::Result<()> {
    std::fs::create_dir_all(root.join(key::STAGING))?;
    for folder in key::fan_out() {
        std::fs::create_dir_all(root.join(folder))?;
    }
    File::open(root.join(key::BLOBS))?.sync_all()?;
    File::open(root)?.sync_all()
}

/// Fails when the folders are gone, as when a disk was unmounted.
pub(super) async fn probe(root: &Path) -> Result<(), StoreError> {
    let staging = root.join(key::STAGING);
    let probed = tokio::fs::metadata(&staging).await;
    probed
        .map(drop)
        .map_err(|error| StoreError::disk("looking for the store's folders", error))
}

/// Removes what a crash left half-written, once no other process can be writing
/// it. The lock is the kernel's and goes with the process, however that ends.
pub(super) fn take_over(root: &Path) -> Result<File, StoreError> {
    let failed = |error| StoreError::disk("taking the store over", error);
    let lock = File::create(root.join(key::LOCK)).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::InUse {
                root: root.to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    for entry in std::fs::read_dir(root.join(key::STAGING)).map_err(failed)? {
        std::fs::remove_file(entry.map_err(failed)?.path()).map_err(failed)?;
    }
    Ok(lock)
}
