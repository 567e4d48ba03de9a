//! Removal of what nothing needs any more, while pulls go on.
//!
//! Needed is what an image of the catalog names, what a container's snapshot stands on, and what is
//! pinned: a pull pins everything it is about to rely on before it looks whether it is there.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hythe_oci::{DiffId, Digest};

use super::layers::remove_tree;
use super::{ImageError, Inner};

/// Counts who relies on what before the catalog says so. `DiffId`s count as digests.
#[derive(Debug, Clone, Default)]
pub(super) struct Pins(Arc<Mutex<HashMap<Digest, usize>>>);

/// Keeps its digests from being collected.
#[derive(Debug)]
pub(super) struct Pinned {
    pins: Pins,
    digests: Vec<Digest>,
}

impl Pins {
    pub(super) fn pin(&self, digests: impl IntoIterator<Item = Digest>) -> Pinned {
        let digests: Vec<_> = digests.into_iter().collect();
        let mut counts = self.counts();
        for digest in &digests {
            *counts.entry(digest.clone()).or_default() += 1;
        }
        drop(counts);
        Pinned {
            pins: self.clone(),
            digests,
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let mut counts = self.pins.counts();
        for digest in &self.digests {
            if let Some(count) = counts.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(digest);
                }
            }
        }
    }
}

/// What a collection removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    pub layers: Vec<DiffId>,
    /// Of blobs and unpacked layers.
    pub reclaimed_bytes: u64,
}

impl Inner {
    /// Removes every blob and layer that nothing needs. Blocking.
    ///
    /// The lock on the pins is held while names are taken away, which is quick; whoever pins later
    /// finds them gone, whoever pinned before keeps them. Trees are deleted after that.
    pub(super) fn collect(&self) -> Result<Collected, ImageError> {
        let mut collected = Collected::default();
        let mut detached = Vec::new();
        {
            let pins = self.pins.counts();
            let catalog = self.catalog.current();
            let snapshots = self.snapshots.diff_ids();
            let blobs: HashSet<&Digest> = catalog.blobs().chain(pins.keys()).collect();
            for digest in self.content.digests()? {
                if !blobs.contains(&digest) {
                    collected.reclaimed_bytes += self.content.remove(&digest)?;
                }
            }
            let layers: HashSet<&Digest> = (catalog.diff_ids().chain(&snapshots))
                .map(|diff_id| &diff_id.0)
                .chain(pins.keys())
                .collect();
            for diff_id in self.layers.diff_ids()? {
                if !layers.contains(&diff_id.0) {
                    let record = self.layers.record(&diff_id)?;
                    detached.push(self.layers.detach(&diff_id)?);
                    collected.reclaimed_bytes += record.map_or(0, |record| record.size_bytes);
                    collected.layers.push(diff_id);
                }
            }
        }
        for path in detached {
            remove_tree(&path).map_err(super::layout::disk("remove", &path))?;
        }
        Ok(collected)
    }

    /// Clears what a crash left: half unpacked layers, half removed trees, old downloads.
    pub(super) fn clear_wrecks(&self) -> Result<(), ImageError> {
        for dir in [self.layout.unpacking(), self.layout.removing()] {
            for path in entries(&dir)? {
                remove_tree(&path).map_err(super::layout::disk("clear", &path))?;
            }
        }
        for path in entries(&self.layout.ingests())? {
            if is_old(&path) || !can_go_on(&path) {
                std::fs::remove_file(&path).map_err(super::layout::disk("clear", &path))?;
            }
        }
        Ok(())
    }
}

/// Whether it is a download, and not a document or a link on its way, which nobody goes on with.
fn can_go_on(ingest: &std::path::Path) -> bool {
    let name = ingest.file_name().and_then(|name| name.to_str());
    let digest = name.map(|name| name.replacen('-', ":", 1).parse::<Digest>());
    digest.is_some_and(|digest| digest.is_ok())
}

/// How long an interrupted download is worth going on from.
const MAX_INGEST_AGE: std::time::Duration = std::time::Duration::from_hours(24);

fn is_old(path: &std::path::Path) -> bool {
    let modified = path.metadata().and_then(|metadata| metadata.modified());
    let age = modified.ok().and_then(|modified| modified.elapsed().ok());
    age.is_none_or(|age| age > MAX_INGEST_AGE)
}

pub(super) fn entries(dir: &std::path::Path) -> Result<Vec<std::path::PathBuf>, ImageError> {
    let list = || -> std::io::Result<Vec<_>> {
        std::fs::read_dir(dir)?
            .map(|entry| Ok(entry?.path()))
            .collect()
    };
    list().map_err(super::layout::disk("list", dir))
}
