//! Power loss: what the catalog names must be on the device, yet a pull should not wait for it.
//!
//! A pulled image is named at once, marked with the boot in which it arrived, and written to the
//! device behind the pull's back; then the mark goes. After a kill the page cache still has
//! everything, so the mark means nothing. After a power loss (another boot) marked images are
//! forgotten, to be pulled again. What cannot be fetched again waits: a container's snapshot is not
//! made, and a loaded or committed image not acknowledged, before the device has it.

use std::collections::BTreeSet;
use std::sync::Arc;

use hythe_oci::ImageId;

use super::catalog::Catalog;
use super::layout::disk;
use super::{ImageError, Inner};
use crate::sys::dir::Directory;

/// Names this boot of the machine (random(4)).
pub(super) fn boot_id() -> Result<String, ImageError> {
    let path = std::path::Path::new("/proc/sys/kernel/random/boot_id");
    let text = std::fs::read_to_string(path).map_err(disk("read", path))?;
    Ok(text.trim().to_owned())
}

fn unsettled(catalog: &Catalog) -> BTreeSet<ImageId> {
    let marked = catalog
        .images
        .iter()
        .filter(|(_, image)| image.unsettled_boot.is_some());
    marked.map(|(id, _)| id.clone()).collect()
}

impl Inner {
    /// Whether a power loss may still take the image.
    pub(super) fn is_unsettled(&self, id: &ImageId) -> bool {
        let catalog = self.catalog.current();
        let image = catalog.images.get(id);
        image.is_some_and(|image| image.unsettled_boot.is_some())
    }

    /// Writes everything to the device and takes the marks away. Returns at once when there are
    /// none.
    pub(super) async fn settle(&self) -> Result<(), ImageError> {
        // One writes for all who wait.
        let _turn = self.settling.lock().await;
        let marked = unsettled(&self.catalog.current());
        if marked.is_empty() {
            return Ok(());
        }
        let root = self.options.root.clone();
        tokio::task::spawn_blocking(move || {
            let directory = Directory::open(&root);
            let synced = directory.and_then(|directory| directory.sync_file_system());
            synced.map_err(disk("write to the device", &root))
        })
        .await
        .map_err(|_| ImageError::Cancelled)??;
        let change = |catalog: &mut Catalog| {
            for (id, image) in &mut catalog.images {
                if marked.contains(id) {
                    image.unsettled_boot = None;
                }
            }
            Ok(())
        };
        self.catalog.update(change).await
    }

    /// Settles without anybody waiting for it.
    pub(super) fn settle_later(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = inner.settle().await {
                tracing::warn!(%error, "pulled images are not safe from a power loss yet");
            }
        });
    }
}
