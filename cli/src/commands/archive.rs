//! Archives on their way: an answer into a file or standard output, a file or standard input
//! into a request.

use std::io;
use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::Stream;
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;
use tokio::io::{AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinHandle;
use tokio_util::io::{ReaderStream, SyncIoBridge};

use crate::api::ApiError;
use crate::terminal;

const BUFFER_BYTES: usize = 256 * 1024;

/// Refuses to write an archive to a terminal, before anything is asked of the agent.
pub(super) fn refuse_terminal(output: Option<&Path>) -> anyhow::Result<()> {
    if output.is_none() && terminal::output_is_terminal() {
        anyhow::bail!("cowardly refusing to save to a terminal. Use the -o flag or redirect");
    }
    Ok(())
}

/// Writes the answer's body to the file, which appears whole or not at all, or to standard
/// output.
pub(super) async fn save(
    response: Response<Incoming>,
    output: Option<&Path>,
) -> anyhow::Result<()> {
    let Some(path) = output else {
        return copy(response.into_body(), &mut tokio::io::stdout()).await;
    };
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let failed = || format!("failed to save to {}", path.display());
    // A device or a pipe is written to, not replaced.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        let mut file = tokio::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .await
            .with_context(failed)?;
        return copy(response.into_body(), &mut file)
            .await
            .with_context(failed);
    }
    let temporary = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .tempfile_in(folder)
        .with_context(failed)?;
    let mut file = tokio::fs::File::from_std(temporary.reopen().with_context(failed)?);
    copy(response.into_body(), &mut file)
        .await
        .with_context(failed)?;
    temporary.persist(path).with_context(failed)?;
    Ok(())
}

async fn copy(mut body: Incoming, output: &mut (impl AsyncWrite + Unpin)) -> anyhow::Result<()> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(ApiError::Connection)?.into_data() {
            output.write_all(&data).await?;
        }
    }
    output.flush().await?;
    Ok(())
}

/// The file's bytes, or those of standard input for `None`.
pub(super) async fn open(
    path: Option<&Path>,
) -> anyhow::Result<futures_util::stream::BoxStream<'static, io::Result<Bytes>>> {
    use futures_util::StreamExt as _;
    Ok(match path {
        Some(path) => {
            let file = tokio::fs::File::open(path)
                .await
                .with_context(|| format!("open {}", path.display()))?;
            ReaderStream::with_capacity(file, BUFFER_BYTES).boxed()
        }
        None => input().context("cannot read standard input")?.boxed(),
    })
}

/// An archive that is made while it is being read.
#[derive(Debug)]
pub(super) struct Packing {
    stream: ReaderStream<DuplexStream>,
    work: JoinHandle<anyhow::Result<u64>>,
}

impl Packing {
    /// Starts packing: `fill` puts the entries in, on a thread of its own.
    pub(super) fn start(
        fill: impl FnOnce(&mut tar::Builder<Pipe>) -> anyhow::Result<()> + Send + 'static,
    ) -> Self {
        let (sender, receiver) = tokio::io::duplex(BUFFER_BYTES);
        let pipe = Pipe {
            inner: SyncIoBridge::new(sender),
            n_bytes: 0,
        };
        let work = tokio::task::spawn_blocking(move || {
            let mut builder = tar::Builder::new(pipe);
            builder.follow_symlinks(false);
            fill(&mut builder)?;
            let mut pipe = builder.into_inner()?;
            pipe.inner.shutdown()?;
            Ok(pipe.n_bytes)
        });
        Self {
            stream: ReaderStream::with_capacity(receiver, BUFFER_BYTES),
            work,
        }
    }

    /// Splits off the stream, which a request consumes.
    pub(super) fn into_parts(self) -> (ReaderStream<DuplexStream>, Packed) {
        (self.stream, Packed(self.work))
    }
}

/// What became of a packing.
#[derive(Debug)]
pub(super) struct Packed(JoinHandle<anyhow::Result<u64>>);

impl Packed {
    /// The bytes packed, once `sent` is known.
    ///
    /// A request that broke off explains why packing did; packing that broke off while the
    /// request went well is the error.
    pub(super) async fn after<T>(self, sent: Result<T, ApiError>) -> anyhow::Result<(T, u64)> {
        let packed = self.0.await.context("packing ended early")?;
        Ok((sent?, packed?))
    }
}

/// The packing thread's end of the stream; counts what passes.
#[derive(Debug)]
pub(super) struct Pipe {
    inner: SyncIoBridge<DuplexStream>,
    n_bytes: u64,
}

impl io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n_bytes = self.inner.write(bytes)?;
        self.n_bytes += n_bytes as u64;
        Ok(n_bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn input() -> io::Result<impl Stream<Item = io::Result<Bytes>> + Send> {
    let mut receiver = terminal::standard_input()?;
    Ok(futures_util::stream::poll_fn(move |context| {
        receiver.poll_recv(context)
    }))
}
