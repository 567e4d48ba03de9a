//! From a registry to this machine: manifest, platform, config, layers, and the name last of all.

use std::sync::Arc;

use futures_util::future::try_join_all;
use hythe_oci::client::{ClientError, Credentials, FetchedManifest, RemoteRepository};
use hythe_oci::{
    Descriptor, Digest, ImageId, ImageManifest, ImageReference, Manifest, ManifestDigest, Platform,
    Reference, Tag, media_type,
};
use jiff::Timestamp;

use super::catalog::{ImageRecord, ManifestRecord, NameRecord};
use super::config::ImageConfig;
use super::jobs::WantedLayer;
use super::settle::boot_id;
use super::{ImageError, ImageStore, Inner, LayerError, Progress, ProgressSender};

/// No image has more layers: overlayfs takes 500, docker 127, and each costs a directory.
const MAX_LAYERS: usize = 500;

/// Configs are documents; a larger one is not kept in memory.
const MAX_CONFIG_BYTES: u64 = 8 << 20;

/// What to pull.
#[derive(Debug, Clone)]
pub struct PullRequest {
    /// Without tag and digest it means `latest`.
    pub reference: ImageReference,
    /// `None` means this machine's.
    pub platform: Option<Platform>,
    pub credentials: Credentials,
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

/// A manifest of one image, found through its reference.
struct Resolved {
    /// What the reference names: the manifest or the index above it.
    digest: Digest,
    manifest_digest: Digest,
    media_type: String,
    bytes: bytes::Bytes,
    manifest: ImageManifest,
}

impl ImageStore {
    /// Pulls one image. Dropping the future cancels it; what arrived is kept for the next try.
    pub async fn pull(
        &self,
        request: PullRequest,
        progress: ProgressSender,
    ) -> Result<Pulled, ImageError> {
        let reference = request.reference.with_default_tag();
        let repository = self.0.client.repository(&reference, request.credentials);
        let resolved = resolve(&repository, &reference, request.platform.as_ref()).await?;
        self.0
            .pull_image(&repository, &reference, resolved, &progress)
            .await
    }

    /// Every tag of the reference's repository.
    pub async fn remote_tags(
        &self,
        reference: &ImageReference,
        credentials: Credentials,
    ) -> Result<Vec<Tag>, ImageError> {
        let repository = self.0.client.repository(reference, credentials);
        repository
            .list_tags()
            .await
            .map_err(registry_error(reference))
    }
}

pub(super) fn registry_error(reference: &ImageReference) -> impl Fn(ClientError) -> ImageError {
    let reference = reference.familiar();
    move |source| ImageError::Registry {
        reference: reference.clone(),
        source,
    }
}

/// Finds the manifest for a platform, through an index where there is one.
async fn resolve(
    repository: &RemoteRepository,
    reference: &ImageReference,
    platform: Option<&Platform>,
) -> Result<Resolved, ImageError> {
    let failed = registry_error(reference);
    let first = repository
        .get_manifest(&reference.reference())
        .await
        .map_err(&failed)?;
    let digest = first.digest.clone();
    let Manifest::Index(index) = &first.manifest else {
        return image(reference, digest, first);
    };
    let host = Platform::host();
    let wanted = platform.unwrap_or(&host);
    let chosen = index
        .for_platform(wanted)
        .ok_or_else(|| ImageError::NoMatchingPlatform {
            platform: wanted.to_string(),
        })?;
    let child = Reference::Digest(chosen.digest.clone());
    let child = repository.get_manifest(&child).await.map_err(&failed)?;
    image(reference, digest, child)
}

fn bad_image(reference: &ImageReference, reason: impl Into<String>) -> ImageError {
    ImageError::BadImage {
        reference: reference.familiar(),
        reason: reason.into(),
    }
}

/// Checks that a manifest is that of an image that can be run.
fn image(
    reference: &ImageReference,
    digest: Digest,
    fetched: FetchedManifest,
) -> Result<Resolved, ImageError> {
    let Manifest::Image(manifest) = fetched.manifest else {
        return Err(bad_image(reference, "its index lists another index"));
    };
    let config = &manifest.config;
    if !matches!(
        config.media_type.as_str(),
        media_type::OCI_CONFIG | media_type::DOCKER_CONFIG
    ) {
        let reason = format!("it is no container image but {:?}", config.media_type);
        return Err(bad_image(reference, reason));
    }
    if config.size > MAX_CONFIG_BYTES {
        return Err(bad_image(
            reference,
            "its configuration is larger than 8 MiB",
        ));
    }
    if manifest.layers.len() > MAX_LAYERS {
        let reason = format!(
            "it has {} layers, more than {MAX_LAYERS}",
            manifest.layers.len()
        );
        return Err(bad_image(reference, reason));
    }
    Ok(Resolved {
        digest,
        manifest_digest: fetched.digest,
        media_type: fetched.media_type,
        bytes: fetched.bytes,
        manifest: *manifest,
    })
}

impl Inner {
    async fn pull_image(
        self: &Arc<Self>,
        repository: &RemoteRepository,
        reference: &ImageReference,
        resolved: Resolved,
        progress: &ProgressSender,
    ) -> Result<Pulled, ImageError> {
        let manifest = &resolved.manifest;
        let id = ImageId(manifest.config.digest.clone());
        let blobs = std::iter::once(&manifest.config).chain(&manifest.layers);
        let blobs: Vec<Digest> = blobs.map(|descriptor| descriptor.digest.clone()).collect();
        let manifest_digest = resolved.manifest_digest.clone();
        let _blobs_pinned = self
            .pins
            .pin(blobs.iter().cloned().chain([manifest_digest.clone()]));

        let config_bytes = self
            .get_config(repository, reference, &manifest.config)
            .await?;
        let config = ImageConfig::parse(&config_bytes)
            .map_err(|error| bad_image(reference, format!("its configuration: {error}")))?;
        let layers = pair_layers(reference, manifest, &config)?;
        let _layers_pinned = self
            .pins
            .pin(config.diff_ids.iter().map(|diff_id| diff_id.0.clone()));

        let digests = layers
            .iter()
            .map(|layer| layer.descriptor.digest.clone())
            .collect();
        progress.send(Progress::Resolved { layers: digests }).await;
        // Of layers that the very image has already there is nothing to tell, as with docker.
        let silent = ProgressSender::silent();
        let is_known = self.catalog.current().images.contains_key(&id);
        let layers = layers.iter().map(|layer| {
            let is_here = is_known && self.has_layer(layer);
            self.get_layer(repository, layer, if is_here { &silent } else { progress })
        });
        try_join_all(layers).await?;

        self.content
            .put_document(&resolved.manifest_digest, &resolved.bytes)?;
        let record = ImageRecord {
            manifests: [(
                ManifestDigest(manifest_digest),
                ManifestRecord {
                    media_type: resolved.media_type,
                    blobs,
                },
            )]
            .into(),
            diff_ids: config.diff_ids,
            tagged_at: Some(Timestamp::now()),
            built: None,
            unsettled_boot: Some(boot_id()?),
        };
        let up_to_date = self
            .add_image(&id, record, &names(reference, &resolved.digest))
            .await?;
        self.settle_later();
        Ok(Pulled {
            id,
            digest: ManifestDigest(resolved.digest),
            up_to_date,
        })
    }

    async fn get_config(
        self: &Arc<Self>,
        repository: &RemoteRepository,
        reference: &ImageReference,
        descriptor: &Descriptor,
    ) -> Result<Vec<u8>, ImageError> {
        if self.content.contains(&descriptor.digest)?
            && let Ok(bytes) = self.content.read_document(&descriptor.digest)
        {
            return Ok(bytes);
        }
        let mut bytes = Vec::new();
        let hasher = hythe_oci::DigestHasher::new(descriptor.digest.algorithm());
        let sink = hythe_oci::client::Sink {
            writer: &mut bytes,
            progress: &mut |_| {},
        };
        let downloaded = repository.download_blob(descriptor, hasher, 0, sink).await;
        downloaded.map_err(registry_error(reference))?;
        self.content.put_document(&descriptor.digest, &bytes)?;
        Ok(bytes)
    }

    /// Writes image and names; returns whether the first name meant it before.
    pub(super) async fn add_image(
        &self,
        id: &ImageId,
        record: ImageRecord,
        names: &[ImageReference],
    ) -> Result<bool, ImageError> {
        let Some(manifest) = record.manifests.keys().next().cloned() else {
            return Ok(false);
        };
        let name = NameRecord {
            image: id.clone(),
            manifest,
        };
        let change = |catalog: &mut super::catalog::Catalog| {
            match catalog.images.get_mut(id) {
                // Nothing arrived that was not there.
                Some(known) if known.manifests.contains_key(&name.manifest) => {}
                Some(known) => {
                    known.manifests.extend(record.manifests);
                    known.unsettled_boot = record.unsettled_boot;
                }
                None => drop(catalog.images.insert(id.clone(), record)),
            }
            let up_to_date =
                names.first().and_then(|first| catalog.names.get(first)) == Some(&name);
            let named = names
                .iter()
                .map(|reference| (reference.clone(), name.clone()));
            catalog.names.extend(named);
            Ok(up_to_date)
        };
        self.catalog.update(change).await
    }
}

/// What a pull names: the tag if there was one, and the digest.
fn names(reference: &ImageReference, digest: &Digest) -> Vec<ImageReference> {
    let by_digest = ImageReference {
        tag: None,
        digest: Some(digest.clone()),
        ..reference.clone()
    };
    // `name:tag@digest` names the digest; docker ignores the tag then.
    let by_tag = (reference.tag.is_some() && reference.digest.is_none()).then(|| reference.clone());
    by_tag.into_iter().chain([by_digest]).collect()
}

/// Joins what the manifest and the config say of each layer.
fn pair_layers(
    reference: &ImageReference,
    manifest: &ImageManifest,
    config: &ImageConfig,
) -> Result<Vec<WantedLayer>, ImageError> {
    if manifest.layers.len() != config.diff_ids.len() {
        let reason = format!(
            "its manifest has {} layers, its configuration {}",
            manifest.layers.len(),
            config.diff_ids.len()
        );
        return Err(bad_image(reference, reason));
    }
    let pairs = manifest.layers.iter().zip(&config.diff_ids);
    pairs
        .map(|(descriptor, diff_id)| {
            if media_type::layer_compression(&descriptor.media_type).is_none() {
                return Err(ImageError::Layer {
                    layer: descriptor.digest.clone(),
                    source: Arc::new(LayerError::MediaType(descriptor.media_type.clone())),
                });
            }
            Ok(WantedLayer {
                descriptor: descriptor.clone(),
                diff_id: diff_id.clone(),
            })
        })
        .collect()
}
