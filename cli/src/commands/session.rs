//! Being attached to a process: its output to ours, our input to it, our terminal's size to its.
//!
//! Used by run, start, attach and exec, which differ in how the process comes to be and in what
//! its end means.

use anyhow::Context as _;
use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use crate::api::{Api, ApiError, Call, FrameDecoder, Hijacked, StandardStream};
use crate::terminal::{self, DetachKeys, RawMode, Typed};

const BUFFER_BYTES: usize = 64 * 1024;

/// What is connected, and how.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) input: bool,
    pub(super) tty: bool,
    pub(super) detach_keys: DetachKeys,
    /// Whether somebody passes signals on to the process; else they end the session.
    pub(super) signals_passed_on: bool,
}

/// Why a session is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The process's output is at its end.
    Output,
    /// The user typed the detach keys; the process goes on.
    Detached,
    /// We are to end, with a shell's code for the signal; the process goes on.
    Signal(u8),
}

impl Session {
    /// Moves bytes until the output ends, the user detaches or a signal ends us.
    ///
    /// The user's terminal is in raw mode for as long as this runs, and restored on every way out.
    pub(super) async fn relay(self, connection: Hijacked) -> anyhow::Result<Ended> {
        if !(self.tty && self.input) {
            return self.relay_bytes(connection).await;
        }
        let _raw = RawMode::enter().context("cannot set the terminal to raw mode")?;
        let ends = !self.signals_passed_on;
        tokio::select! {
            ended = self.relay_bytes(connection) => ended,
            signal = terminal::end_of_command(), if ends => {
                Ok(Ended::Signal(128 + u8::try_from(signal? as i32)?))
            }
        }
    }

    async fn relay_bytes(&self, connection: Hijacked) -> anyhow::Result<Ended> {
        let Hijacked { reader, writer } = connection;
        let output = copy(reader, self.tty);
        if !self.input {
            output.await?;
            return Ok(Ended::Output);
        }
        tokio::pin!(output);
        let keys = self.tty.then(|| self.detach_keys.clone());
        tokio::select! {
            finished = &mut output => {
                finished?;
                Ok(Ended::Output)
            }
            forwarded = forward_input(writer, keys) => match forwarded? {
                InputEnded::Detached => Ok(Ended::Detached),
                InputEnded::AtEnd(_writer) => {
                    // The writer lives on: dropping it could close the other direction too.
                    output.await?;
                    Ok(Ended::Output)
                }
            },
        }
    }
}

/// Moves output to its end: a terminal's as it is, any other out of its frames.
pub(super) async fn copy(reader: impl AsyncRead + Unpin, tty: bool) -> anyhow::Result<()> {
    if tty {
        copy_output(reader).await
    } else {
        copy_frames(reader).await
    }
}

/// Moves a terminal's output, which is one stream.
async fn copy_output(mut reader: impl AsyncRead + Unpin) -> anyhow::Result<()> {
    let mut stdout = tokio::io::stdout();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let n_bytes = reader.read(&mut buffer).await.map_err(ApiError::Read)?;
        if n_bytes == 0 {
            return Ok(());
        }
        stdout.write_all(&buffer[..n_bytes]).await?;
        stdout.flush().await?;
    }
}

/// Moves output in frames, each to the stream it names.
async fn copy_frames(mut reader: impl AsyncRead + Unpin) -> anyhow::Result<()> {
    let mut stdout = tokio::io::stdout();
    let mut stderr = tokio::io::stderr();
    let mut decoder = FrameDecoder::default();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut agent_said = Vec::new();
    loop {
        let n_bytes = reader.read(&mut buffer).await.map_err(ApiError::Read)?;
        if n_bytes == 0 {
            break;
        }
        decoder.feed(&buffer[..n_bytes]);
        while let Some((stream, piece)) = decoder.next_piece()? {
            match stream {
                StandardStream::Out => stdout.write_all(&piece).await?,
                StandardStream::Error => stderr.write_all(&piece).await?,
                StandardStream::System => agent_said.extend_from_slice(&piece),
            }
        }
        stdout.flush().await?;
        stderr.flush().await?;
    }
    if agent_said.is_empty() {
        Ok(())
    } else {
        Err(anyhow::Error::msg(
            String::from_utf8_lossy(&agent_said).trim_end().to_owned(),
        ))
        .context("error from daemon in stream")
    }
}

enum InputEnded<W> {
    AtEnd(W),
    Detached,
}

/// Sends standard input on; with `keys` the user may detach.
async fn forward_input<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut keys: Option<DetachKeys>,
) -> anyhow::Result<InputEnded<W>> {
    let mut input = terminal::standard_input().context("cannot read standard input")?;
    while let Some(piece) = input.recv().await {
        let piece = piece.context("cannot read standard input")?;
        let written = match &mut keys {
            None => writer.write_all(&piece).await,
            Some(keys) => match keys.feed(&piece) {
                Typed::Pass(bytes) => writer.write_all(&bytes).await,
                Typed::Detach(bytes) => {
                    // Whether these last bytes arrive does not matter to somebody who leaves.
                    _ = writer.write_all(&bytes).await;
                    return Ok(InputEnded::Detached);
                }
            },
        };
        if written.is_err() {
            // A process that reads no more is not an error; its output tells the rest.
            return Ok(InputEnded::AtEnd(writer));
        }
        // Nothing is kept back: a shell shows each letter as it is typed.
        _ = writer.flush().await;
    }
    _ = writer.shutdown().await;
    Ok(InputEnded::AtEnd(writer))
}

/// A task that ends with the value.
#[derive(Debug)]
pub(super) struct Background(JoinHandle<()>);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Keeps the process's terminal as large as ours; `path` is that of the resize call.
pub(super) fn follow_size(api: &Api, path: String) -> anyhow::Result<Background> {
    let mut changes = terminal::size_changes().context("cannot watch the terminal's size")?;
    let api = api.clone();
    Ok(Background(tokio::spawn(async move {
        loop {
            if let Some(size) = terminal::size() {
                let call = Call::post(path.clone())
                    .query("h", size.rows.to_string())
                    .query("w", size.columns.to_string());
                // The process may be gone, or not be there yet; the next change tries again.
                _ = api.status(call).await;
            }
            if changes.next().await.is_none() {
                return;
            }
        }
    })))
}

/// Refuses a terminal session when there is no terminal to type at.
pub(super) fn check_terminal(input: bool, tty: bool) -> anyhow::Result<()> {
    if input && tty && !terminal::input_is_terminal() {
        anyhow::bail!("the input device is not a TTY");
    }
    Ok(())
}
