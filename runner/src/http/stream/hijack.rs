//! Attach and exec: after the answer's head the connection is no HTTP any more, but the
//! container's stdin one way and its output the other.
//!
//! ```text
//! handler ── Response + Hijack ──► serve: takes the socket out of hyper ──► Hijack::run
//! ```
//!
//! A client that asks with `Upgrade: tcp` is answered 101; one that does not gets `200 OK` and
//! raw bytes without length or chunks. hyper can only let go of a connection for the first, so
//! both go the one way above. A client must not send a further request before the answer: what
//! hyper has buffered for an earlier one would be lost. None does.
//!
//! Each direction closes on its own: a client that has sent all of its stdin shuts down its
//! side and still reads; the container's output ending ends the connection.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::Response;
use bytes::{Buf, Bytes};
use futures_util::StreamExt as _;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt as _, BufReader};

use super::connection::Connection;
use super::frame::{header, piece_or_error, stream_media_type};
use super::websocket;
use crate::engine::{Attached, InputSink, OutputStream};
use crate::http::target::ApiVersion;

/// Size of the buffer between a client and a container's stdin.
const INPUT_BUFFER_BYTES: usize = 64 * 1024;

/// How long input is still thrown away once the output has ended. Closing a socket that has
/// unread bytes would give the client "connection reset" in place of the end of the output.
const LINGER: Duration = Duration::from_secs(1);

/// How the client wants its connection back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upgrade {
    asked: bool,
    version: ApiVersion,
}

impl Upgrade {
    /// The answer that gives the connection to `attached`.
    pub(crate) fn answer(self, attached: Attached) -> Response {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        if self.asked {
            let media_type = stream_media_type(attached.tty, self.version);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        } else {
            let media_type = stream_media_type(true, self.version);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
        claim(&mut response, attached, Protocol::Raw);
        response
    }
}

/// What is spoken once the connection is no HTTP any more.
#[derive(Debug, Clone, Copy)]
pub(super) enum Protocol {
    Raw,
    WebSocket,
}

/// Marks an answer as the last of its connection.
pub(super) fn claim(response: &mut Response, attached: Attached, protocol: Protocol) {
    let claim = Claim(Arc::new(Mutex::new(Some((attached, protocol)))));
    response.extensions_mut().insert(claim);
}

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let version = parts.extensions.get().copied();
        Ok(Self {
            asked: parts.headers.contains_key(UPGRADE),
            version: version.unwrap_or(ApiVersion::MAX),
        })
    }
}

/// Rides on a response after which the connection belongs to a container. Extensions must be
/// `Clone`; the stream inside is taken once.
#[derive(Debug, Clone)]
struct Claim(Arc<Mutex<Option<(Attached, Protocol)>>>);

/// A connection's second life: the answer's head, then the container's streams.
#[derive(Debug)]
pub(crate) struct Hijack {
    head: Vec<u8>,
    attached: Attached,
    protocol: Protocol,
}

impl Hijack {
    /// `None` for an ordinary answer.
    pub(crate) fn claimed_by(answer: &mut Response) -> Option<Self> {
        let claim = answer.extensions_mut().remove::<Claim>()?;
        let (attached, protocol) = claim
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        let head = head(answer);
        Some(Self {
            head,
            attached,
            protocol,
        })
    }

    /// Writes the head, then carries bytes both ways until the output ends or the client is
    /// gone. `early` is what the client sent after its request.
    pub(crate) async fn run(self, mut stream: impl Connection, early: Bytes) {
        let carried = async {
            stream.write_all(&self.head).await?;
            stream.flush().await?;
            match self.protocol {
                Protocol::Raw => carry(stream, early, self.attached).await,
                Protocol::WebSocket => websocket::carry(stream, early, self.attached).await,
            }
        };
        if let Err(error) = carried.await {
            // The client went away in the middle: nobody is left to be told.
            tracing::debug!(%error, "hijacked connection ended");
        }
    }
}

async fn carry(stream: impl Connection, early: Bytes, attached: Attached) -> io::Result<()> {
    let closed = stream.watch()?;
    closed.let_read().await;
    let (reader, writer) = tokio::io::split(stream);

    let source = tokio::io::AsyncReadExt::chain(io::Cursor::new(early), reader);
    let source = BufReader::with_capacity(INPUT_BUFFER_BYTES, source);
    let mut input = pin!(feed(source, attached.input));
    let mut output = pin!(send(writer, attached.output, attached.tty));
    let mut input_open = true;
    loop {
        tokio::select! {
            result = &mut output => { result?; break }
            there = &mut input, if input_open => {
                if !there {
                    return Ok(());
                }
                input_open = false;
            }
            () = closed.wait() => return Ok(()),
        }
    }
    if input_open {
        tokio::select! {
            _there = input => {}
            () = closed.wait() => {}
            () = tokio::time::sleep(LINGER) => {}
        }
    }
    Ok(())
}

/// The client's bytes to stdin; its end of file closes stdin. A container that reads no more
/// leaves the rest to be thrown away, so that the client is not stuck in a write. False means
/// that the client broke off: it reads no more either.
async fn feed(mut source: impl AsyncBufRead + Unpin, input: Option<InputSink>) -> bool {
    if let Some(mut sink) = input {
        let copied = tokio::io::copy_buf(&mut source, &mut sink).await;
        let finished = match copied {
            Ok(_) => sink.shutdown().await,
            Err(error) => Err(error),
        };
        if let Err(error) = finished {
            tracing::debug!(%error, "stdin of the container takes no more");
        }
    }
    let rest = tokio::io::copy_buf(&mut source, &mut tokio::io::sink()).await;
    if let Err(error) = &rest {
        tracing::debug!(%error, "client broke off");
    }
    rest.is_ok()
}

/// Output to the client, then its end; the next piece is asked for when this one is sent.
async fn send(
    mut writer: impl AsyncWrite + Unpin,
    mut output: OutputStream,
    tty: bool,
) -> io::Result<()> {
    while let Some(piece) = output.next().await {
        let (stream, payload) = piece_or_error(piece);
        if tty {
            writer.write_all(&payload).await?;
        } else {
            let header = header(stream, payload.len());
            let mut frame = Buf::chain(header.as_slice(), payload);
            writer.write_all_buf(&mut frame).await?;
        }
        // TLS may hold back a record that the socket did not take at once.
        writer.flush().await?;
    }
    writer.shutdown().await
}

/// The head as it goes over the wire. Docker's own reason for 101 is "UPGRADED". The length that
/// the router saw is that of the empty body under the hijack; what follows has none.
fn head(answer: &Response) -> Vec<u8> {
    let line: &[u8] = if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        b"HTTP/1.1 101 UPGRADED\r\n"
    } else {
        b"HTTP/1.1 200 OK\r\n"
    };
    let mut head = line.to_vec();
    let headers = answer.headers().iter();
    for (name, value) in headers.filter(|(name, _)| *name != CONTENT_LENGTH) {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;
    use tokio_util::io::ReaderStream;

    use super::*;
    use crate::engine::EngineError;
    use crate::spec::StdStream;

    /// A container that runs `cat`: what is written to stdin comes out, its end ends the output.
    fn cat(tty: bool) -> Attached {
        let (sink, source) = tokio::io::duplex(4096);
        let output = ReaderStream::new(source)
            .map_ok(|bytes| (StdStream::Stdout, bytes))
            .map_err(|error| EngineError::Internal(error.to_string()));
        Attached {
            tty,
            output: output.boxed(),
            input: Some(Box::pin(sink)),
        }
    }

    fn hijack(attached: Attached, asked: bool) -> Hijack {
        let upgrade = Upgrade {
            asked,
            version: ApiVersion::MAX,
        };
        Hijack::claimed_by(&mut upgrade.answer(attached)).unwrap()
    }

    async fn read_head(client: &mut UnixStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    #[tokio::test]
    async fn a_large_stdin_comes_back_unchanged_after_a_half_close() {
        let (server, mut client) = UnixStream::pair().unwrap();
        let hijack = hijack(cat(true), true);
        let early = Bytes::from_static(b"early ");
        let serving = tokio::spawn(async move { hijack.run(server, early).await });

        let head = read_head(&mut client).await;
        assert!(head.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{head}");
        assert!(head.contains("upgrade: tcp\r\n"), "{head}");

        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let (mut reader, mut writer) = client.into_split();
        let expected = [b"early ".as_slice(), &sent].concat();
        let write = async {
            writer.write_all(&sent).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let mut got = Vec::new();
        let ((), read) = tokio::join!(write, reader.read_to_end(&mut got));
        read.unwrap();
        assert!(got == expected, "{} bytes came back", got.len());
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn without_upgrade_the_answer_is_200_and_frames_stay() {
        let (server, mut client) = UnixStream::pair().unwrap();
        let hijack = hijack(cat(false), false);
        let serving = tokio::spawn(async move { hijack.run(server, Bytes::new()).await });
        client.write_all(b"hi").await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = String::new();
        client.read_to_string(&mut got).await.unwrap();
        let expected = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.docker.raw-stream\r\n\r\n\
                        \u{1}\0\0\0\0\0\0\u{2}hi";
        assert_eq!(got, expected);
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_goes_away_lets_go_of_a_silent_container() {
        let (server, client) = UnixStream::pair().unwrap();
        let (input, mut stdin) = tokio::io::duplex(64);
        let attached = Attached {
            tty: true,
            output: futures_util::stream::pending().boxed(),
            input: Some(Box::pin(input)),
        };
        let hijack = hijack(attached, true);
        let serving = tokio::spawn(async move { hijack.run(server, Bytes::new()).await });
        drop(client);
        serving.await.unwrap();
        assert_eq!(stdin.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_half_closed_client_still_gets_the_output() {
        let (server, mut client) = UnixStream::pair().unwrap();
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let output = futures_util::stream::unfold(receiver, |mut receiver| async {
            let bytes: Bytes = receiver.recv().await?;
            Some((Ok((StdStream::Stdout, bytes)), receiver))
        });
        let attached = Attached {
            tty: true,
            output: output.boxed(),
            input: None,
        };
        let hijack = hijack(attached, true);
        let serving = tokio::spawn(async move { hijack.run(server, Bytes::new()).await });
        read_head(&mut client).await;
        client.shutdown().await.unwrap();
        sender.send(Bytes::from_static(b"late")).await.unwrap();
        drop(sender);
        let mut got = String::new();
        client.read_to_string(&mut got).await.unwrap();
        assert_eq!(got, "late");
        serving.await.unwrap();
    }
}
