//! From this machine to a registry: blobs it lacks, then the manifest, byte for byte as it came.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{self, TryStreamExt as _};
use hythe_oci::client::{BlobContent, Credentials, RemoteRepository};
use hythe_oci::{Descriptor, ImageReference, Manifest, ManifestDigest, Reference, RepositoryName};
use tokio_util::io::ReaderStream;

use super::catalog::Catalog;
use super::pull::registry_error;
use super::{ImageError, ImageStore, Inner, LayerError, LayerProgress, Progress, ProgressSender};

/// Read size of uploads.
const READ_BYTES: usize = 256 << 10;

/// A finished push of one tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    pub tag: String,
    pub digest: ManifestDigest,
    /// Of the manifest.
    pub size_bytes: u64,
}

/// One push: where to, and from where the registry may take blobs without being sent them.
struct Push {
    repository: RemoteRepository,
    mount_from: Vec<RepositoryName>,
    progress: ProgressSender,
}

impl ImageStore {
    /// Pushes what `reference` names here.
    pub async fn push(
        &self,
        reference: &ImageReference,
        credentials: Credentials,
        progress: ProgressSender,
    ) -> Result<Pushed, ImageError> {
        let reference = reference.clone().with_default_tag();
        let not_found = || ImageError::NoTag(reference.familiar());
        let tag = reference.tag.clone().ok_or_else(not_found)?;
        let catalog = self.0.catalog.current();
        let name = catalog.names.get(&reference).ok_or_else(not_found)?;
        let record = catalog.images.get(&name.image).ok_or_else(not_found)?;
        let record = record.manifests.get(&name.manifest).ok_or_else(not_found)?;
        let needed = record.blobs.iter().chain([&name.manifest.0]);
        let _pinned = self.0.pins.pin(needed.cloned());

        let bytes = self.0.content.read_document(&name.manifest.0)?;
        let (manifest, _) = Manifest::parse(&bytes, Some(&record.media_type)).map_err(|error| {
            ImageError::BadImage {
                reference: reference.familiar(),
                reason: error.to_string(),
            }
        })?;
        let push = Push {
            repository: self.0.client.repository(&reference, credentials),
            mount_from: neighbours(&catalog, &reference, &name.manifest),
            progress,
        };
        self.0.push_blobs(&push, &manifest).await?;
        let size_bytes = bytes.len() as u64;
        let repository = &push.repository;
        let tag_reference = Reference::Tag(tag.clone());
        repository
            .put_manifest(&tag_reference, &record.media_type, bytes.into())
            .await
            .map_err(registry_error(&reference))?;
        let digest = name.manifest.clone();
        self.remember_digest(&reference, name).await?;
        Ok(Pushed {
            tag: tag.to_string(),
            digest,
            size_bytes,
        })
    }

    /// A pushed image has a digest in its repository, as docker shows it.
    async fn remember_digest(
        &self,
        reference: &ImageReference,
        name: &super::catalog::NameRecord,
    ) -> Result<(), ImageError> {
        let by_digest = ImageReference {
            tag: None,
            digest: Some(name.manifest.0.clone()),
            ..reference.clone()
        };
        let change = |catalog: &mut Catalog| {
            if catalog.images.contains_key(&name.image) {
                catalog.names.insert(by_digest, name.clone());
            }
            Ok(())
        };
        self.0.catalog.update(change).await
    }
}

/// Repositories of the same registry that are known to have the manifest's blobs.
fn neighbours(
    catalog: &Catalog,
    reference: &ImageReference,
    manifest: &ManifestDigest,
) -> Vec<RepositoryName> {
    let pulled = catalog.names.iter().filter(|(name, record)| {
        // A tag may have been given here; a digest was seen at the registry.
        name.digest.is_some()
            && record.manifest == *manifest
            && name.host == reference.host
            && name.repository != reference.repository
    });
    let mut names: Vec<_> = pulled.map(|(name, _)| name.repository.clone()).collect();
    names.dedup();
    names
}

impl Inner {
    async fn push_blobs(
        self: &Arc<Self>,
        push: &Push,
        manifest: &Manifest,
    ) -> Result<(), ImageError> {
        let config = match manifest {
            Manifest::Image(manifest) => Some(manifest.config.digest.clone()),
            Manifest::Index(_) => None,
        };
        let is_layer = |blob: &&Descriptor| Some(&blob.digest) != config.as_ref();
        let layers: Vec<_> = manifest
            .blobs()
            .filter(is_layer)
            .map(|blob| blob.digest.clone())
            .collect();
        for layer in &layers {
            push.progress.layer(layer, LayerProgress::Preparing).await;
        }
        push.progress.send(Progress::Resolved { layers }).await;
        let mut seen = std::collections::BTreeSet::new();
        // Owned, so that the future is `Send` for whatever lifetime a caller spawns it with.
        let blobs: Vec<Descriptor> = manifest
            .blobs()
            .filter(|blob| seen.insert(&blob.digest))
            .cloned()
            .collect();
        let uploads = blobs.into_iter().map(|blob| {
            let is_layer = is_layer(&&blob);
            async move {
                let pushed = self.push_blob(push, &blob, is_layer).await;
                pushed.map_err(|source| ImageError::Layer {
                    layer: blob.digest,
                    source: Arc::new(source),
                })
            }
        });
        stream::iter(uploads)
            .buffer_unordered(self.options.concurrent_uploads.max(1))
            .try_collect()
            .await
    }

    async fn push_blob(
        self: &Arc<Self>,
        push: &Push,
        blob: &Descriptor,
        is_layer: bool,
    ) -> Result<(), LayerError> {
        let done = if push
            .repository
            .has_blob(blob)
            .await
            .map_err(LayerError::Upload)?
        {
            LayerProgress::LayerAlreadyExists
        } else if mount(push, blob).await? {
            LayerProgress::Mounted
        } else {
            let content = || self.read_blob(blob, push.progress.clone(), is_layer);
            let uploaded = push.repository.upload_blob(blob, content).await;
            uploaded.map_err(LayerError::Upload)?;
            LayerProgress::Pushed
        };
        if is_layer {
            push.progress.layer(&blob.digest, done).await;
        }
        Ok(())
    }

    /// The blob from its start; an upload that is tried again reads it again.
    fn read_blob(
        &self,
        blob: &Descriptor,
        progress: ProgressSender,
        is_layer: bool,
    ) -> BlobContent {
        let file = tokio::fs::File::open(self.layout.blob(&blob.digest));
        let chunks = stream::once(file)
            .map_ok(|file| ReaderStream::with_capacity(file, READ_BYTES))
            .try_flatten();
        let (layer, total_bytes) = (blob.digest.clone(), blob.size);
        let mut current_bytes = 0;
        let watched = chunks.inspect(move |chunk| {
            if let (Ok(chunk), true) = (chunk, is_layer) {
                current_bytes += chunk.len() as u64;
                progress.percentage(
                    &layer,
                    LayerProgress::Pushing {
                        current_bytes,
                        total_bytes,
                    },
                );
            }
        });
        watched.boxed()
    }
}

/// Asks the registry to take the blob from a repository that has it.
async fn mount(push: &Push, blob: &Descriptor) -> Result<bool, LayerError> {
    for from in &push.mount_from {
        // Refused is as good as not there: the bytes are sent instead.
        if let Ok(true) = push.repository.mount_blob(blob, from).await {
            return Ok(true);
        }
    }
    Ok(false)
}
