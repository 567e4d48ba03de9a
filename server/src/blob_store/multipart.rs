//! Writes segments to an object store: one PUT when it is small, parts of equal
//! size when it is not.
//!
//! A store keeps, and bills, the parts of an upload until it is told that the
//! upload is over, and a process that is killed tells it nothing. So a marker
//! object that holds the upload's id is there before the first part is sent and
//! goes after the last one; a collection aborts what an old marker names.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, ObjectStore, ObjectStoreExt as _, PutPayload};
use tokio::task::JoinHandle;

use super::{BlobStore, StoreError, Writes, key};

/// The size of every part but the last, in bytes. Ten thousand parts, the most
/// that the stores allow, are ten times our largest segment.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// One segment on its way to an object store. At most two parts are in memory:
/// the one that fills and the one that is sent.
#[derive(Debug)]
pub(super) struct MultipartWriter {
    target: Target,
    filling: Vec<Bytes>,
    filled_bytes: usize,
    upload: Option<Upload>,
    in_flight: Option<JoinHandle<object_store::Result<PartId>>>,
}

/// Where the segment goes.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) parts: Arc<dyn MultipartStore>,
    pub(super) key: String,
}

/// An upload that the store knows of.
#[derive(Debug)]
struct Upload {
    id: MultipartId,
    sent: Vec<PartId>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl MultipartWriter {
    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            filling: Vec::new(),
            filled_bytes: 0,
            upload: None,
            in_flight: None,
        }
    }

    pub(super) async fn write(&mut self, batch: Vec<Bytes>) -> Result<(), StoreError> {
        for mut bytes in batch {
            while self.filled_bytes + bytes.len() >= PART_BYTES {
                let head = bytes.split_to(PART_BYTES - self.filled_bytes);
                self.filling.push(head);
                self.send_part().await?;
            }
            if !bytes.is_empty() {
                self.filled_bytes += bytes.len();
                self.filling.push(bytes);
            }
        }
        Ok(())
    }

    pub(super) async fn finish(mut self) -> Result<(), StoreError> {
        let path = self.target.path();
        if self.upload.is_none() {
            let payload = PutPayload::from_iter(std::mem::take(&mut self.filling));
            self.target.objects.put(&path, payload).await?;
            return Ok(());
        }
        if self.filled_bytes > 0 {
            self.send_part().await?;
        }
        self.settle().await?;
        // Taken only when it is complete: until then a drop must abort it.
        if let Some(upload) = &self.upload {
            let parts = &self.target.parts;
            parts
                .complete_multipart(&path, &upload.id, upload.sent.clone())
                .await?;
        }
        self.upload = None;
        self.target.unmark().await;
        Ok(())
    }

    async fn send_part(&mut self) -> Result<(), StoreError> {
        self.settle().await?;
        let payload = PutPayload::from_iter(std::mem::take(&mut self.filling));
        self.filled_bytes = 0;
        let upload = match &mut self.upload {
            Some(upload) => upload,
            slot => slot.insert(self.target.begin().await?),
        };
        let (target, id) = (self.target.clone(), upload.id.clone());
        let index = upload.sent.len();
        self.in_flight = Some(tokio::spawn(async move {
            let parts = Arc::clone(&target.parts);
            parts.put_part(&target.path(), &id, index, payload).await
        }));
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), StoreError> {
        let Some(in_flight) = self.in_flight.take() else {
            return Ok(());
        };
        let part = match in_flight.await {
            Ok(outcome) => outcome?,
            Err(error) => return Err(StoreError::Task(error.into())),
        };
        if let Some(upload) = &mut self.upload {
            upload.sent.push(part);
        }
        Ok(())
    }
}

impl Drop for MultipartWriter {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else {
            return;
        };
        let in_flight = self.in_flight.take();
        let target = self.target.clone();
        tokio::spawn(async move {
            if let Some(in_flight) = in_flight {
                drop(in_flight.await);
            }
            match target.abort(&upload.id).await {
                Ok(()) => target.unmark().await,
                // The marker stays, for a later collection.
                Err(error) => {
                    tracing::warn!(key = target.key, %error, "an upload could not be aborted");
                }
            }
        });
    }
}

impl Target {
    fn path(&self) -> Path {
        Path::from(self.key.as_str())
    }

    /// Begins an upload, with its marker durable before any part is.
    async fn begin(&self) -> Result<Upload, StoreError> {
        let id = self.parts.create_multipart(&self.path()).await?;
        // A store that has no ids forgets unfinished parts by itself.
        if !id.is_empty() {
            let payload = PutPayload::from(id.clone());
            let marked = self.objects.put(&self.marker(), payload).await;
            if let Err(error) = marked {
                if let Err(error) = self.abort(&id).await {
                    tracing::warn!(key = self.key, %error, "an upload could not be aborted");
                }
                return Err(error.into());
            }
        }
        Ok(Upload {
            id,
            sent: Vec::new(),
        })
    }

    fn marker(&self) -> Path {
        Path::from(key::marker_of(&self.key))
    }

    /// An upload that is over already counts as aborted.
    async fn abort(&self, id: &MultipartId) -> object_store::Result<()> {
        match self.parts.abort_multipart(&self.path(), id).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            outcome => outcome,
        }
    }

    async fn unmark(&self) {
        match self.objects.delete(&self.marker()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            // Harmless: the upload that it names is over.
            Err(error) => tracing::debug!(key = self.key, %error, "a marker is left behind"),
        }
    }
}

impl BlobStore {
    /// Segments whose uploads were begun before `before_ms` (since 1970) and
    /// never ended.
    pub(crate) async fn orphans(&self, before_ms: i64) -> Result<Vec<String>, StoreError> {
        let Writes::Objects(_) = &self.writes else {
            return Ok(Vec::new());
        };
        self.objects
            .list(Some(&Path::from(key::MULTIPART)))
            .try_filter_map(async |marker| {
                let is_old = marker.last_modified.timestamp_millis() < before_ms;
                Ok(key::of_marker(marker.location.as_ref()).filter(|_| is_old))
            })
            .map_err(StoreError::from)
            .try_collect()
            .await
    }

    /// Aborts those uploads; how many.
    pub(crate) async fn abort_orphans(&self, before_ms: i64) -> Result<u64, StoreError> {
        let Writes::Objects(parts) = &self.writes else {
            return Ok(0);
        };
        let mut aborted = 0;
        for key in self.orphans(before_ms).await? {
            let target = Target {
                objects: Arc::clone(&self.objects),
                parts: Arc::clone(parts),
                key,
            };
            let id = match self.objects.get(&target.marker()).await {
                Ok(found) => found.bytes().await?,
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            target
                .abort(&String::from_utf8_lossy(&id).into_owned())
                .await?;
            target.unmark().await;
            aborted += 1;
        }
        Ok(aborted)
    }
}
