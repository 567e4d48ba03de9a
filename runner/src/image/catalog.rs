//! Which images this machine has and by which names: one record, replaced whole.
//!
//! A name is written last of all when an image arrives and goes first when it leaves, so that it
//! never names what is not there.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use hythe_oci::{DiffId, Digest, ImageId, ImageReference, ManifestDigest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ImageError;
use super::config::ImageConfig;
use super::content::ContentStore;
use super::layout::Layout;
use super::settle::boot_id;
use crate::store::{Records, Survives};

/// The record's key.
const CATALOG: &str = "catalog";

/// Everything that has a name, and what is kept for it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Catalog {
    pub(super) images: BTreeMap<ImageId, ImageRecord>,
    /// With a tag or with a digest, never both.
    pub(super) names: BTreeMap<ImageReference, NameRecord>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ImageRecord {
    /// Every manifest it was pulled by: the same content may be compressed in several ways.
    pub(super) manifests: BTreeMap<ManifestDigest, ManifestRecord>,
    /// Lowest first.
    pub(super) diff_ids: Vec<DiffId>,
    pub(super) tagged_at: Option<Timestamp>,
    /// How it was made here, step by step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) built: Option<Built>,
    /// The boot in which it arrived, until it is on the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unsettled_boot: Option<String>,
}

/// One step of a build, which the same step on the same image need not repeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// What it was made on; `None` is `scratch`.
    pub parent: Option<ImageId>,
    /// Everything that the step's result depends on besides.
    pub key: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ManifestRecord {
    pub(super) media_type: String,
    /// What it cannot do without, itself not included.
    pub(super) blobs: Vec<Digest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NameRecord {
    pub(super) image: ImageId,
    /// The image's manifest that a push under this name sends.
    pub(super) manifest: ManifestDigest,
}

impl Catalog {
    /// The names of an image, sorted.
    pub(super) fn names_of(&self, id: &ImageId) -> Vec<ImageReference> {
        let named = self.names.iter().filter(|(_, record)| record.image == *id);
        named.map(|(name, _)| name.clone()).collect()
    }

    /// What an image was made on here.
    pub(super) fn parent(&self, id: &ImageId) -> Option<&ImageId> {
        self.images.get(id)?.built.as_ref()?.parent.as_ref()
    }

    /// Whether some other image was made on it here.
    pub(super) fn has_children(&self, id: &ImageId) -> bool {
        self.parents().any(|parent| parent == id)
    }

    /// Every image that another one was made on here, once for each.
    pub(super) fn parents(&self) -> impl Iterator<Item = &ImageId> {
        self.images
            .values()
            .filter_map(|record| record.built.as_ref()?.parent.as_ref())
    }

    /// Blobs that images need, manifests included.
    pub(super) fn blobs(&self) -> impl Iterator<Item = &Digest> {
        let manifests = self.images.values().flat_map(|image| &image.manifests);
        manifests.flat_map(|(digest, record)| std::iter::once(&digest.0).chain(&record.blobs))
    }

    pub(super) fn diff_ids(&self) -> impl Iterator<Item = &DiffId> {
        self.images.values().flat_map(|image| &image.diff_ids)
    }
}

/// The catalog in memory and on disk.
#[derive(Debug)]
pub(super) struct CatalogStore {
    records: Records<Catalog>,
    current: RwLock<Arc<Catalog>>,
    /// Held over a change and its write, so that changes reach the disk in their order.
    writer: tokio::sync::Mutex<()>,
    configs: Mutex<HashMap<ImageId, Arc<ImageConfig>>>,
    content: ContentStore,
}

impl CatalogStore {
    /// Reads the catalog; images whose blobs are not all here are dropped with a warning.
    pub(super) async fn open(layout: &Layout, content: ContentStore) -> Result<Self, ImageError> {
        let (records, found) = Records::<Catalog>::open(&layout.catalog(), Survives::PowerLoss)?;
        let catalog = found.into_iter().find(|(key, _)| key == CATALOG);
        let catalog = catalog.map(|(_, catalog)| catalog).unwrap_or_default();
        let store = Self {
            records,
            current: RwLock::new(Arc::new(catalog)),
            writer: tokio::sync::Mutex::default(),
            configs: Mutex::default(),
            content,
        };
        store.drop_incomplete(layout).await?;
        Ok(store)
    }

    async fn drop_incomplete(&self, layout: &Layout) -> Result<(), ImageError> {
        let boot = boot_id()?;
        let mut incomplete = Vec::new();
        for (id, image) in &self.current().images {
            let mut diff_ids = image.diff_ids.iter();
            let has_layers = diff_ids.all(|diff_id| layout.layer(diff_id).exists());
            let arrived = image.unsettled_boot.as_ref();
            let is_settled = arrived.is_none_or(|arrived| *arrived == boot);
            if !has_layers || !is_settled || self.config(id).is_err() {
                tracing::warn!(image = %id, "an image is not whole any more and is forgotten");
                incomplete.push(id.clone());
            }
        }
        if incomplete.is_empty() {
            return Ok(());
        }
        self.update(|catalog| {
            catalog.images.retain(|id, _| !incomplete.contains(id));
            catalog
                .names
                .retain(|_, name| !incomplete.contains(&name.image));
            Ok(())
        })
        .await
    }

    pub(super) fn current(&self) -> Arc<Catalog> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the catalog; readers see the change when it is on disk. An error changes nothing.
    pub(super) async fn update<R>(
        &self,
        change: impl FnOnce(&mut Catalog) -> Result<R, ImageError>,
    ) -> Result<R, ImageError> {
        let _turn = self.writer.lock().await;
        let mut next = Catalog::clone(&self.current());
        let result = change(&mut next)?;
        self.records.put(CATALOG, &next).await?;
        self.configs().retain(|id, _| next.images.contains_key(id));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(result)
    }

    /// What an image says of itself, read once.
    pub(super) fn config(&self, id: &ImageId) -> Result<Arc<ImageConfig>, ImageError> {
        if let Some(config) = self.configs().get(id) {
            return Ok(Arc::clone(config));
        }
        let bytes = self.content.read_document(&id.0)?;
        let config = ImageConfig::parse(&bytes).map_err(|error| ImageError::BadImage {
            reference: id.to_string(),
            reason: format!("its configuration cannot be read: {error}"),
        })?;
        let config = Arc::new(config);
        self.configs().insert(id.clone(), Arc::clone(&config));
        Ok(config)
    }

    fn configs(&self) -> MutexGuard<'_, HashMap<ImageId, Arc<ImageConfig>>> {
        self.configs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
