//! Images on this machine: what was pulled, how it is unpacked, what containers stand on.
//!
//! | file | what it does |
//! | --- | --- |
//! | `layout` | the whole storage layout as one tree |
//! | `content` | blobs by digest, verified before they are visible |
//! | `unpack` | a layer's tar becomes a directory of an overlay |
//! | `layers` | unpacked layers, each kept once |
//! | `catalog` | which names and images exist; `config` reads what an image says of itself |
//! | `jobs` | one layer downloaded and unpacked, shared by concurrent pulls |
//! | `pull`, `push` | between a registry and this machine |
//! | `neighbour` | a registry in the same process, whose files are linked |
//! | `view`, `remove` | looking at images, naming them, removing them |
//! | `snapshots` | the writable directories of containers |
//! | `save`, `load` | archives of docker and OCI layouts |
//! | `commit`, `compose` | new images out of containers and tars; `pack` makes a tree a tar |
//! | `gc` | removal of what nothing needs any more |
//! | `settle` | what a power loss may take and what not |
//!
//! `engine` calls `ImageStore`; below are `store`, `sys` and `hythe_oci`. Nothing here starts
//! processes, mounts anything or knows the Docker API.
//!
//! Invariants: a blob is never visible before its digest was checked, a layer never before its
//! `DiffId` was; a name in the catalog never names what is not there.

mod catalog;
mod commit;
mod compose;
mod config;
mod content;
mod error;
mod gc;
mod jobs;
mod layers;
mod layout;
mod load;
mod neighbour;
pub mod pack;
mod progress;
mod pull;
mod push;
mod remove;
mod save;
mod settle;
mod snapshots;
#[cfg(test)]
mod tests;
pub mod unpack;
mod view;

use std::path::PathBuf;
use std::sync::Arc;

use hythe_oci::client::Client;

use catalog::CatalogStore;
use content::ContentStore;
use gc::Pins;
use jobs::LayerJobs;
use layers::LayerStore;
use layout::Layout;
use snapshots::Snapshots;

pub use catalog::Built;
pub use commit::{Described, ImportRequest};
pub use config::{BuildStep, ImageConfig};
pub use error::{ImageError, LayerError};
pub use gc::Collected;
pub use load::Loaded;
pub use neighbour::{FindFile, Neighbour};
pub use progress::{LayerProgress, Progress, ProgressSender};
pub use pull::{PullRequest, Pulled};
pub use push::Pushed;
pub use remove::{RemoveRequest, Removed, Use};
pub use snapshots::Snapshot;
pub use view::{HistoryEntry, Image};

/// Where images are kept and how hard the machine is worked for them.
#[derive(Debug, Clone)]
pub struct ImageOptions {
    /// The directory of this floor; created when missing, mode 0700.
    pub root: PathBuf,
    /// Records of snapshots that end with the machine, in a directory that does so too.
    pub passing: PathBuf,
    /// Layers downloaded at the same time, over all pulls.
    pub concurrent_downloads: usize,
    /// Blobs uploaded at the same time, per push.
    pub concurrent_uploads: usize,
    /// What one layer may unpack to.
    pub limits: unpack::Limits,
    /// The registry that a name without a host means.
    pub default_registry: String,
    /// A registry in this process.
    pub neighbour: Option<Neighbour>,
}

/// Images, layers and snapshots of one agent. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ImageStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: ImageOptions,
    client: Client,
    layout: Layout,
    content: ContentStore,
    layers: LayerStore,
    catalog: CatalogStore,
    snapshots: Snapshots,
    pins: Pins,
    jobs: LayerJobs,
    settling: tokio::sync::Mutex<()>,
}

impl ImageStore {
    /// Opens the store, clears away what a crash left, and removes what nothing needs.
    pub async fn open(options: ImageOptions, client: Client) -> Result<Self, ImageError> {
        let layout = Layout::create(&options.root)?;
        let content = ContentStore::new(layout.clone());
        let inner = Inner {
            catalog: CatalogStore::open(&layout, content.clone()).await?,
            snapshots: Snapshots::open(&layout, &options.passing)?,
            layers: LayerStore::new(layout.clone(), options.limits),
            pins: Pins::default(),
            jobs: LayerJobs::new(options.concurrent_downloads),
            settling: tokio::sync::Mutex::default(),
            options,
            client,
            layout,
            content,
        };
        let store = Self(Arc::new(inner));
        let clear = |inner: &Inner| {
            inner.clear_wrecks()?;
            inner.collect()
        };
        store.blocking(clear).await?;
        // Whoever was killed before this was done.
        store.0.settle_later();
        Ok(store)
    }

    /// Runs work that waits for the disk where that hurts nobody.
    async fn blocking<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<R, ImageError> + Send + 'static,
    ) -> Result<R, ImageError> {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(|_| ImageError::Cancelled)?
    }
}
