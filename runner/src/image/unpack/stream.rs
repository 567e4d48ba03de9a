//! A packed layer as a stream of uncompressed bytes: decompressed on a thread of its own, hashed on
//! another, counted where it is used.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use hythe_oci::{Digest, DigestHasher, compression};

use super::UnpackError;

/// Large enough that handing one over costs nothing beside filling it.
const CHUNK_BYTES: usize = 512 << 10;

/// Chunks on their way: the decoder works ahead of a burst of small files by this much.
const MAX_CHUNKS: usize = 4;

/// Runs `consume` on the content of `packed`, to its end; also returns the digest of it.
pub(super) fn with_content<T>(
    packed: impl Read + Send,
    hasher: DigestHasher,
    limit_bytes: u64,
    consume: impl FnOnce(&mut Content) -> Result<T, UnpackError>,
) -> Result<(T, Digest), UnpackError> {
    let (unpacked, to_hash) = sync_channel(MAX_CHUNKS);
    let (hashed, filled) = sync_channel(MAX_CHUNKS);
    let (empty, empty_receiver) = sync_channel(2 * MAX_CHUNKS + 2);
    thread::scope(|scope| {
        thread::Builder::new()
            .name("decompress".to_owned())
            .spawn_scoped(scope, move || {
                decompress(packed, &unpacked, &empty_receiver);
            })
            .map_err(UnpackError::Decompress)?;
        let hashing = thread::Builder::new()
            .name("hash".to_owned())
            .spawn_scoped(scope, move || hash(hasher, &to_hash, &hashed))
            .map_err(UnpackError::Decompress)?;
        let mut content = Content {
            filled,
            empty,
            chunk: Vec::new(),
            used: 0,
            left_bytes: limit_bytes,
            limit_bytes,
        };
        // An error drops `content`, whose closed channel ends the threads.
        let result = consume(&mut content)?;
        drop(content);
        let digest = hashing.join().map_err(|_| UnpackError::Cancelled)?;
        Ok((result, digest))
    })
}

type Chunk = io::Result<Vec<u8>>;

/// Fills chunks until the content, an error, or the interest in it ends.
fn decompress(packed: impl Read + Send, filled: &SyncSender<Chunk>, empty: &Receiver<Vec<u8>>) {
    let packed = BufReader::with_capacity(CHUNK_BYTES, packed);
    let mut content = match compression::decoder(packed) {
        Ok(content) => content,
        Err(error) => {
            // Nobody listens any more: nothing to tell.
            drop(filled.send(Err(error)));
            return;
        }
    };
    loop {
        let mut chunk = empty.try_recv().unwrap_or_default();
        chunk.resize(CHUNK_BYTES, 0);
        let mut n_bytes = 0;
        let mut failure = None;
        // Never into an empty buffer, which zstd takes for a caller that makes no progress.
        while n_bytes < CHUNK_BYTES {
            match content.read(&mut chunk[n_bytes..]) {
                Ok(0) => break,
                Ok(n) => n_bytes += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        chunk.truncate(n_bytes);
        let is_last = n_bytes < CHUNK_BYTES;
        let is_wanted = filled.send(Ok(chunk)).is_ok();
        if let Some(error) = failure {
            drop(filled.send(Err(error)));
        }
        if is_last || !is_wanted {
            return;
        }
    }
}

/// Hashes chunks on their way, until they end or nobody wants them any more.
fn hash(mut hasher: DigestHasher, chunks: &Receiver<Chunk>, hashed: &SyncSender<Chunk>) -> Digest {
    for chunk in chunks {
        if let Ok(bytes) = &chunk {
            hasher.update(bytes);
        }
        if hashed.send(chunk).is_err() {
            break;
        }
    }
    hasher.finish()
}

/// The uncompressed bytes.
#[derive(Debug)]
pub(super) struct Content {
    filled: Receiver<Chunk>,
    empty: SyncSender<Vec<u8>>,
    chunk: Vec<u8>,
    used: usize,
    left_bytes: u64,
    limit_bytes: u64,
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let n_bytes = available.len().min(buffer.len());
        buffer[..n_bytes].copy_from_slice(&available[..n_bytes]);
        self.consume(n_bytes);
        Ok(n_bytes)
    }
}

impl BufRead for Content {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.chunk.len()
            // A closed channel is the end: errors come through it.
            && let Ok(chunk) = self.filled.recv()
        {
            let old = std::mem::replace(&mut self.chunk, chunk?);
            self.used = 0;
            // A full channel only means that the buffer is freed instead of used again.
            drop(self.empty.try_send(old));
            self.left_bytes = self
                .left_bytes
                .checked_sub(self.chunk.len() as u64)
                .ok_or_else(|| {
                    let limit = self.limit_bytes;
                    io::Error::other(UnpackError::TooLarge { limit })
                })?;
        }
        Ok(&self.chunk[self.used..])
    }

    fn consume(&mut self, n_bytes: usize) {
        self.used += n_bytes;
    }
}
