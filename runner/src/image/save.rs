//! `docker save`: images as one archive that is both an OCI layout and docker's own format.
//!
//! Blobs go out as they are kept, so that whoever loads the archive has the same digests.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use hythe_oci::{
    Descriptor, Digest, ImageId, ImageReference, Manifest, ManifestDigest, media_type,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::gc::Pinned;
use super::view::plain;
use super::{ImageError, ImageStore, Inner};

/// Bytes per piece of the stream, and pieces that wait for a slow reader.
const PIECE_BYTES: usize = 256 << 10;
const MAX_PIECES: usize = 4;

/// One image of an archive.
struct Saved {
    id: ImageId,
    manifest: ManifestDigest,
    media_type: String,
    names: BTreeSet<ImageReference>,
}

impl ImageStore {
    /// An archive of what `targets` name; a name saves that name, an id none, as with docker.
    pub fn save(
        &self,
        targets: &[String],
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, ImageError> {
        let (images, pinned) = self.select(targets)?;
        let (sender, receiver) = mpsc::channel(MAX_PIECES);
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || {
            let _pinned = pinned;
            let pieces = Pieces {
                sender: sender.clone(),
            };
            let writer = io::BufWriter::with_capacity(PIECE_BYTES, pieces);
            let written = inner.write_archive(&images, writer);
            if let Err(error) = written {
                // Without a reader there is nobody to tell.
                drop(sender.blocking_send(Err(io::Error::other(error))));
            }
        });
        let pieces = stream::unfold(receiver, async |mut receiver| {
            receiver.recv().await.map(|piece| (piece, receiver))
        });
        Ok(pieces.boxed())
    }

    fn select(&self, targets: &[String]) -> Result<(Vec<Saved>, Pinned), ImageError> {
        let catalog = self.0.catalog.current();
        let mut images: BTreeMap<(ImageId, ManifestDigest), Saved> = BTreeMap::new();
        let mut needed = Vec::new();
        for target in targets {
            let id = self.resolve_id(target)?;
            let not_found = || ImageError::NotFound(target.clone());
            let image = catalog.images.get(&id).ok_or_else(not_found)?;
            let reference = self
                .parse_reference(target)
                .ok()
                .map(|parsed| plain(&parsed));
            let named = reference.and_then(|name| Some((catalog.names.get(&name)?, name)));
            let named = named.filter(|(record, _)| record.image == id);
            let digest = match &named {
                Some((record, _)) => record.manifest.clone(),
                None => image
                    .manifests
                    .keys()
                    .next()
                    .cloned()
                    .ok_or_else(not_found)?,
            };
            let manifest = image.manifests.get(&digest).ok_or_else(not_found)?;
            needed.extend(manifest.blobs.iter().cloned().chain([digest.0.clone()]));
            let saved = images
                .entry((id.clone(), digest.clone()))
                .or_insert_with(|| Saved {
                    id,
                    manifest: digest,
                    media_type: manifest.media_type.clone(),
                    names: BTreeSet::new(),
                });
            saved.names.extend(
                named
                    .map(|(_, name)| name)
                    .filter(|name| name.tag.is_some()),
            );
        }
        Ok((images.into_values().collect(), self.0.pins.pin(needed)))
    }
}

impl Inner {
    /// The layers of a manifest that is here, lowest first.
    pub(super) fn layer_descriptors(
        &self,
        digest: &ManifestDigest,
    ) -> Result<Vec<Descriptor>, ImageError> {
        let bytes = self.content.read_document(&digest.0)?;
        match Manifest::parse(&bytes, None) {
            Ok((Manifest::Image(manifest), _)) => Ok(manifest.layers),
            Ok((Manifest::Index(_), _)) => Err(unreadable(digest, "it is an index")),
            Err(error) => Err(unreadable(digest, &error.to_string())),
        }
    }

    fn write_archive(&self, images: &[Saved], writer: impl Write) -> Result<(), ImageError> {
        let mut archive = Archive {
            builder: tar::Builder::new(writer),
            written: BTreeSet::new(),
        };
        let mut docker = Vec::new();
        let mut index = Vec::new();
        for image in images {
            let layers = self.layer_descriptors(&image.manifest)?;
            let blobs = [&image.manifest.0, &image.id.0];
            for digest in blobs
                .into_iter()
                .chain(layers.iter().map(|layer| &layer.digest))
            {
                self.write_blob(&mut archive, digest)?;
            }
            let layer_paths: Vec<_> = layers
                .iter()
                .map(|layer| blob_path(&layer.digest))
                .collect();
            let tags: Vec<_> = image.names.iter().map(ImageReference::familiar).collect();
            docker.push(json!({
                "Config": blob_path(&image.id.0),
                "RepoTags": tags,
                "Layers": layer_paths,
            }));
            index.extend(self.index_entries(image)?);
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_INDEX,
            "manifests": index,
        });
        archive.document("manifest.json", &Value::Array(docker))?;
        archive.document("index.json", &index)?;
        archive.document("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
        archive
            .builder
            .into_inner()
            .and_then(|mut writer| writer.flush())
            .map_err(stream_error)
    }

    fn write_blob(
        &self,
        archive: &mut Archive<impl Write>,
        digest: &Digest,
    ) -> Result<(), ImageError> {
        if !archive.written.insert(digest.clone()) {
            return Ok(());
        }
        let file = self.content.open(digest)?;
        let size_bytes = file.metadata().map_err(stream_error)?.len();
        archive.file(&blob_path(digest), size_bytes, file)
    }

    /// The image once for each name, or once without.
    fn index_entries(&self, image: &Saved) -> Result<Vec<Value>, ImageError> {
        let size_bytes = self
            .content
            .size_bytes(&image.manifest.0)?
            .unwrap_or_default();
        let entry = json!({
            "mediaType": image.media_type,
            "digest": image.manifest,
            "size": size_bytes,
        });
        if image.names.is_empty() {
            return Ok(vec![entry]);
        }
        let named = image.names.iter().map(|name| {
            let mut entry = entry.clone();
            entry["annotations"] = json!({
                "io.containerd.image.name": name.to_string(),
                "org.opencontainers.image.ref.name": name.tag,
            });
            entry
        });
        Ok(named.collect())
    }
}

fn unreadable(digest: &ManifestDigest, reason: &str) -> ImageError {
    ImageError::BadImage {
        reference: digest.to_string(),
        reason: format!("its manifest cannot be read: {reason}"),
    }
}

fn stream_error(error: io::Error) -> ImageError {
    super::layout::disk("write the archive", std::path::Path::new(""))(error)
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

/// The archive under construction; each blob is in it once.
struct Archive<W: Write> {
    builder: tar::Builder<W>,
    written: BTreeSet<Digest>,
}

impl<W: Write> Archive<W> {
    fn file(
        &mut self,
        path: &str,
        size_bytes: u64,
        content: impl io::Read,
    ) -> Result<(), ImageError> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size_bytes);
        self.builder
            .append_data(&mut header, path, content)
            .map_err(stream_error)
    }

    fn document(&mut self, path: &str, value: &Value) -> Result<(), ImageError> {
        let bytes = value.to_string().into_bytes();
        self.file(path, bytes.len() as u64, bytes.as_slice())
    }
}

/// Hands what is written to the stream's reader.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        match self.sender.blocking_send(Ok(piece)) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
