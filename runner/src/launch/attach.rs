//! The streams of a process as the daemon sees them.

use std::io::{self, Cursor};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWrite, Chain};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::codec::{Decoder, FramedRead};

use super::message::OutputFrame;
use crate::spec::StdStream;

/// Which streams a client wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachStdio {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// A connection to the streams of a process. Each half can be dropped alone.
#[derive(Debug)]
pub struct AttachStream {
    pub output: AttachOutput,
    pub input: AttachInput,
}

/// What the process writes. Ends after its last byte.
///
/// A client that does not read holds the process back, as a full pipe does.
#[derive(Debug)]
pub struct AttachOutput(FramedRead<Chain<Cursor<Vec<u8>>, OwnedReadHalf>, OutputDecoder>);

/// What the process reads. Shutdown (or dropping it) is end of file; a write fails with
/// `BrokenPipe` once nobody reads.
#[derive(Debug)]
pub struct AttachInput(OwnedWriteHalf);

#[derive(Debug, Default)]
struct OutputDecoder {
    /// The head whose bytes are still arriving.
    head: Option<OutputFrame>,
}

impl AttachStream {
    /// Takes a connection that carries streams from now on; `arrived` came already.
    pub(super) fn over(stream: UnixStream, arrived: &[u8]) -> Self {
        let (reader, writer) = stream.into_split();
        // Read like the rest: what is only put into the buffer of a `FramedRead` is not looked at
        // before more has come, and a prompt is all that a shell says until it is spoken to.
        let reader = Cursor::new(arrived.to_vec()).chain(reader);
        Self {
            output: AttachOutput(FramedRead::new(reader, OutputDecoder::default())),
            input: AttachInput(writer),
        }
    }
}

impl Decoder for OutputDecoder {
    type Item = (StdStream, Bytes);
    type Error = io::Error;

    fn decode(&mut self, source: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        let head = if let Some(head) = self.head {
            head
        } else {
            let Some(bytes) = source.first_chunk::<{ OutputFrame::SIZE }>() else {
                return Ok(None);
            };
            let head = OutputFrame::decode(*bytes)
                .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
            drop(source.split_to(OutputFrame::SIZE));
            *self.head.insert(head)
        };
        let length_bytes = head.length_bytes as usize;
        if source.len() < length_bytes {
            source.reserve(length_bytes - source.len());
            return Ok(None);
        }
        self.head = None;
        Ok(Some((head.stream, source.split_to(length_bytes).freeze())))
    }

    /// A shim that was killed leaves half a frame: its end is the end.
    fn decode_eof(&mut self, source: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        let last = self.decode(source)?;
        if last.is_none() {
            source.clear();
        }
        Ok(last)
    }
}

impl Stream for AttachOutput {
    type Item = io::Result<(StdStream, Bytes)>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match Pin::new(&mut self.0).poll_next(context) {
            // The shim closed its end with input in it that the process never read (unix(7));
            // all that it had written was read before this.
            Poll::Ready(Some(Err(error))) if error.kind() == io::ErrorKind::ConnectionReset => {
                Poll::Ready(None)
            }
            polled => polled,
        }
    }
}

impl AsyncWrite for AttachInput {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn a_shim_that_ends_before_it_read_all_input_is_the_end_of_output() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut stream = AttachStream::over(ours, &[]);
        stream.input.write_all(b"never read").await.unwrap();
        let head = OutputFrame {
            stream: StdStream::Stdout,
            length_bytes: 1,
        };
        let frame = [head.encode().as_slice(), b"y"].concat();
        theirs.writable().await.unwrap();
        assert_eq!(theirs.try_write(&frame).unwrap(), frame.len());
        drop(theirs);
        let seen = stream.output.next().await.unwrap().unwrap();
        assert_eq!(seen, (StdStream::Stdout, Bytes::from_static(b"y")));
        assert!(stream.output.next().await.is_none());
    }

    #[tokio::test]
    async fn what_came_with_the_reply_is_not_kept_back() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let head = OutputFrame {
            stream: StdStream::Stdout,
            length_bytes: 2,
        };
        let mut stream = AttachStream::over(ours, &[head.encode().as_slice(), b"# "].concat());
        let prompt = stream.output.next().await.unwrap().unwrap();
        assert_eq!(prompt, (StdStream::Stdout, Bytes::from_static(b"# ")));
        drop(theirs);
        assert!(stream.output.next().await.is_none());
    }

    #[test]
    fn frames_come_out_whole_however_they_arrive() {
        let head = OutputFrame {
            stream: StdStream::Stderr,
            length_bytes: 3,
        };
        let mut bytes = head.encode().to_vec();
        bytes.extend(b"abc");
        let mut decoder = OutputDecoder::default();
        let mut source = BytesMut::new();
        let mut seen = Vec::new();
        for byte in bytes.iter().chain(&bytes) {
            source.extend([*byte]);
            seen.extend(decoder.decode(&mut source).unwrap());
        }
        let frame = (StdStream::Stderr, Bytes::from_static(b"abc"));
        assert_eq!(seen, [frame.clone(), frame]);
        source.extend(&bytes[..6]);
        assert!(decoder.decode_eof(&mut source).unwrap().is_none());
        assert!(source.is_empty());
    }
}
