//! Bytes under keys: the only module that knows object stores.
//!
//! A segment is written once, under a key that nothing used before, and is
//! durable when its writer has finished. Nothing here knows digests, blobs or
//! rows: whether a segment belongs to anything is the database's word alone.

mod aligned;
mod disk;
mod error;
mod gather;
mod key;
mod multipart;
mod open;
mod read;
mod read_disk;
mod spare;
mod staged;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{ObjectStore, ObjectStoreExt as _};

pub(crate) use aligned::Aligned;
pub(crate) use error::StoreError;
pub(crate) use gather::Gather;
use multipart::{MultipartWriter, Target};
pub(crate) use read::Reader;

/// The largest segment, in bytes: keeps an object within every store's number
/// of parts, and what one broken connection can waste within reason.
pub(crate) const SEGMENT_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// How many objects are deleted by one request, where the store can.
const DELETE_BATCH: usize = 1000;

/// The store; cheap to clone.
#[derive(Clone)]
pub(crate) struct BlobStore {
    objects: Arc<dyn ObjectStore>,
    writes: Writes,
    signer: Option<Arc<dyn Signer>>,
}

/// How segments are written.
#[derive(Clone)]
enum Writes {
    /// Into this folder of this machine.
    Disk(Arc<std::path::Path>),
    /// In parts.
    Objects(Arc<dyn MultipartStore>),
}

impl std::fmt::Debug for BlobStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("BlobStore").field(&self.objects).finish()
    }
}

/// That this process alone serves from the store; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Ownership {
    /// A store behind the network has any number of processes.
    _lock: Option<std::fs::File>,
}

/// A finished segment as the store lists it.
#[derive(Clone, Debug)]
pub(crate) struct StoredObject {
    pub(crate) key: String,
    pub(crate) size_bytes: u64,
    /// When it was finished, in ms since 1970.
    pub(crate) finished_ms: i64,
}

/// Writes one segment. Dropping it leaves nothing visible.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    key: String,
    size_bytes: u64,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Disk(disk::DiskWriter),
    Objects(MultipartWriter),
}

impl BlobStore {
    /// Makes this process the one that serves from a store on disk, and removes
    /// what a crash left half-written there.
    pub(crate) fn take_over(&self) -> Result<Ownership, StoreError> {
        let lock = match &self.writes {
            Writes::Disk(root) => Some(disk::take_over(root)?),
            Writes::Objects(_) => None,
        };
        Ok(Ownership { _lock: lock })
    }

    /// Starts a segment under a fresh key.
    pub(crate) fn writer(&self) -> SegmentWriter {
        let key = key::fresh();
        let sink = match &self.writes {
            Writes::Disk(root) => Sink::Disk(disk::DiskWriter::new(Arc::clone(root), &key)),
            Writes::Objects(parts) => Sink::Objects(MultipartWriter::new(Target {
                objects: Arc::clone(&self.objects),
                parts: Arc::clone(parts),
                key: key.clone(),
            })),
        };
        SegmentWriter {
            key,
            size_bytes: 0,
            sink,
        }
    }

    /// Deletes segments; one that is gone already counts as deleted. Returns
    /// the keys that are gone now, and logs why the others are not.
    #[tracing::instrument(target = "hythe_trace", name = "store.delete", skip_all)]
    pub(crate) async fn delete(&self, keys: Vec<String>) -> Vec<String> {
        let mut gone = Vec::with_capacity(keys.len());
        for batch in keys.chunks(DELETE_BATCH) {
            let paths: Vec<object_store::Result<Path>> = batch
                .iter()
                .map(|key| Ok(Path::from(key.as_str())))
                .collect();
            let outcomes = self
                .objects
                .delete_stream(futures_util::stream::iter(paths).boxed())
                .collect::<Vec<_>>()
                .await;
            // A store that fails a whole batch says so once.
            let each = outcomes.len() == batch.len();
            for (key, outcome) in batch.iter().zip(outcomes) {
                match outcome {
                    Ok(_) | Err(object_store::Error::NotFound { .. }) if each => {
                        gone.push(key.clone());
                    }
                    Ok(path) => gone.push(path.to_string()),
                    Err(error) => {
                        tracing::warn!(key, error = %error, "objects could not be deleted");
                    }
                }
            }
        }
        gone
    }

    /// Every segment in the store that was finished before `before_ms`
    /// (since 1970), with its size.
    pub(crate) fn list(
        &self,
        before_ms: i64,
    ) -> BoxStream<'static, Result<(String, u64), StoreError>> {
        self.objects
            .list(Some(&Path::from(key::BLOBS)))
            .filter_map(move |entry| {
                std::future::ready(match entry {
                    Ok(meta) if meta.last_modified.timestamp_millis() < before_ms => {
                        Some(Ok((meta.location.to_string(), meta.size)))
                    }
                    Ok(_) => None,
                    Err(error) => Some(Err(StoreError::from(error))),
                })
            })
            .boxed()
    }

    /// The folders that finished segments lie in.
    pub(crate) fn folders() -> impl Iterator<Item = String> {
        key::fan_out()
    }

    /// What is in one of the [`BlobStore::folders`].
    pub(crate) fn list_folder(
        &self,
        folder: &str,
    ) -> BoxStream<'static, Result<StoredObject, StoreError>> {
        self.objects
            .list(Some(&Path::from(folder)))
            .map(|entry| {
                let meta = entry?;
                Ok(StoredObject {
                    key: meta.location.to_string(),
                    size_bytes: meta.size,
                    finished_ms: meta.last_modified.timestamp_millis(),
                })
            })
            .boxed()
    }

    /// The file that a segment is; `None` where it is none of this machine.
    pub(crate) fn file_of(&self, key: &str) -> Option<std::path::PathBuf> {
        match &self.writes {
            Writes::Disk(root) => Some(root.join(key)),
            Writes::Objects(_) => None,
        }
    }

    /// How large a segment is; `None` when it is not there.
    pub(crate) async fn size_of(&self, key: &str) -> Result<Option<u64>, StoreError> {
        match self.objects.head(&Path::from(key)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Fails when the store does not answer.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        if let Writes::Disk(root) = &self.writes {
            return disk::probe(root).await;
        }
        // Not the question for one object: a store answers that with the same
        // 404 whether the object or its whole bucket is missing.
        let mut listing = self.objects.list(Some(&Path::from(key::PROBE)));
        match listing.next().await {
            Some(Err(error)) => Err(error.into()),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// An address at which a client can fetch the segment itself for a while;
    /// `None` when the store has no such thing.
    #[tracing::instrument(target = "hythe_trace", name = "store.presigned_get", skip_all)]
    pub(crate) async fn presigned_get(
        &self,
        key: &str,
        expire: Duration,
    ) -> Result<Option<url::Url>, StoreError> {
        let Some(signer) = &self.signer else {
            return Ok(None);
        };
        let url = signer
            .signed_url(http::Method::GET, &Path::from(key), expire)
            .await?;
        Ok(Some(url))
    }
}

impl SegmentWriter {
    /// Bytes handed over so far.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Hands a batch over; returns when the one before it is written.
    pub(crate) async fn write(&mut self, batch: Vec<Bytes>) -> Result<(), StoreError> {
        self.size_bytes += batch.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        match &mut self.sink {
            Sink::Disk(writer) => writer.write(batch).await,
            Sink::Objects(writer) => writer.write(batch).await,
        }
    }

    /// Returns the key once every byte is durable under it.
    #[tracing::instrument(target = "hythe_trace", name = "store.finish", skip_all)]
    pub(crate) async fn finish(self) -> Result<String, StoreError> {
        match self.sink {
            Sink::Disk(writer) => writer.finish().await?,
            Sink::Objects(writer) => writer.finish().await?,
        }
        Ok(self.key)
    }
}
