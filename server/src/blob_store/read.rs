//! Reads segments: from a file as [`read_disk`] does, from the
//! network with connections that break taken up again.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use object_store::path::Path;
use object_store::{GetOptions, GetResultPayload, ObjectStore};

use super::{BlobStore, StoreError, read_disk};

/// Who gets the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Somebody who looks at them.
    Program,
    /// A socket that can send parts of files, and does nothing else with them.
    Socket,
}

/// Connections in a row that brought nothing before a read is given up.
const MAX_FRUITLESS: u32 = 4;
/// How much longer is waited before each of them.
const BACKOFF: Duration = Duration::from_millis(250);

impl BlobStore {
    /// The bytes `range` of a segment.
    pub(crate) async fn read(
        &self,
        key: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        self.read_for(Reader::Program, key, range).await
    }

    /// The same, as suits who gets them.
    #[tracing::instrument(target = "hythe_trace", name = "store.read", skip_all)]
    pub(crate) async fn read_for(
        &self,
        reader: Reader,
        key: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let options = GetOptions::new().with_range(Some(range.clone()));
        let result = self.objects.get_opts(&Path::from(key), options).await?;
        match result.payload {
            GetResultPayload::File(file, _) => Ok(read_disk::read(file, range, reader)),
            GetResultPayload::Stream(stream) => Ok(Fetching {
                objects: Arc::clone(&self.objects),
                path: Path::from(key),
                left: range,
                stream,
                fruitless: 0,
            }
            .into_stream()),
        }
    }
}

/// A segment on its way over the network. A connection that breaks is taken up
/// where it was, however long the whole takes: a client may read slowly for
/// hours, and what is under a key never changes.
struct Fetching {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    left: Range<u64>,
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    /// Connections in a row that brought nothing.
    fruitless: u32,
}

impl Fetching {
    fn into_stream(self) -> BoxStream<'static, Result<Bytes, StoreError>> {
        stream::try_unfold(self, |mut fetching| async move {
            let piece = fetching.next().await?;
            Ok(piece.map(|piece| (piece, fetching)))
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        while !self.left.is_empty() {
            let broken = match self.stream.next().await {
                Some(Ok(piece)) => {
                    self.left.start += piece.len() as u64;
                    self.fruitless = 0;
                    return Ok(Some(piece));
                }
                Some(Err(error)) => error,
                None => object_store::Error::Generic {
                    store: "any",
                    source: "the object ended early".into(),
                },
            };
            if self.fruitless >= MAX_FRUITLESS {
                return Err(broken.into());
            }
            tracing::debug!(path = %self.path, error = %broken, "taking a read up again");
            // The first try at once: most often one connection broke, no more.
            tokio::time::sleep(BACKOFF * self.fruitless).await;
            self.fruitless += 1;
            let options = GetOptions::new().with_range(Some(self.left.clone()));
            let reopened = self.objects.get_opts(&self.path, options).await?;
            self.stream = reopened.into_stream();
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;
    use object_store::ObjectStoreExt as _;
    use object_store::memory::InMemory;

    use super::*;

    fn broken() -> object_store::Error {
        object_store::Error::Generic {
            store: "test",
            source: "the connection broke".into(),
        }
    }

    /// A read of ten bytes whose first connection gives these pieces.
    async fn read(first: Vec<object_store::Result<Bytes>>) -> Result<Vec<Bytes>, StoreError> {
        let objects = Arc::new(InMemory::new());
        let path = Path::from("blobs/00/segment");
        objects
            .put(&path, Bytes::from_static(b"0123456789").into())
            .await
            .unwrap();
        let fetching = Fetching {
            objects,
            path,
            left: 0..10,
            stream: stream::iter(first).boxed(),
            fruitless: 0,
        };
        fetching.into_stream().try_collect().await
    }

    #[tokio::test]
    async fn a_connection_that_breaks_is_taken_up_where_it_was() {
        let piece = Bytes::from_static(b"0123");
        for first in [
            vec![Err(broken())],
            vec![Ok(piece.clone()), Err(broken())],
            // It ends early, and says nothing of it.
            vec![Ok(piece.clone())],
            vec![],
        ] {
            let read = read(first).await.unwrap();
            assert_eq!(read.concat(), b"0123456789");
        }
    }

    #[tokio::test]
    async fn one_that_is_never_whole_is_an_error() {
        let objects = Arc::new(InMemory::new());
        let path = Path::from("blobs/00/segment");
        let short = Bytes::from_static(b"0123");
        objects.put(&path, short.clone().into()).await.unwrap();
        let fetching = Fetching {
            objects,
            path,
            left: 0..10,
            stream: stream::iter([Ok(short)]).boxed(),
            fruitless: 0,
        };
        let read: Result<Vec<Bytes>, StoreError> = fetching.into_stream().try_collect().await;
        read.unwrap_err();
    }
}
