//! Blobs as a repository shows them: looking, reading, mounting, deleting.

use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use hythe_oci::{Digest, RepositoryName};

use super::{Registry, RegistryError};
use crate::blob_store::{BlobStore, Reader, StoreError};
use crate::db::{BlobRecord, DeleteBlob, MountBlob, Segment};

/// A client that asked whether a blob exists relies on the answer for a while.
/// Far below any sensible grace period of the collector, and long enough that
/// repeated questions do not become repeated writes.
const TOUCH_AFTER_MS: i64 = 5 * 60 * 1000;

/// A visible blob.
#[derive(Debug)]
pub(crate) struct Blob {
    store: BlobStore,
    segments: Vec<Segment>,
    /// Its size in bytes.
    pub(crate) size_bytes: u64,
}

/// What came of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mounted {
    /// The repository shows the blob now.
    Yes,
    /// It was not found where it was looked for; the client has to push it.
    No,
}

impl Registry {
    /// The blob's size (end-2, HEAD). Whoever asks is given time to use the
    /// answer: the collector's grace period starts again.
    pub(crate) async fn head_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<u64, RegistryError> {
        let record = self.find_blob(repository, digest).await?;
        let age_ms = jiff::Timestamp::now().as_millisecond() - record.linked_at;
        if !record.referenced && age_ms > TOUCH_AFTER_MS {
            self.db.touch_blob(repository, digest).await?;
        }
        Ok(record.size_bytes)
    }

    /// The blob, ready to be read (end-2, GET).
    pub(crate) async fn get_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Blob, RegistryError> {
        let record = self.find_blob(repository, digest).await?;
        Ok(Blob {
            store: self.store.clone(),
            segments: record.segments,
            size_bytes: record.size_bytes,
        })
    }

    /// Shows a blob of another repository, or of any when `from` is not given
    /// (end-11).
    pub(crate) async fn mount_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: Option<&RepositoryName>,
    ) -> Result<Mounted, RegistryError> {
        let quotas = self.policies().await?.quotas_of(repository);
        let mounted = self.db.mount_blob(repository, digest, from, &quotas);
        Ok(match mounted.await? {
            MountBlob::Mounted => Mounted::Yes,
            MountBlob::Unknown => Mounted::No,
        })
    }

    /// Hides a blob (end-10).
    pub(crate) async fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        match self.db.delete_blob(repository, digest).await? {
            DeleteBlob::Deleted => Ok(()),
            DeleteBlob::Unknown => Err(RegistryError::BlobUnknown(digest.clone())),
            DeleteBlob::Referenced { manifest } => Err(RegistryError::BlobReferenced {
                digest: digest.clone(),
                manifest,
            }),
        }
    }

    async fn find_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobRecord, RegistryError> {
        match self.db.find_blob(repository, digest).await? {
            None => Err(RegistryError::BlobUnknown(digest.clone())),
            Some(record) if record.quarantined => {
                Err(RegistryError::BlobQuarantined(digest.clone()))
            }
            Some(record) => Ok(record),
        }
    }
}

impl Blob {
    /// The bytes `range`. The first piece is opened before this returns, so
    /// that a store that is gone is an error and not a short body.
    pub(crate) async fn read(
        self,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, RegistryError> {
        self.read_for(Reader::Program, range).await
    }

    /// The same, as suits who gets them.
    pub(crate) async fn read_for(
        self,
        reader: Reader,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, RegistryError> {
        let mut pieces = pieces(&self.segments, &range).into_iter();
        let Some((key, within)) = pieces.next() else {
            return Ok(stream::empty().boxed());
        };
        let first = self.store.read_for(reader, &key, within).await?;
        let store = self.store;
        let rest = stream::iter(pieces).then(move |(key, within)| {
            let store = store.clone();
            async move { store.read_for(reader, &key, within).await }
        });
        Ok(first.chain(rest.try_flatten()).boxed())
    }

    /// The file that holds the whole blob and nothing else; `None` when there is no such thing.
    pub(crate) fn file(&self) -> Option<std::path::PathBuf> {
        match self.segments.as_slice() {
            [only] => self.store.file_of(&only.object_key),
            _ => None,
        }
    }

    /// An address at which the whole blob can be fetched from the store itself;
    /// `None` when there is no such thing.
    pub(crate) async fn presigned(
        &self,
        expire: std::time::Duration,
    ) -> Result<Option<url::Url>, RegistryError> {
        match self.segments.as_slice() {
            [only] => Ok(self.store.presigned_get(&only.object_key, expire).await?),
            _ => Ok(None),
        }
    }
}

/// Which bytes of which objects make up `range` of a blob.
fn pieces(segments: &[Segment], range: &Range<u64>) -> Vec<(String, Range<u64>)> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for segment in segments {
        let end = start + segment.size_bytes;
        let from = range.start.max(start);
        let to = range.end.min(end);
        if from < to {
            pieces.push((segment.object_key.clone(), from - start..to - start));
        }
        start = end;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments() -> Vec<Segment> {
        [("a", 10), ("b", 1), ("c", 5)]
            .map(|(key, size_bytes)| Segment {
                object_key: key.to_owned(),
                size_bytes,
            })
            .to_vec()
    }

    #[test]
    fn a_range_is_made_of_pieces_of_segments() {
        for (range, expected) in [
            (0..16, "a0-10 b0-1 c0-5"),
            (0..10, "a0-10"),
            (10..11, "b0-1"),
            (9..12, "a9-10 b0-1 c0-1"),
            (15..16, "c4-5"),
            (16..16, ""),
            (5..5, ""),
        ] {
            let got: Vec<String> = pieces(&segments(), &range)
                .into_iter()
                .map(|(key, within)| format!("{key}{}-{}", within.start, within.end))
                .collect();
            assert_eq!(got.join(" "), expected, "{range:?}");
        }
    }
}
