//! Upload sessions: how a blob arrives.
//!
//! ```text
//!            start_upload                 complete_upload (digest right)
//! (nothing) ─────────────> at byte N ────────────────────────────────> blob
//!                          ^  │  │ cancel_upload, expiry, digest wrong
//!             append_chunk └──┘  └───────────────────────────────────> (nothing)
//! ```
//!
//! Bytes are durable in the store before the row says so. A chunk that breaks
//! off is kept as far as it came, so that the client can go on from there. Two
//! requests that append at once cannot both win: the row moves by
//! compare-and-set on its offset.

use std::fmt;

use futures_util::TryStreamExt as _;
use hythe_oci::{Algorithm, Digest, DigestHasher, RepositoryName};

use super::ingest::{Incoming, Ingested, ingest};
use super::{Registry, RegistryError};
use crate::db::{Advance, CommittedBlob, DbError, NewBlob, Segment, UploadRecord};

/// The name of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UploadId(uuid::Uuid);

impl UploadId {
    /// Parses what [`fmt::Display`] wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        uuid::Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// A session as a client sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UploadSession {
    pub(crate) id: UploadId,
    /// Bytes received.
    pub(crate) offset_bytes: u64,
}

/// A piece of a blob, as it was announced.
pub(crate) struct Chunk {
    /// Where it says that it starts; `None` is wherever the session stands.
    pub(crate) first: Option<u64>,
    /// How long it says that it is.
    pub(crate) size_bytes: Option<u64>,
    /// The bytes.
    pub(crate) body: Incoming,
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("first", &self.first)
            .field("size_bytes", &self.size_bytes)
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// Opens a session (end-4a); with the algorithm of the digest to come if
    /// the client said it (end-4c).
    pub(crate) async fn start_upload(
        &self,
        repository: &RepositoryName,
        algorithm: Option<Algorithm>,
    ) -> Result<UploadSession, RegistryError> {
        let id = UploadId(uuid::Uuid::new_v4());
        let algorithm = algorithm.unwrap_or(Algorithm::Sha256);
        self.db
            .create_upload(&id.to_string(), repository, algorithm)
            .await?;
        Ok(UploadSession {
            id,
            offset_bytes: 0,
        })
    }

    /// How far a session is (end-13).
    pub(crate) async fn upload_status(
        &self,
        repository: &RepositoryName,
        id: UploadId,
    ) -> Result<UploadSession, RegistryError> {
        let record = self.find_upload(repository, id).await?;
        Ok(UploadSession {
            id,
            offset_bytes: record.offset_bytes,
        })
    }

    /// Adds a chunk to a session (end-5).
    pub(crate) async fn append_chunk(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        chunk: Chunk,
    ) -> Result<UploadSession, RegistryError> {
        let record = self.find_upload(repository, id).await?;
        in_order(id, &record, &chunk)?;
        let hasher = saved_hasher(id, &record)?;
        let expected = chunk.size_bytes;
        self.check_room(repository, expected).await?;
        let ingested = ingest(&self.store, chunk.body, hasher).await?;
        self.check_size(&ingested, expected).await?;
        self.keep(repository, id, record.offset_bytes, ingested)
            .await
    }

    /// Adds the last bytes, if any, and makes the blob visible if it is what
    /// its digest says (end-6).
    pub(crate) async fn complete_upload(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        digest: &Digest,
        chunk: Chunk,
    ) -> Result<(), RegistryError> {
        let record = self.find_upload(repository, id).await?;
        in_order(id, &record, &chunk)?;
        let foreseen = record.algorithm == digest.algorithm();
        let hasher = if foreseen {
            saved_hasher(id, &record)?
        } else {
            // The client did not say which digest was coming, so what came
            // before has to be read again.
            self.rehash(&record, digest.algorithm()).await?
        };
        let expected = chunk.size_bytes;
        self.check_room_of_blob(repository, digest, expected)
            .await?;
        let ingested = ingest(&self.store, chunk.body, hasher).await?;
        self.check_size(&ingested, expected).await?;
        if foreseen && ingested.broken.is_some() {
            self.keep(repository, id, record.offset_bytes, ingested)
                .await?;
            return Ok(());
        }
        let size_bytes = record.offset_bytes + ingested.size_bytes;
        let segments = match self.verify(ingested, digest).await {
            Ok(segments) => segments,
            Err(error) => {
                self.cancel_upload(repository, id).await?;
                return Err(error);
            }
        };
        let upload = Some((id, record.offset_bytes));
        self.commit(repository, (digest, size_bytes), segments, upload)
            .await
    }

    /// Takes a whole blob in one request (end-4b).
    pub(crate) async fn push_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        chunk: Chunk,
    ) -> Result<(), RegistryError> {
        let hasher = DigestHasher::new(digest.algorithm());
        let expected = chunk.size_bytes;
        self.check_room_of_blob(repository, digest, expected)
            .await?;
        let ingested = ingest(&self.store, chunk.body, hasher).await?;
        self.check_size(&ingested, expected).await?;
        let size_bytes = ingested.size_bytes;
        let segments = self.verify(ingested, digest).await?;
        self.commit(repository, (digest, size_bytes), segments, None)
            .await
    }

    /// Drops a session and its bytes (end-14).
    pub(crate) async fn cancel_upload(
        &self,
        repository: &RepositoryName,
        id: UploadId,
    ) -> Result<(), RegistryError> {
        match self.db.cancel_upload(repository, &id.to_string()).await? {
            Some(keys) => {
                self.delete_objects(keys).await;
                Ok(())
            }
            None => Err(RegistryError::UploadUnknown(id)),
        }
    }

    async fn find_upload(
        &self,
        repository: &RepositoryName,
        id: UploadId,
    ) -> Result<UploadRecord, RegistryError> {
        self.db
            .find_upload(repository, &id.to_string())
            .await?
            .ok_or(RegistryError::UploadUnknown(id))
    }

    /// Adds what arrived to the session, and says so or why there is no more.
    async fn keep(
        &self,
        repository: &RepositoryName,
        id: UploadId,
        from_bytes: u64,
        ingested: Ingested,
    ) -> Result<UploadSession, RegistryError> {
        let quotas = self.policies().await?.quotas_of(repository);
        let upload = id.to_string();
        let advance = Advance {
            upload: &upload,
            from_bytes,
            segments: &ingested.segments,
            hash_state: &ingested.hasher.to_state(),
        };
        let moved = match self.db.advance_upload(&advance, &quotas).await {
            Ok(moved) => moved,
            Err(error) => {
                let segments = ingested.segments;
                return Err(self.refused(repository, Some(id), segments, error).await);
            }
        };
        if !moved {
            self.discard(ingested.segments).await;
            return Err(self.overtaken(repository, id).await);
        }
        match ingested.broken {
            Some(broken) => Err(broken.into()),
            None => Ok(UploadSession {
                id,
                offset_bytes: from_bytes + ingested.size_bytes,
            }),
        }
    }

    /// Makes a verified blob visible.
    async fn commit(
        &self,
        repository: &RepositoryName,
        (digest, size_bytes): (&Digest, u64),
        segments: Vec<Segment>,
        upload: Option<(UploadId, u64)>,
    ) -> Result<(), RegistryError> {
        let upload_id = upload.map(|(id, offset_bytes)| (id.to_string(), offset_bytes));
        let quotas = self.policies().await?.quotas_of(repository);
        let blob = NewBlob {
            repository,
            digest,
            size_bytes,
            segments: &segments,
            upload: upload_id
                .as_ref()
                .map(|(id, offset)| (id.as_str(), *offset)),
        };
        let committed = match self.db.commit_blob(&blob, &quotas).await {
            Ok(committed) => committed,
            Err(error) => {
                let id = upload.map(|(id, _)| id);
                return Err(self.refused(repository, id, segments, error).await);
            }
        };
        match (committed, upload) {
            (CommittedBlob::Visible { spare_keys }, _) => {
                self.delete_objects(spare_keys).await;
                Ok(())
            }
            (CommittedBlob::UploadMoved, Some((id, _))) => {
                self.discard(segments).await;
                Err(self.overtaken(repository, id).await)
            }
            (CommittedBlob::UploadMoved, None) => Err(RegistryError::BlobUnknown(digest.clone())),
        }
    }

    /// Whether a body of a known size has room; nobody sends it for nothing.
    async fn check_room(
        &self,
        repository: &RepositoryName,
        size_bytes: Option<u64>,
    ) -> Result<(), RegistryError> {
        let quotas = self.policies().await?.quotas_of(repository);
        let asked_bytes = size_bytes.unwrap_or_default();
        Ok(self.db.check_room(&quotas, asked_bytes).await?)
    }

    /// The same, but what the repository shows already needs none.
    async fn check_room_of_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size_bytes: Option<u64>,
    ) -> Result<(), RegistryError> {
        let quotas = self.policies().await?.quotas_of(repository);
        if quotas.is_empty() || self.db.find_blob(repository, digest).await?.is_some() {
            return Ok(());
        }
        self.check_room(repository, size_bytes).await
    }

    /// Gives back what a refused upload took; other errors leave it to be gone
    /// on with.
    async fn refused(
        &self,
        repository: &RepositoryName,
        upload: Option<UploadId>,
        segments: Vec<Segment>,
        error: DbError,
    ) -> RegistryError {
        if matches!(error, DbError::Refused(_)) {
            self.discard(segments).await;
            if let Some(id) = upload
                && let Err(error) = self.cancel_upload(repository, id).await
            {
                tracing::debug!(%error, "a refused upload stays until it expires");
            }
        }
        error.into()
    }

    /// The segments of a body that is whole and has this digest; otherwise they
    /// are dropped.
    pub(super) async fn verify(
        &self,
        ingested: Ingested,
        digest: &Digest,
    ) -> Result<Vec<Segment>, RegistryError> {
        let error = if let Some(broken) = ingested.broken {
            broken.into()
        } else {
            let computed = ingested.hasher.finish();
            if computed == *digest {
                return Ok(ingested.segments);
            }
            RegistryError::DigestMismatch {
                claimed: digest.clone(),
                computed,
            }
        };
        self.discard(ingested.segments).await;
        Err(error)
    }

    /// A body that came to its end must be as long as it was announced.
    async fn check_size(
        &self,
        ingested: &Ingested,
        expected: Option<u64>,
    ) -> Result<(), RegistryError> {
        match expected {
            Some(expected) if ingested.broken.is_none() && expected != ingested.size_bytes => {
                self.discard(ingested.segments.clone()).await;
                Err(RegistryError::SizeMismatch {
                    expected,
                    actual: ingested.size_bytes,
                })
            }
            _ => Ok(()),
        }
    }

    /// Another request moved the session while this one was sending.
    async fn overtaken(&self, repository: &RepositoryName, id: UploadId) -> RegistryError {
        match self.find_upload(repository, id).await {
            Ok(record) => RegistryError::ChunkOutOfOrder {
                id,
                offset_bytes: record.offset_bytes,
            },
            Err(error) => error,
        }
    }

    /// The state of another digest over what a session holds.
    async fn rehash(
        &self,
        record: &UploadRecord,
        algorithm: Algorithm,
    ) -> Result<DigestHasher, RegistryError> {
        let mut hasher = DigestHasher::new(algorithm);
        for segment in &record.segments {
            let mut pieces = self
                .store
                .read(&segment.object_key, 0..segment.size_bytes)
                .await?;
            while let Some(piece) = pieces.try_next().await? {
                hasher.update(&piece);
                // Between pieces, so that one long blob does not keep others
                // from this thread.
                tokio::task::yield_now().await;
            }
        }
        Ok(hasher)
    }

    /// Deletes segments that no row names.
    async fn discard(&self, segments: Vec<Segment>) {
        let keys = segments.into_iter().map(|segment| segment.object_key);
        self.store.delete(keys.collect()).await;
    }

    /// Deletes objects that are queued as garbage; what fails stays queued for
    /// the collector.
    async fn delete_objects(&self, keys: Vec<String>) {
        if keys.is_empty() {
            return;
        }
        let gone = self.store.delete(keys).await;
        if let Err(error) = self.db.forget_garbage(&gone).await {
            tracing::debug!(%error, "deleted objects stay queued");
        }
    }
}

/// Chunks come in order, the first one at byte 0 (end-5, 416 otherwise).
fn in_order(id: UploadId, record: &UploadRecord, chunk: &Chunk) -> Result<(), RegistryError> {
    match chunk.first {
        Some(first) if first != record.offset_bytes => Err(RegistryError::ChunkOutOfOrder {
            id,
            offset_bytes: record.offset_bytes,
        }),
        _ => Ok(()),
    }
}

fn saved_hasher(id: UploadId, record: &UploadRecord) -> Result<DigestHasher, RegistryError> {
    DigestHasher::from_state(record.algorithm, &record.hash_state)
        .map_err(|_| RegistryError::UploadState(id))
}
