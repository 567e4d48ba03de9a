//! The writable directories of containers, and the layers they stand on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hythe_oci::{DiffId, ImageId};
use serde::{Deserialize, Serialize};

use super::gc::entries;
use super::layers::{make_root, remove_tree};
use super::layout::{Layout, disk};
use super::{ImageError, ImageStore, Inner};
use crate::spec::ContainerId;
use crate::store::{SplitRecords, Survives};

/// The directories that a container's overlay is mounted from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub image: ImageId,
    /// Topmost first, as overlayfs counts; never empty.
    pub lower: Vec<PathBuf>,
    pub upper: PathBuf,
    pub work: PathBuf,
}

/// What a container stands on; outlives the image's name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SnapshotRecord {
    image: ImageId,
    /// Lowest first.
    diff_ids: Vec<DiffId>,
}

/// A snapshot with what its record survives.
type Known = (SnapshotRecord, Survives);

#[derive(Debug)]
pub(super) struct Snapshots {
    records: SplitRecords<SnapshotRecord>,
    known: Mutex<BTreeMap<ContainerId, Known>>,
}

impl Snapshots {
    /// Reads the records; directories without one are the wreck of a creation and go.
    pub(super) fn open(layout: &Layout, passing: &Path) -> Result<Self, ImageError> {
        let (records, found) = SplitRecords::open(&layout.snapshot_records(), passing)?;
        let known: BTreeMap<ContainerId, Known> = found
            .into_iter()
            .filter_map(|(key, record, survives)| Some((key.parse().ok()?, (record, survives))))
            .collect();
        for path in entries(&layout.snapshots())? {
            let name = path.file_name().and_then(|name| name.to_str());
            let id = name.and_then(|name| name.parse().ok());
            if !id.is_some_and(|id| known.contains_key(&id)) {
                remove_tree(&path).map_err(disk("clear", &path))?;
            }
        }
        Ok(Self {
            records,
            known: Mutex::new(known),
        })
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<ContainerId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Layers that some container stands on.
    pub(super) fn diff_ids(&self) -> BTreeSet<DiffId> {
        let known = self.known();
        known
            .values()
            .flat_map(|(record, _)| record.diff_ids.iter().cloned())
            .collect()
    }
}

impl Inner {
    /// Lower directories for an overlay of these layers (lowest first), topmost first.
    pub(super) fn lower(&self, diff_ids: &[DiffId]) -> Vec<PathBuf> {
        if diff_ids.is_empty() {
            return vec![self.layout.empty()];
        }
        let topmost_first = diff_ids.iter().rev();
        topmost_first
            .map(|diff_id| self.layers.diff_dir(diff_id))
            .collect()
    }

    fn snapshot_of(&self, container: &ContainerId, record: &SnapshotRecord) -> Snapshot {
        let dir = self.layout.snapshot(container);
        Snapshot {
            image: record.image.clone(),
            lower: self.lower(&record.diff_ids),
            upper: dir.join(UPPER),
            work: dir.join(WORK),
        }
    }
}

const UPPER: &str = "upper";
const WORK: &str = "work";

impl ImageStore {
    /// Makes the writable directories of a new container; its layers stay while it exists, also
    /// when the image goes. `survives` is what the container does.
    pub async fn create_snapshot(
        &self,
        container: &ContainerId,
        image: &ImageId,
        survives: Survives,
    ) -> Result<Snapshot, ImageError> {
        let image = self.get(image)?;
        // What outlives a power loss must stand on what does.
        if survives == Survives::PowerLoss && self.0.is_unsettled(&image.id) {
            self.0.settle().await?;
        }
        let record = SnapshotRecord {
            image: image.id,
            diff_ids: image.diff_ids,
        };
        // Pinned until the record speaks for them, and then looked at: a removal may have been
        // quicker.
        let layers = record.diff_ids.iter().map(|diff_id| diff_id.0.clone());
        let _pinned = self.0.pins.pin(layers);
        if !record
            .diff_ids
            .iter()
            .all(|diff_id| self.0.layers.contains(diff_id))
        {
            return Err(ImageError::NotFound(record.image.to_string()));
        }
        let dir = self.0.layout.snapshot(container);
        self.blocking(move |_| {
            make_root(&dir, &dir.join(UPPER))
                .and_then(|()| std::fs::create_dir(dir.join(WORK)))
                .map_err(disk("create", &dir))
        })
        .await?;
        let snapshots = &self.0.snapshots;
        let known = (record.clone(), survives);
        snapshots.known().insert(container.clone(), known);
        let records = snapshots.records.that(survives);
        let kept = records.put(container.as_str(), &record);
        if let Err(error) = kept.await {
            self.remove_snapshot(container).await?;
            return Err(error.into());
        }
        Ok(self.0.snapshot_of(container, &record))
    }

    /// The directories of an existing container.
    pub fn snapshot(&self, container: &ContainerId) -> Result<Snapshot, ImageError> {
        match self.0.snapshots.known().get(container) {
            Some((record, _)) => Ok(self.0.snapshot_of(container, record)),
            None => Err(ImageError::NoSnapshot(container.clone())),
        }
    }

    /// Containers that have a snapshot, sorted: what is left of one that nobody knows can go.
    pub fn snapshots(&self) -> Vec<ContainerId> {
        self.0.snapshots.known().keys().cloned().collect()
    }

    /// Removes a container's writable directories, and the layers that only it needed. Removing
    /// what is gone is no error.
    pub async fn remove_snapshot(&self, container: &ContainerId) -> Result<(), ImageError> {
        // Directories first: a crash in between leaves a record that the next call finishes.
        let dir = self.0.layout.snapshot(container);
        self.blocking(move |inner| {
            let removing = inner.layout.new_removing();
            match std::fs::rename(&dir, &removing) {
                Ok(()) => remove_tree(&removing).map_err(disk("remove", &removing)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(disk("remove", &dir)(error)),
            }
        })
        .await?;
        let snapshots = &self.0.snapshots;
        let Some((record, survives)) = snapshots.known().get(container).cloned() else {
            return Ok(());
        };
        // One that a power loss brings back belongs to no container, and goes at the next start.
        let records = snapshots.records.that(survives);
        records.remove_unsynced(container.as_str()).await?;
        snapshots.known().remove(container);
        // Only a container that outlived its image leaves layers behind.
        if !self.0.catalog.current().images.contains_key(&record.image) {
            self.blocking(Inner::collect).await?;
        }
        Ok(())
    }
}
