//! Images on this machine: what was pulled, how it is unpacked, what containers stand on.
//!
//! | file | what it does |
//! | --- | --- |
//! | `layout` | the whole storage layout as one tree |
//! | `content` | blobs by digest, verified before they are visible |
//! | `fetch` | one download per blob, shared by concurrent pulls, resumed, retried |
//! | `unpack` | a layer's tar becomes a directory of an overlay |
//! | `layers` | unpacked layers, each kept once |
//! | `catalog` | which names and images exist |
//! | `pull`, `push` | between a registry and this machine |
//! | `snapshots` | the writable directories of containers |
//!
//! `engine` calls `ImageStore`; below are `sys` and `hythe_oci`. Nothing here starts processes,
//! mounts anything or knows the Docker API. A layer is never visible under its final name before
//! its digest and its `DiffId` were checked.

use std::path::PathBuf;

use hythe_oci::{DiffId, Digest, ImageId, ImageReference, ManifestDigest, Platform};
use jiff::Timestamp;
use oci_spec::image::ImageConfiguration;

use crate::spec::ContainerId;

mod error;
mod progress;
pub mod unpack;

pub use error::{ImageError, LayerError};
pub use progress::{LayerProgress, Progress, ProgressSender};

/// Where images are kept and how hard the machine is worked for them.
#[derive(Debug, Clone)]
pub struct ImageOptions {
    /// The directory of this floor; created when missing, mode 0700.
    pub root: PathBuf,
    /// Layers downloaded at the same time, over all pulls.
    pub concurrent_downloads: usize,
    /// Blobs uploaded at the same time, per push.
    pub concurrent_uploads: usize,
    /// What one layer may unpack to.
    pub limits: unpack::Limits,
    /// The registry that a name without a host means.
    pub default_registry: String,
}

/// What to pull.
#[derive(Debug, Clone)]
pub struct PullRequest {
    pub reference: ImageReference,
    /// `None` means this machine's.
    pub platform: Option<Platform>,
}

/// A finished pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    pub id: ImageId,
    /// What the reference names at the registry: an index or a manifest.
    pub digest: ManifestDigest,
    /// The name meant this very image before.
    pub up_to_date: bool,
}

/// A finished push of one tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    pub tag: String,
    pub digest: ManifestDigest,
    /// Of the manifest.
    pub size_bytes: u64,
}

/// One image as this machine has it.
#[derive(Debug, Clone)]
pub struct Image {
    pub id: ImageId,
    /// The manifest whose blobs are kept.
    pub manifest: ManifestDigest,
    /// `host/repository:tag`, sorted; empty for a dangling image.
    pub tags: Vec<ImageReference>,
    /// `host/repository@digest`, sorted.
    pub digests: Vec<ImageReference>,
    /// All layers unpacked.
    pub size_bytes: u64,
    pub diff_ids: Vec<DiffId>,
    pub configuration: std::sync::Arc<ImageConfiguration>,
    /// When a name was last given to it here.
    pub tagged_at: Option<Timestamp>,
}

/// One line of `docker history`, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Only the newest entry is an image by itself.
    pub id: Option<ImageId>,
    pub created: Option<Timestamp>,
    pub created_by: String,
    pub comment: String,
    pub size_bytes: u64,
    pub tags: Vec<ImageReference>,
}

/// What `remove` did, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// The name, in docker's familiar form.
    Untagged(String),
    Deleted(Digest),
}

/// How `remove` may go.
#[derive(Debug, Clone, Default)]
pub struct RemoveRequest {
    /// A name, a digest reference, an id or the beginning of one.
    pub target: String,
    pub force: bool,
    /// Containers that stand on images: image, container, whether it runs.
    pub in_use: Vec<(ImageId, ContainerId, bool)>,
}

/// The directories that a container's overlay is mounted from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Topmost first, as overlayfs counts.
    pub lower: Vec<PathBuf>,
    pub upper: PathBuf,
    pub work: PathBuf,
}

/// Images, layers and snapshots of one agent. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ImageStore {
    options: std::sync::Arc<ImageOptions>,
}

impl ImageStore {
    /// Opens the store and clears away what a crash left.
    pub async fn open(options: ImageOptions) -> Result<Self, ImageError> {
        todo!("{options:?}")
    }

    /// Pulls one image. Dropping the future cancels it; what arrived is kept for the next try.
    pub async fn pull(
        &self,
        request: PullRequest,
        progress: ProgressSender,
    ) -> Result<Pulled, ImageError> {
        todo!("{request:?} {progress:?}")
    }

    /// Pushes what `reference` names here, its manifest byte for byte as it was pulled.
    pub async fn push(
        &self,
        reference: &ImageReference,
        progress: ProgressSender,
    ) -> Result<Pushed, ImageError> {
        todo!("{reference} {progress:?}")
    }

    /// All images, newest first.
    pub fn list(&self) -> Vec<Image> {
        todo!()
    }

    /// By name (`nginx`, `host/x:tag`), `name@digest`, id or the beginning of one.
    pub fn resolve(&self, text: &str) -> Result<Image, ImageError> {
        todo!("{text}")
    }

    /// By exact id.
    pub fn get(&self, id: &ImageId) -> Result<Image, ImageError> {
        todo!("{id}")
    }

    /// Gives `reference` to the image; another image loses it.
    pub async fn tag(&self, id: &ImageId, reference: &ImageReference) -> Result<(), ImageError> {
        todo!("{id} {reference}")
    }

    /// `docker rmi`: takes the name away; with the last name the image goes, and every layer and
    /// blob that nothing else uses.
    pub async fn remove(&self, request: RemoveRequest) -> Result<Vec<Removed>, ImageError> {
        todo!("{request:?}")
    }

    /// The image's build steps, newest first.
    pub fn history(&self, id: &ImageId) -> Result<Vec<HistoryEntry>, ImageError> {
        todo!("{id}")
    }

    /// Unpacked layers of an image, topmost first.
    pub fn rootfs_layers(&self, id: &ImageId) -> Result<Vec<PathBuf>, ImageError> {
        todo!("{id}")
    }

    /// Makes the writable directories of a new container; its layers stay while it exists.
    pub async fn create_snapshot(
        &self,
        container: &ContainerId,
        image: &ImageId,
    ) -> Result<Snapshot, ImageError> {
        todo!("{container} {image}")
    }

    /// The directories of an existing container.
    pub fn snapshot(&self, container: &ContainerId) -> Result<Snapshot, ImageError> {
        todo!("{container}")
    }

    /// Removes a container's writable directories. Removing what is gone is no error.
    pub async fn remove_snapshot(&self, container: &ContainerId) -> Result<(), ImageError> {
        todo!("{container}")
    }
}
