//! The streams of a process as the daemon sees them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWrite;

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
pub struct AttachOutput {}

/// What the process reads. Shutdown (or dropping it) is end of file.
#[derive(Debug)]
pub struct AttachInput {}

impl Stream for AttachOutput {
    type Item = io::Result<(StdStream, Bytes)>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        todo!()
    }
}

impl AsyncWrite for AttachInput {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        todo!()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        todo!()
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        todo!()
    }
}
