//! Looking at images: which there are, what a text means, how one was built.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use hythe_oci::{DiffId, Digest, ImageId, ImageReference, ManifestDigest};
use jiff::Timestamp;

use super::catalog::{Catalog, ImageRecord};
use super::config::ImageConfig;
use super::{ImageError, ImageStore};

/// One image as this machine has it.
#[derive(Debug, Clone)]
pub struct Image {
    pub id: ImageId,
    /// The manifests it was pulled by, sorted.
    pub manifests: Vec<ManifestDigest>,
    /// Names with a tag, sorted; empty for a dangling image.
    pub tags: Vec<ImageReference>,
    /// Names with a digest, sorted.
    pub digests: Vec<ImageReference>,
    /// Of all layers, unpacked.
    pub size_bytes: u64,
    /// Lowest first.
    pub diff_ids: Vec<DiffId>,
    pub config: Arc<ImageConfig>,
    /// When a name was last given to it here.
    pub tagged_at: Option<Timestamp>,
    /// What it was made on here.
    pub parent: Option<ImageId>,
    /// Other images were made on it here.
    pub has_children: bool,
}

/// A manifest that an image was pulled by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledManifest {
    pub digest: ManifestDigest,
    pub media_type: String,
    /// Of the manifest itself.
    pub size_bytes: u64,
    /// Of the manifest and all that it names, packed, as far as it is here.
    pub content_bytes: u64,
}

/// One step of an image's build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Only the newest entry is an image by itself.
    pub id: Option<ImageId>,
    pub created: Option<Timestamp>,
    pub created_by: String,
    pub comment: String,
    pub size_bytes: u64,
    pub tags: Vec<ImageReference>,
}

impl Image {
    /// Nobody asked for it by itself: it has no name, and is not only a step to another one.
    pub fn is_dangling(&self) -> bool {
        self.tags.is_empty() && !self.has_children
    }
}

impl ImageStore {
    /// All images, newest first.
    pub fn list(&self) -> Result<Vec<Image>, ImageError> {
        let catalog = self.0.catalog.current();
        let parents: HashSet<&ImageId> = catalog.parents().collect();
        let images = catalog.images.iter();
        let mut images: Vec<_> = images
            .map(|(id, record)| self.image(&catalog, (id, record), parents.contains(id)))
            .collect::<Result<_, _>>()?;
        images.sort_by(|a, b| (b.config.created, &b.id).cmp(&(a.config.created, &a.id)));
        Ok(images)
    }

    /// By exact id.
    pub fn get(&self, id: &ImageId) -> Result<Image, ImageError> {
        let catalog = self.0.catalog.current();
        match catalog.images.get(id) {
            Some(record) => self.image(&catalog, (id, record), catalog.has_children(id)),
            None => Err(ImageError::NotFound(id.to_string())),
        }
    }

    /// By name (`nginx`, `host/x:tag`, `x@sha256:…`), id, or the beginning of an id, as docker
    /// decides between them.
    pub fn resolve(&self, text: &str) -> Result<Image, ImageError> {
        self.get(&self.resolve_id(text)?)
    }

    /// What a text that people type means as a reference, `latest` where it says neither tag nor
    /// digest.
    pub fn parse_reference(&self, text: &str) -> Result<ImageReference, ImageError> {
        ImageReference::parse(text, &self.0.options.default_registry)
            .map(ImageReference::with_default_tag)
            .map_err(|error| ImageError::InvalidReference(error.to_string()))
    }

    /// The manifests that an image was pulled by, sorted.
    pub fn manifests(&self, id: &ImageId) -> Result<Vec<PulledManifest>, ImageError> {
        let catalog = self.0.catalog.current();
        let record = catalog.images.get(id);
        let record = record.ok_or_else(|| ImageError::NotFound(id.to_string()))?;
        let size_bytes = |digest| Ok(self.0.content.size_bytes(digest)?.unwrap_or(0));
        let manifests = record.manifests.iter().map(|(digest, manifest)| {
            let own = size_bytes(&digest.0)?;
            let named = manifest.blobs.iter().map(size_bytes);
            Ok(PulledManifest {
                digest: digest.clone(),
                media_type: manifest.media_type.clone(),
                size_bytes: own,
                content_bytes: own + named.sum::<Result<u64, ImageError>>()?,
            })
        });
        manifests.collect()
    }

    /// The image's build steps, newest first.
    pub fn history(&self, id: &ImageId) -> Result<Vec<HistoryEntry>, ImageError> {
        let image = self.get(id)?;
        // From the newest: what a history leaves out is the beginning, as with a base that was
        // imported without one.
        let mut diff_ids = image.diff_ids.iter().rev();
        let mut entries = Vec::new();
        for step in image.config.history.iter().rev() {
            let layer = if step.is_empty_layer {
                None
            } else {
                diff_ids.next()
            };
            entries.push(HistoryEntry {
                created: step.created,
                created_by: step.created_by.clone(),
                comment: step.comment.clone(),
                size_bytes: layer.map_or(Ok(0), |layer| self.layer_size_bytes(layer))?,
                ..HistoryEntry::default()
            });
        }
        for layer in diff_ids {
            entries.push(HistoryEntry {
                created: image.config.created,
                size_bytes: self.layer_size_bytes(layer)?,
                ..HistoryEntry::default()
            });
        }
        if let Some(newest) = entries.first_mut() {
            newest.id = Some(image.id);
            newest.tags = image.tags;
        }
        Ok(entries)
    }

    /// Unpacked layers of an image, topmost first, as overlayfs counts; never empty.
    pub fn rootfs_layers(&self, id: &ImageId) -> Result<Vec<PathBuf>, ImageError> {
        Ok(self.0.lower(&self.get(id)?.diff_ids))
    }

    /// Unpacked size of one layer.
    pub fn layer_size_bytes(&self, diff_id: &DiffId) -> Result<u64, ImageError> {
        let record = self.0.layers.record(diff_id)?;
        Ok(record.map_or(0, |record| record.size_bytes))
    }

    /// Unpacked bytes of all layers here, each counted once.
    pub fn layers_size_bytes(&self) -> Result<u64, ImageError> {
        let diff_ids = self.0.layers.diff_ids()?;
        diff_ids
            .iter()
            .map(|diff_id| self.layer_size_bytes(diff_id))
            .sum()
    }

    pub(super) fn resolve_id(&self, text: &str) -> Result<ImageId, ImageError> {
        let catalog = self.0.catalog.current();
        let not_found = || ImageError::NotFound(text.to_owned());
        if let Some(id) = exact_id(text) {
            return if catalog.images.contains_key(&id) {
                Ok(id)
            } else {
                Err(not_found())
            };
        }
        let reference = self.parse_reference(text);
        if let Ok(reference) = &reference
            && let Some(name) = catalog.names.get(&plain(reference))
        {
            return Ok(name.image.clone());
        }
        match by_prefix(&catalog, text) {
            Prefix::One(id) => Ok(id.clone()),
            Prefix::Many => Err(ImageError::Ambiguous(text.to_owned())),
            Prefix::None => Err(reference.err().unwrap_or_else(not_found)),
        }
    }

    fn image(
        &self,
        catalog: &Catalog,
        (id, record): (&ImageId, &ImageRecord),
        has_children: bool,
    ) -> Result<Image, ImageError> {
        let names = catalog.names_of(id);
        let (digests, tags) = names.into_iter().partition(|name| name.digest.is_some());
        let sizes = record
            .diff_ids
            .iter()
            .map(|diff_id| self.layer_size_bytes(diff_id));
        Ok(Image {
            id: id.clone(),
            manifests: record.manifests.keys().cloned().collect(),
            tags,
            digests,
            size_bytes: sizes.sum::<Result<_, _>>()?,
            diff_ids: record.diff_ids.clone(),
            config: self.0.catalog.config(id)?,
            tagged_at: record.tagged_at,
            parent: catalog.parent(id).cloned(),
            has_children,
        })
    }
}

/// The name under which the catalog has it: a digest says more than a tag beside it.
pub(super) fn plain(reference: &ImageReference) -> ImageReference {
    let tag = match reference.digest {
        Some(_) => None,
        None => reference.tag.clone(),
    };
    ImageReference {
        tag,
        ..reference.clone()
    }
}

/// `sha256:` and 64 digits, or the digits alone.
fn exact_id(text: &str) -> Option<ImageId> {
    let digest = text.parse::<Digest>().ok();
    digest
        .or_else(|| format!("sha256:{text}").parse().ok())
        .map(ImageId)
}

/// Whether a text that is no name means an id, or the beginning of one.
pub(super) fn is_id_or_prefix(id: &ImageId, text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    !hex.is_empty() && id.0.hex().starts_with(hex)
}

enum Prefix<'a> {
    None,
    One(&'a ImageId),
    Many,
}

fn by_prefix<'a>(catalog: &'a Catalog, text: &str) -> Prefix<'a> {
    let mut matching = catalog.images.keys().filter(|id| is_id_or_prefix(id, text));
    match (matching.next(), matching.next()) {
        (None, _) => Prefix::None,
        (Some(id), None) => Prefix::One(id),
        (Some(_), Some(_)) => Prefix::Many,
    }
}
