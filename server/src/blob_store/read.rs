//! Reads segments, in pieces large enough that the work per piece is small, with
//! one piece read ahead.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use object_store::path::Path;
use object_store::{GetOptions, GetResultPayload, ObjectStore as _};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{BlobStore, StoreError};

/// How much is read from the disk at a time.
const READ_BYTES: u64 = 512 * 1024;

impl BlobStore {
    /// The bytes `range` of a segment.
    #[tracing::instrument(target = "hythe_trace", name = "store.read", skip_all)]
    pub(crate) async fn read(
        &self,
        key: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, StoreError>>, StoreError> {
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let options = GetOptions::new().with_range(Some(range.clone()));
        let result = self.objects.get_opts(&Path::from(key), options).await?;
        match result.payload {
            GetResultPayload::File(file, _) => Ok(read_file(file, range)),
            GetResultPayload::Stream(stream) => {
                Ok(stream.map(|piece| piece.map_err(StoreError::from)).boxed())
            }
        }
    }
}

/// What is left to read, and the piece that is being read.
struct Reading {
    left: Range<u64>,
    ahead: Option<JoinHandle<io::Result<(File, Bytes)>>>,
}

fn read_file(file: File, range: Range<u64>) -> BoxStream<'static, Result<Bytes, StoreError>> {
    let start = range.start;
    let mut reading = Reading {
        left: range,
        ahead: None,
    };
    reading.start(file, Some(start));
    stream::try_unfold(reading, |mut reading| async move {
        let Some(ahead) = reading.ahead.take() else {
            return Ok(None);
        };
        let (file, bytes) = ahead
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| StoreError::disk("reading a segment", error))?;
        reading.start(file, None);
        Ok(Some((bytes, reading)))
    })
    .boxed()
}

impl Reading {
    /// Reads the next piece on another thread, if there is one.
    fn start(&mut self, mut file: File, seek: Option<u64>) {
        let size = READ_BYTES.min(self.left.end - self.left.start);
        if size == 0 {
            return;
        }
        self.left.start += size;
        self.ahead = Some(spawn_blocking(move || {
            if let Some(offset) = seek {
                file.seek(SeekFrom::Start(offset))?;
            }
            let bytes = read_exact(&mut file, size)?;
            Ok((file, bytes))
        }));
    }
}

fn read_exact(file: &mut File, size: u64) -> io::Result<Bytes> {
    let mut buffer = Vec::with_capacity(usize::try_from(size).map_err(io::Error::other)?);
    // Fills the vector's spare room without clearing it first.
    let read = file.take(size).read_to_end(&mut buffer)?;
    if (read as u64) < size {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file is shorter than its row says",
        ));
    }
    Ok(Bytes::from(buffer))
}
