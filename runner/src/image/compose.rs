//! New images out of what is here: a layer packed from a tree or a stream, a configuration, and the
//! manifest that joins them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};

use hythe_oci::{
    Algorithm, Descriptor, DiffId, Digest, DigestHasher, ImageId, ImageManifest, ImageReference,
    ManifestDigest, compression, media_type,
};
use jiff::Timestamp;

use super::catalog::{Built, ImageRecord, ManifestRecord};
use super::gc::Pinned;
use super::layers::Unpack;
use super::layout::disk;
use super::settle::boot_id;
use super::{ImageError, ImageStore, Inner, LayerError};

/// A layer that is here, packed and unpacked, and stays while this is held.
#[derive(Debug)]
pub(super) struct NewLayer {
    pub(super) descriptor: Descriptor,
    pub(super) diff_id: DiffId,
    _pinned: Pinned,
}

/// Hashes and counts what is written through it.
struct Hashing<W> {
    writer: W,
    hasher: DigestHasher,
    n_bytes: u64,
}

impl<W: Write> Hashing<W> {
    fn new(writer: W) -> Self {
        Self {
            writer,
            hasher: DigestHasher::new(Algorithm::Sha256),
            n_bytes: 0,
        }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n_bytes = self.writer.write(bytes)?;
        self.hasher.update(&bytes[..n_bytes]);
        self.n_bytes += n_bytes as u64;
        Ok(n_bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Inner {
    /// Packs what `write` writes, a tar, into a layer. Blocking.
    pub(super) fn pack_layer(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<NewLayer, ImageError> {
        let path = self.layout.new_ingest();
        let packed = (|| {
            let file = io::BufWriter::with_capacity(1 << 20, File::create_new(&path)?);
            let gzip = compression::gzip_encoder(Hashing::new(file));
            let mut tar = Hashing::new(gzip);
            write(&mut tar)?;
            let (diff_id, gzip) = (tar.hasher.finish(), tar.writer);
            let mut file = gzip.finish()?;
            file.flush()?;
            Ok((diff_id, file.hasher.finish(), file.n_bytes))
        })();
        let (diff_id, digest, size_bytes) = packed.map_err(|error| {
            drop(fs::remove_file(&path));
            disk("pack a layer into", &path)(error)
        })?;
        let descriptor = Descriptor::new(media_type::OCI_LAYER_GZIP, digest, size_bytes);
        self.adopt_layer(&path, descriptor, DiffId(diff_id))
    }

    /// Takes over a packed layer whose digest was computed over `path`, and unpacks it. Blocking.
    pub(super) fn adopt_layer(
        &self,
        path: &std::path::Path,
        descriptor: Descriptor,
        diff_id: DiffId,
    ) -> Result<NewLayer, ImageError> {
        let blob = descriptor.digest.clone();
        let pinned = self.pins.pin([blob.clone(), diff_id.0.clone()]);
        let target = self.layout.blob(&blob);
        fs::rename(path, &target).map_err(disk("create", &target))?;
        if !self.layers.contains(&diff_id) {
            let unpack = Unpack {
                blob: blob.clone(),
                diff_id: diff_id.clone(),
                cancelled: std::sync::Arc::default(),
            };
            let failed = |source: LayerError| ImageError::Layer {
                layer: blob,
                source: source.into(),
            };
            self.layers.unpack(&unpack, |_| {}).map_err(failed)?;
        }
        Ok(NewLayer {
            descriptor,
            diff_id,
            _pinned: pinned,
        })
    }
}

/// What becomes an image: everything but the names is here and pinned.
#[derive(Debug)]
pub(super) struct NewImage {
    pub(super) config: Vec<u8>,
    /// Lowest first.
    pub(super) layers: Vec<Descriptor>,
    pub(super) diff_ids: Vec<DiffId>,
    pub(super) names: Vec<ImageReference>,
    /// As it came, with its media type; one is written where none came.
    pub(super) manifest: Option<(Vec<u8>, String)>,
    /// How it was made, when it was made here.
    pub(super) built: Option<Built>,
}

impl NewImage {
    fn write_manifest(&self, id: &ImageId) -> Result<(Vec<u8>, String), ImageError> {
        let config = Descriptor::new(
            media_type::OCI_CONFIG,
            id.0.clone(),
            self.config.len() as u64,
        );
        let manifest = ImageManifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers: self.layers.clone(),
            subject: None,
            annotations: BTreeMap::new(),
        };
        let bytes = serde_json::to_vec(&manifest).map_err(|error| ImageError::BadImage {
            reference: id.to_string(),
            reason: error.to_string(),
        })?;
        Ok((bytes, media_type::OCI_MANIFEST.to_owned()))
    }
}

impl ImageStore {
    /// Makes sure that images which arrived survive a power loss.
    pub async fn settle(&self) -> Result<(), ImageError> {
        self.0.settle().await
    }

    /// Writes configuration, manifest and names of an image; when this returns it survives a power
    /// loss, because nobody could fetch it again.
    pub(super) async fn compose(&self, new: NewImage) -> Result<ImageId, ImageError> {
        let id = ImageId(Digest::of(&new.config));
        let (manifest, media_type) = match &new.manifest {
            Some(given) => given.clone(),
            None => new.write_manifest(&id)?,
        };
        let digest = Digest::of(&manifest);
        let _pinned = self.0.pins.pin([id.0.clone(), digest.clone()]);
        self.0.content.put_document(&id.0, &new.config)?;
        self.0.content.put_document(&digest, &manifest)?;
        let layers = new.layers.into_iter().map(|layer| layer.digest);
        let record = ManifestRecord {
            media_type,
            blobs: std::iter::once(id.0.clone()).chain(layers).collect(),
        };
        let record = ImageRecord {
            manifests: [(ManifestDigest(digest), record)].into(),
            diff_ids: new.diff_ids,
            tagged_at: Some(Timestamp::now()),
            built: new.built,
            unsettled_boot: Some(boot_id()?),
        };
        // One that is a step on the way is worth nothing after a power loss.
        let is_step = record.built.is_some() && new.names.is_empty();
        self.0.add_image(&id, record, &new.names).await?;
        if is_step {
            self.0.settle_later();
        } else {
            self.0.settle().await?;
        }
        Ok(id)
    }
}
