//! Blobs on their way in: taken up again where a connection broke, and verified at the end.

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::{HeaderValue, Method, StatusCode, header};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::request::{Access, Ask, backoff};
use super::{ClientError, RemoteRepository};
use crate::digest::DigestHasher;
use crate::manifest::Descriptor;

/// Broken connections in a row that brought nothing before a download is given up.
const MAX_FRUITLESS: u32 = 5;

/// The bytes of a blob from some offset on. Nothing is verified yet.
pub struct BlobStream {
    /// Where the first byte stands in the blob.
    pub offset: u64,
    pub bytes: BoxStream<'static, Result<Bytes, reqwest::Error>>,
}

impl std::fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobStream")
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl RemoteRepository {
    /// Opens a blob from `offset` on (end-2). A registry that knows no ranges starts at 0, which
    /// the answer says.
    pub async fn open_blob(
        &self,
        descriptor: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ClientError> {
        let what = self.blob_words(descriptor);
        let path = format!("blobs/{}", descriptor.digest);
        let mut ask = Ask::new(Method::GET, path, Access::Pull);
        if offset > 0 {
            let range = HeaderValue::from_str(&format!("bytes={offset}-"));
            ask.headers
                .extend(range.ok().map(|range| (header::RANGE, range)));
        }
        let answer = self.pull(&ask, &what).await?;
        let offset = if answer.status() == StatusCode::PARTIAL_CONTENT {
            let start = answer
                .headers()
                .get(header::CONTENT_RANGE)
                .and_then(range_start);
            if start != Some(offset) {
                let reason = "it sent another range than it was asked for";
                return Err(ClientError::bad_answer(&what, reason));
            }
            offset
        } else {
            0
        };
        Ok(BlobStream {
            offset,
            bytes: answer.bytes_stream().boxed(),
        })
    }

    /// Whether the host itself lets us read the blob (end-2). Its first byte is asked for, because
    /// a HEAD is answered also to those who may only push: they ask what they need not send.
    pub async fn may_read_blob(&self, descriptor: &Descriptor) -> Result<bool, ClientError> {
        let path = format!("blobs/{}", descriptor.digest);
        let mut ask = Ask::new(Method::GET, path, Access::Pull);
        let first = HeaderValue::from_static("bytes=0-0");
        ask.headers.insert(header::RANGE, first);
        // The body is not read: of a registry that knows no ranges it would be all of the blob.
        match self.ask(&ask, &self.blob_words(descriptor)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Downloads the whole blob into `writer`, or what is missing of it: `hasher` has seen the
    /// first `offset` bytes. `progress` hears how far it is.
    ///
    /// A connection that breaks is taken up where it was. On success the bytes have the
    /// descriptor's size and digest; on an error what was written must not be used.
    pub async fn download_blob(
        &self,
        descriptor: &Descriptor,
        mut hasher: DigestHasher,
        mut offset: u64,
        mut sink: Sink<'_>,
    ) -> Result<(), ClientError> {
        let what = self.blob_words(descriptor);
        let mut fruitless = 0;
        while offset < descriptor.size {
            let before = offset;
            let failure = match self.open_blob(descriptor, offset).await {
                Ok(stream) => {
                    let mut part = Part {
                        what: &what,
                        size: descriptor.size,
                        hasher: &mut hasher,
                        offset: &mut offset,
                    };
                    part.copy(stream, &mut sink).await?
                }
                Err(error @ ClientError::Unreachable { .. }) => Some(error),
                Err(error) => return Err(error),
            };
            let Some(failure) = failure else { break };
            fruitless = if offset > before { 0 } else { fruitless + 1 };
            if fruitless >= MAX_FRUITLESS {
                return Err(failure);
            }
            tracing::debug!(%what, offset, error = %failure, "taking the download up again");
            tokio::time::sleep(backoff(fruitless)).await;
        }
        if offset != descriptor.size {
            return Err(ClientError::WrongSize {
                what,
                expected: descriptor.size,
                actual: offset,
            });
        }
        let actual = hasher.finish();
        if actual != descriptor.digest {
            let expected = descriptor.digest.clone();
            return Err(ClientError::WrongDigest {
                what,
                expected,
                actual,
            });
        }
        Ok(())
    }

    /// How errors name a blob.
    pub(super) fn blob_words(&self, descriptor: &Descriptor) -> String {
        format!("blob {} of {}/{}", descriptor.digest, self.host, self.name)
    }
}

/// Where a download goes, and who is told how far it is.
pub struct Sink<'a> {
    pub writer: &'a mut (dyn AsyncWrite + Send + Unpin),
    /// Bytes of the blob that have arrived, those before this download included.
    pub progress: &'a mut (dyn FnMut(u64) + Send),
}

impl std::fmt::Debug for Sink<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").finish_non_exhaustive()
    }
}

/// One connection's worth of a download.
struct Part<'a> {
    what: &'a str,
    size: u64,
    hasher: &'a mut DigestHasher,
    offset: &'a mut u64,
}

impl Part<'_> {
    /// Copies until the stream ends; a broken stream is an answer, not an error.
    async fn copy(
        &mut self,
        mut stream: BlobStream,
        sink: &mut Sink<'_>,
    ) -> Result<Option<ClientError>, ClientError> {
        let mut skip = *self.offset - stream.offset;
        while let Some(chunk) = stream.bytes.next().await {
            let mut chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    let broken = ClientError::unreachable(self.what.to_owned(), error);
                    return Ok(Some(broken));
                }
            };
            let known = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            let chunk = chunk.split_off(known);
            skip -= known as u64;
            let end = *self.offset + chunk.len() as u64;
            if end > self.size {
                let what = self.what.to_owned();
                return Err(ClientError::WrongSize {
                    what,
                    expected: self.size,
                    actual: end,
                });
            }
            self.hasher.update(&chunk);
            sink.writer
                .write_all(&chunk)
                .await
                .map_err(|source| ClientError::Io {
                    what: self.what.to_owned(),
                    source,
                })?;
            *self.offset = end;
            (sink.progress)(end);
        }
        Ok(None)
    }
}

/// The first number of `bytes 100-199/300`.
fn range_start(value: &HeaderValue) -> Option<u64> {
    value
        .to_str()
        .ok()?
        .strip_prefix("bytes ")?
        .split_once('-')?
        .0
        .parse()
        .ok()
}
