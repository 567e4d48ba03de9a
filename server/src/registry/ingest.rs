//! From a request's body to segments in the store, hashed on the way.
//!
//! Three things run side by side: the socket is read into a batch, earlier ones
//! are hashed and written. What is in memory is bounded by the few that a lane
//! takes, however large the blob is.

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use hythe_oci::DigestHasher;

use super::RegistryError;
use crate::blob_store::{BlobStore, Gather, SEGMENT_BYTES, SegmentWriter, StoreError};
use crate::db::Segment;
use crate::lane::Lane;

/// A body on its way in.
pub(crate) type Incoming = BoxStream<'static, Result<Bytes, BodyError>>;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum BodyError {
    /// The connection broke, or what came was not HTTP.
    #[error("the connection broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Not one byte came for the configured time.
    #[error("no byte came for {0:?}")]
    Silent(std::time::Duration),
}

/// Below this a batch is hashed where it is: handing it to another thread costs
/// as much.
const INLINE_HASH_BYTES: usize = 64 * 1024;

/// What became of a body.
#[derive(Debug)]
pub(super) struct Ingested {
    /// Durable, in order; none when no byte came.
    pub(super) segments: Vec<Segment>,
    /// Bytes that came.
    pub(super) size_bytes: u64,
    /// The state after the last byte.
    pub(super) hasher: DigestHasher,
    /// Why the body ended early, if it did.
    pub(super) broken: Option<BodyError>,
}

/// Stores a body. When the store fails, the segments that were finished before
/// are deleted again; when the client fails, what arrived is kept.
pub(super) async fn ingest(
    store: &BlobStore,
    body: Incoming,
    hasher: DigestHasher,
) -> Result<Ingested, RegistryError> {
    let mut ingest = Ingest {
        store,
        hashing: Lane::new(hasher),
        writer: None,
        segments: Vec::new(),
        size_bytes: 0,
    };
    let outcome = match ingest.drain(body).await {
        Ok(broken) => ingest.close().await.map(|()| broken),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(broken) => Ok(Ingested {
            segments: ingest.segments,
            size_bytes: ingest.size_bytes,
            hasher: ingest.hashing.finish().await.map_err(StoreError::Task)?,
            broken,
        }),
        Err(error) => {
            let keys = ingest
                .segments
                .into_iter()
                .map(|segment| segment.object_key);
            store.delete(keys.collect()).await;
            Err(error.into())
        }
    }
}

struct Ingest<'a> {
    store: &'a BlobStore,
    hashing: Lane<DigestHasher>,
    writer: Option<SegmentWriter>,
    segments: Vec<Segment>,
    size_bytes: u64,
}

impl Ingest<'_> {
    async fn drain(&mut self, mut body: Incoming) -> Result<Option<BodyError>, StoreError> {
        let mut gather = Gather::default();
        let mut broken = None;
        while let Some(piece) = body.next().await {
            match piece {
                Ok(mut piece) => {
                    while !piece.is_empty() {
                        if let Some(batch) = gather.take_from(&mut piece) {
                            self.take(batch).await?;
                        }
                    }
                }
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        self.take(gather.rest()).await?;
        Ok(broken)
    }

    async fn take(&mut self, batch: Vec<Bytes>) -> Result<(), StoreError> {
        let batch_bytes: usize = batch.iter().map(Bytes::len).sum();
        if batch_bytes == 0 {
            return Ok(());
        }
        self.size_bytes += batch_bytes as u64;
        self.hash(batch.clone(), batch_bytes).await?;
        let writer = self.writer.get_or_insert_with(|| self.store.writer());
        writer.write(batch).await?;
        if writer.size_bytes() >= SEGMENT_BYTES {
            self.close().await?;
        }
        Ok(())
    }

    async fn hash(&mut self, batch: Vec<Bytes>, batch_bytes: usize) -> Result<(), StoreError> {
        let job = move |hasher: &mut DigestHasher| {
            update(hasher, &batch);
            Ok(())
        };
        let hashed = if batch_bytes <= INLINE_HASH_BYTES {
            self.hashing.run_here(job).await
        } else {
            self.hashing.push(job).await
        };
        hashed.map_err(StoreError::Task)
    }

    /// Makes the segment that is being written durable.
    async fn close(&mut self) -> Result<(), StoreError> {
        if let Some(writer) = self.writer.take() {
            let size_bytes = writer.size_bytes();
            self.segments.push(Segment {
                object_key: writer.finish().await?,
                size_bytes,
            });
        }
        Ok(())
    }
}

fn update(hasher: &mut DigestHasher, batch: &[Bytes]) {
    for bytes in batch {
        hasher.update(bytes);
    }
}
