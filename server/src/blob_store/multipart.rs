//! Writes segments to an object store: one PUT when it is small, parts of equal
//! size when it is not.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload};
use tokio::task::JoinHandle;

use super::StoreError;

/// The size of every part but the last, in bytes. Ten thousand parts, the most
/// that the stores allow, are ten times our largest segment.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// One segment on its way to an object store. At most two parts are in memory:
/// the one that fills and the one that is sent.
#[derive(Debug)]
pub(super) struct MultipartWriter {
    store: Arc<dyn ObjectStore>,
    path: Path,
    filling: Vec<Bytes>,
    filled_bytes: usize,
    upload: Option<Box<dyn MultipartUpload>>,
    in_flight: Option<JoinHandle<object_store::Result<()>>>,
}

impl MultipartWriter {
    pub(super) fn new(store: Arc<dyn ObjectStore>, path: Path) -> Self {
        Self {
            store,
            path,
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
        if self.upload.is_none() {
            let payload = PutPayload::from_iter(std::mem::take(&mut self.filling));
            self.store.put(&self.path, payload).await?;
            return Ok(());
        }
        if self.filled_bytes > 0 {
            self.send_part().await?;
        }
        self.settle().await?;
        // Taken only when it is complete: until then a drop must abort it.
        if let Some(upload) = &mut self.upload {
            upload.complete().await?;
        }
        self.upload = None;
        Ok(())
    }

    async fn send_part(&mut self) -> Result<(), StoreError> {
        self.settle().await?;
        let payload = PutPayload::from_iter(std::mem::take(&mut self.filling));
        self.filled_bytes = 0;
        let upload = match &mut self.upload {
            Some(upload) => upload,
            slot => slot.insert(self.store.put_multipart(&self.path).await?),
        };
        self.in_flight = Some(tokio::spawn(upload.put_part(payload)));
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), StoreError> {
        let Some(in_flight) = self.in_flight.take() else {
            return Ok(());
        };
        match in_flight.await {
            Ok(outcome) => Ok(outcome?),
            Err(error) => Err(StoreError::Unavailable(error.into())),
        }
    }
}

impl Drop for MultipartWriter {
    fn drop(&mut self) {
        let Some(mut upload) = self.upload.take() else {
            return;
        };
        let in_flight = self.in_flight.take();
        let path = self.path.clone();
        tokio::spawn(async move {
            if let Some(in_flight) = in_flight {
                drop(in_flight.await);
            }
            // The store keeps, and bills, the parts of an upload until it is
            // told that it is over.
            if let Err(error) = upload.abort().await {
                tracing::warn!(%path, %error, "an unfinished multipart upload is left behind");
            }
        });
    }
}
