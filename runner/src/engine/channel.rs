//! Bytes between threads that block and streams that do not, with back-pressure both ways.

use std::io::{self, BufWriter, Read, Write};

use bytes::{Buf as _, Bytes};
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::mpsc;

use crate::engine::ByteStream;

const CHUNK_BYTES: usize = 64 << 10;
const N_CHUNKS: usize = 8;

type Chunk = io::Result<Bytes>;

/// What `write` writes, as a stream; it ends with the error that `write` ended with. A dropped
/// stream lets `write` fail.
pub(in crate::engine) fn written(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> ByteStream {
    let (sender, receiver) = mpsc::channel::<Chunk>(N_CHUNKS);
    tokio::task::spawn_blocking(move || {
        let mut writer = BufWriter::with_capacity(CHUNK_BYTES, ChunkWriter(sender.clone()));
        let result = write(&mut writer).and_then(|()| writer.flush());
        if let Err(error) = result {
            // Nobody listens any more, or they get to know.
            drop(sender.blocking_send(Err(error)));
        }
    });
    stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    })
    .boxed()
}

struct ChunkWriter(mpsc::Sender<Chunk>);

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream for a thread that blocks.
pub(in crate::engine) fn reader(mut body: ByteStream) -> impl Read + Send + 'static {
    let (sender, receiver) = mpsc::channel::<Chunk>(N_CHUNKS);
    tokio::spawn(async move {
        while let Some(chunk) = body.next().await {
            if sender.send(chunk).await.is_err() {
                return;
            }
        }
    });
    ChunkReader {
        receiver,
        current: Bytes::new(),
    }
}

struct ChunkReader {
    receiver: mpsc::Receiver<Chunk>,
    current: Bytes,
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(chunk) => self.current = chunk?,
            }
        }
        let n_bytes = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..n_bytes]);
        Ok(n_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_comes_out_of_the_reader() {
        let sent: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let expected = sent.clone();
        let stream = written(move |writer| writer.write_all(&sent));
        let mut reader = reader(stream);
        let received = tokio::task::spawn_blocking(move || {
            let mut received = Vec::new();
            reader.read_to_end(&mut received).map(|_| received)
        });
        assert_eq!(received.await.unwrap().unwrap(), expected);
    }

    #[tokio::test]
    async fn errors_end_the_stream() {
        let stream = written(|_| Err(io::Error::other("no")));
        let chunks: Vec<Chunk> = stream.collect().await;
        assert!(chunks.len() == 1 && chunks[0].is_err());
    }
}
