//! Bytes between a caller and a process: what attach, logs and exec hand to `http`.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::io::AsyncWrite;

use super::error::EngineError;
use crate::spec::StdStream;

/// Output of a process or of its log, in order. Dropping it lets go of the source.
pub type OutputStream = BoxStream<'static, Result<(StdStream, Bytes), EngineError>>;

/// A tar archive or another body, in pieces.
pub type ByteStream = BoxStream<'static, std::io::Result<Bytes>>;

/// Where a caller's keystrokes go. Shutdown is end of file; a write that fails with
/// `BrokenPipe` means that nobody reads any more (the process ended, or the detach keys came).
pub type InputSink = Pin<Box<dyn AsyncWrite + Send>>;

/// A connection to the standard streams of a container or exec.
pub struct Attached {
    /// A terminal's output goes without frames.
    pub tty: bool,
    /// Ends when the process has, or when the detach keys were typed.
    pub output: OutputStream,
    /// `None` when stdin was not asked for.
    pub input: Option<InputSink>,
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached")
            .field("tty", &self.tty)
            .field("input", &self.input.is_some())
            .finish_non_exhaustive()
    }
}

/// The log of a container, ready to be sent: timestamps and details are already in the bytes.
pub struct Logs {
    /// A terminal's log is not framed.
    pub tty: bool,
    pub output: OutputStream,
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs")
            .field("tty", &self.tty)
            .finish_non_exhaustive()
    }
}
