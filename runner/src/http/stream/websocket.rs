//! Attach over a websocket (RFC 6455): what the container writes goes out as messages without
//! frames of our own, and what messages hold goes to its stdin.
//!
//! The handshake is an ordinary answer; then the connection is taken out of hyper as for every
//! other attach (`hijack`).

use std::io;
use std::pin::pin;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::connection::Connection;
use super::frame::piece_or_error;
use super::hijack::{Protocol, claim};
use crate::engine::{Attached, InputSink, OutputStream};
use crate::http::error::ApiError;

/// Longest message that is taken; a message is held in memory as a whole.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// A client's handshake that can be answered.
#[derive(Debug)]
pub(crate) struct Handshake {
    accept: HeaderValue,
}

impl Handshake {
    fn read(headers: &HeaderMap) -> Option<Self> {
        let says = |name: HeaderName, wanted: &str| {
            let values = headers.get_all(name).into_iter();
            values
                .filter_map(|value| value.to_str().ok())
                .flat_map(|text| text.split(','))
                .any(|word| word.trim().eq_ignore_ascii_case(wanted))
        };
        let complete = says(UPGRADE, "websocket")
            && says(CONNECTION, "upgrade")
            && says(SEC_WEBSOCKET_VERSION, "13");
        let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| complete)?;
        let accept = derive_accept_key(key.as_bytes());
        let accept = HeaderValue::from_str(&accept).ok()?;
        Some(Self { accept })
    }

    /// The answer that gives the connection to `attached`.
    pub(crate) fn answer(self, attached: Attached) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        claim(&mut response, attached, Protocol::WebSocket);
        response
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Handshake {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::read(&parts.headers)
            .ok_or_else(|| ApiError::bad_parameter("not a websocket handshake of version 13"))
    }
}

/// Carries messages both ways until the output ends or the client is gone. `early` is what the
/// client sent after its handshake.
pub(super) async fn carry(
    stream: impl Connection,
    early: Bytes,
    attached: Attached,
) -> io::Result<()> {
    let closed = stream.watch()?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let early = early.to_vec();
    let socket =
        WebSocketStream::from_partially_read(stream, early, Role::Server, Some(config)).await;
    let (sink, source) = socket.split();
    let input = pin!(feed(source, attached.input));
    let output = pin!(send(sink, attached.output));
    tokio::select! {
        result = output => result,
        () = input => Ok(()),
        () = closed.wait() => Ok(()),
    }
}

/// Messages to stdin until the client says goodbye, which also lets go of the output.
async fn feed<S: Connection>(
    mut source: SplitStream<WebSocketStream<S>>,
    mut input: Option<InputSink>,
) {
    while let Some(Ok(message)) = source.next().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => text.into(),
            Message::Close(_) => return,
            // Pings are answered below us.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        let Some(sink) = &mut input else {
            continue;
        };
        let written = async {
            sink.write_all(&bytes).await?;
            sink.flush().await
        };
        if let Err(error) = written.await {
            tracing::debug!(%error, "stdin of the container takes no more");
            input = None;
        }
    }
}

async fn send<S: Connection>(
    mut sink: SplitSink<WebSocketStream<S>, Message>,
    mut output: OutputStream,
) -> io::Result<()> {
    while let Some(piece) = output.next().await {
        let (_, payload) = piece_or_error(piece);
        let sent = sink.send(Message::Binary(payload)).await;
        sent.map_err(io::Error::other)?;
    }
    sink.close().await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, 1.3.
    #[test]
    fn only_a_whole_handshake_is_accepted() {
        let headers = |leave_out: &str| {
            let all = [
                ("upgrade", "websocket"),
                ("connection", "keep-alive, Upgrade"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ];
            let given = all.into_iter().filter(|(name, _)| *name != leave_out);
            given
                .map(|(name, value)| {
                    let name = HeaderName::from_static(name);
                    (name, HeaderValue::from_static(value))
                })
                .collect::<HeaderMap>()
        };
        let accepted = Handshake::read(&headers("")).unwrap();
        assert_eq!(accepted.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for missing in [
            "upgrade",
            "connection",
            "sec-websocket-version",
            "sec-websocket-key",
        ] {
            assert!(Handshake::read(&headers(missing)).is_none(), "{missing}");
        }
    }
}
