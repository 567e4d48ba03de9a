//! Reads a segment from the local disk.
//!
//! What is in the page cache is copied where the request is served: handing a
//! piece to another thread and back costs more than the copy, and a buffer that
//! was just filled is still in this processor's cache when it is sent. Only
//! what the disk has to be asked for goes to a thread that may wait.
//!
//! For a socket that can send files it is not copied at all.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, LazyLock};

use bytes::{Buf as _, Bytes};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use rustix::io::{Errno, ReadWriteFlags};
use tokio::task::spawn_blocking;

use super::spare::Spare;
use super::{Reader, StoreError};
use crate::sys::mapped;

/// How much is read at a time: large enough that the work per piece is small,
/// small enough to stay in a processor's own cache.
const PIECE_BYTES: usize = 128 * 1024;

/// How much the disk is asked for when a piece was not in memory.
const AHEAD_BYTES: usize = 1024 * 1024;

/// Buffers that are kept for the next reads, of all requests.
const SPARE_BUFFERS: usize = 64;

/// How much is given to a socket at a time that sends files.
const SENT_BYTES: usize = 1024 * 1024;

/// The bytes `range` of an open file.
pub(super) fn read(
    file: File,
    range: Range<u64>,
    reader: Reader,
) -> BoxStream<'static, Result<Bytes, StoreError>> {
    let file = Arc::new(file);
    // Without it everything is copied, as when the process has too many.
    let mapped = match reader {
        Reader::Socket if range.end - range.start >= mapped::MIN_BYTES as u64 => {
            mapped::map(&file, &range).unwrap_or_default()
        }
        Reader::Socket | Reader::Program => Bytes::new(),
    };
    let reading = Reading {
        file,
        left: range,
        mapped,
    };
    stream::try_unfold(reading, |mut reading| async move {
        if reading.left.is_empty() {
            return Ok(None);
        }
        let piece = match reading.next_mapped().await {
            Some(piece) => piece,
            None => next(&reading.file, &reading.left)
                .await
                .map_err(|error| StoreError::disk("reading a segment", error))?,
        };
        reading.pass(piece.len());
        Ok(Some((piece, reading)))
    })
    .boxed()
}

struct Reading {
    file: Arc<File>,
    left: Range<u64>,
    /// What is left, as a socket takes it; nothing for another reader.
    mapped: Bytes,
}

impl Reading {
    /// The first bytes that are left, if they are not to be copied; in memory by
    /// then.
    async fn next_mapped(&self) -> Option<Bytes> {
        let size = self.mapped.len().min(SENT_BYTES);
        if size < mapped::MIN_BYTES {
            return None;
        }
        if !self.is_there(size) {
            let (file, start) = (Arc::clone(&self.file), self.left.start);
            let reading = spawn_blocking(move || read_in(&file, start, size));
            reading.await.ok().filter(|all| *all)?;
        }
        Some(self.mapped.slice(..size))
    }

    /// Whether so many of the bytes that are left are in memory: what is between
    /// the two was read with them, and if not, the socket waits a little.
    fn is_there(&self, size: usize) -> bool {
        let end = self.left.start + size as u64;
        let is_there = |at| matches!(read_cached(&self.file, &mut [0], at), Ok(1));
        is_there(self.left.start) && is_there(end - 1)
    }

    fn pass(&mut self, n_bytes: usize) {
        self.left.start += n_bytes as u64;
        self.mapped.advance(n_bytes.min(self.mapped.len()));
    }
}

/// The first bytes of `left`, at least one.
async fn next(file: &Arc<File>, left: &Range<u64>) -> io::Result<Bytes> {
    let size = usize::try_from(left.end - left.start).map_or(PIECE_BYTES, |n| n.min(PIECE_BYTES));
    let mut piece = Piece::take();
    match read_cached(file, &mut piece.buffer[..size], left.start) {
        // Not in memory, or a file system that cannot tell.
        Ok(0) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => {}
        Ok(read) => return Ok(piece.filled(read)),
        Err(errno) => return Err(errno.into()),
    }
    let (file, start) = (Arc::clone(file), left.start);
    spawn_blocking(move || {
        read_in(&file, start, AHEAD_BYTES);
        match file.read_at(&mut piece.buffer[..size], start)? {
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file is shorter than its row says",
            )),
            read => Ok(piece.filled(read)),
        }
    })
    .await
    .unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Has a part of a file read into the page cache, without copying it anywhere;
/// false when not all of it was. Blocking; why is for the reader to find out.
///
/// Not by `posix_fadvise(2)`: what `WILLNEED` reads lies in single pages, which take
/// a socket twice the processor time of the large ones that reading in order
/// makes.
fn read_in(file: &File, start: u64, size: usize) -> bool {
    static NOWHERE: LazyLock<io::Result<File>> =
        LazyLock::new(|| File::options().write(true).open("/dev/null"));
    let Ok(nowhere) = &*NOWHERE else {
        return false;
    };
    let (mut at, end) = (start, start + size as u64);
    while at < end {
        let left = usize::try_from(end - at).unwrap_or(size);
        match rustix::fs::sendfile(nowhere, file, Some(&mut at), left) {
            Ok(1..) | Err(Errno::INTR) => {}
            Ok(0) | Err(_) => return false,
        }
    }
    true
}

/// Copies what is in the page cache; never waits for the disk (preadv2(2)).
fn read_cached(file: &File, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let buffers = &mut [IoSliceMut::new(buffer)];
    rustix::io::preadv2(file, buffers, offset, ReadWriteFlags::NOWAIT)
}

/// For the next reads.
static SPARE: Spare = Spare::new(PIECE_BYTES, SPARE_BUFFERS);

/// A buffer that goes back to the spare ones when the last reader is done.
struct Piece {
    buffer: Box<[u8]>,
    size: usize,
}

impl Piece {
    fn take() -> Self {
        Self {
            buffer: SPARE.take(),
            size: 0,
        }
    }

    fn filled(mut self, size: usize) -> Bytes {
        self.size = size;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.size]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        SPARE.give_back(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use futures_util::TryStreamExt as _;
    use rustix::fs::Advice;

    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn pattern(size: usize) -> Vec<u8> {
        (0..=250).cycle().take(size).collect()
    }

    async fn read_all(file: File, range: Range<u64>, by: Reader) -> Result<Vec<u8>, StoreError> {
        let pieces: Vec<Bytes> = read(file, range, by).try_collect().await?;
        Ok(pieces.concat())
    }

    #[tokio::test]
    async fn any_range_is_read_whether_it_is_in_memory_or_not() {
        let content = pattern(3 * PIECE_BYTES + 17);
        let end = content.len() as u64;
        for range in [
            0..end,
            1..end,
            0..1,
            end - 1..end,
            7..PIECE_BYTES as u64 + 9,
        ] {
            for by in [Reader::Program, Reader::Socket] {
                let cached = file(&content);
                let cold = cached.try_clone().unwrap();
                cold.sync_all().unwrap();
                rustix::fs::fadvise(&cold, 0, None, Advice::DontNeed).unwrap();
                let expected = &content
                    [usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
                assert!(read_all(cold, range.clone(), by).await.unwrap() == expected);
                assert!(read_all(cached, range.clone(), by).await.unwrap() == expected);
            }
        }
    }

    #[tokio::test]
    async fn a_file_that_is_too_short_is_an_error() {
        let long = 2 * PIECE_BYTES as u64;
        for by in [Reader::Program, Reader::Socket] {
            read_all(file(&pattern(10)), 0..11, by).await.unwrap_err();
            let cut = file(&pattern(10));
            read_all(cut, 0..long, by).await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn what_a_socket_gets_is_not_copied() {
        let content = pattern(2 * SENT_BYTES + 5);
        let end = content.len() as u64;
        let cold = file(&content);
        cold.sync_all().unwrap();
        rustix::fs::fadvise(&cold, 0, None, Advice::DontNeed).unwrap();
        for file in [file(&content), cold] {
            let pieces: Vec<Bytes> = read(file, 0..end, Reader::Socket)
                .try_collect()
                .await
                .unwrap();
            let of_a_file = |piece: &&Bytes| mapped::file_of(piece).is_some();
            assert_eq!(pieces.iter().filter(of_a_file).count(), 2);
        }
    }

    #[tokio::test]
    async fn buffers_are_used_again_and_bounded_in_number() {
        let pieces: Vec<Bytes> = (0..2 * SPARE_BUFFERS)
            .map(|_| Piece::take().filled(PIECE_BYTES))
            .collect();
        drop(pieces);
        assert!(SPARE.n_kept() <= SPARE_BUFFERS);
    }
}
