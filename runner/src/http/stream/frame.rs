//! Docker's multiplexed stream: stdout and stderr on one connection, each piece with a header.
//!
//! ```text
//! ┌────────┬───────┬─────────────────────┬─────────┐
//! │ stream │ 0 0 0 │ length, big-endian  │ payload │
//! │ 1 byte │       │ 4 bytes             │         │
//! └────────┴───────┴─────────────────────┴─────────┘
//! ```

use axum::body::Body;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::StreamExt as _;

use crate::engine::OutputStream;
use crate::http::target::ApiVersion;
use crate::spec::StdStream;

const RAW: &str = "application/vnd.docker.raw-stream";
const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

/// The media type of a process's output. Clients before 1.42 know only the one for raw streams.
pub(crate) fn stream_media_type(tty: bool, version: ApiVersion) -> &'static str {
    if !tty && version >= ApiVersion::new(1, 42) {
        MULTIPLEXED
    } else {
        RAW
    }
}

/// The eight bytes in front of a piece.
pub(super) fn header(stream: StdStream, length: usize) -> [u8; 8] {
    let number = match stream {
        StdStream::Stdout => 1,
        StdStream::Stderr => 2,
    };
    // A piece never comes near 4 GiB; output is read in buffers of some KiB.
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [number, 0, 0, 0, a, b, c, d]
}

/// Output as a body of frames. An error of the source ends it, with its text on stderr.
pub(crate) fn framed_body(output: OutputStream) -> Body {
    Body::from_stream(output.map(|piece| {
        let (stream, payload) = piece_or_error(piece);
        let mut frame = BytesMut::with_capacity(8 + payload.len());
        frame.put_slice(&header(stream, payload.len()));
        frame.put_slice(&payload);
        Ok::<_, std::convert::Infallible>(frame.freeze())
    }))
}

/// A terminal's output as a body: the bytes and nothing else.
pub(crate) fn raw_body(output: OutputStream) -> Body {
    Body::from_stream(
        output.map(|piece| Ok::<_, std::convert::Infallible>(piece_or_error(piece).1)),
    )
}

/// The headers are long gone when a source fails: all that is left is to say so in the stream.
pub(super) fn piece_or_error(
    piece: Result<(StdStream, Bytes), crate::engine::EngineError>,
) -> (StdStream, Bytes) {
    piece.unwrap_or_else(|error| {
        (
            StdStream::Stderr,
            Bytes::from(format!("Error from daemon in stream: {error}\r\n")),
        )
    })
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::engine::EngineError;

    #[test]
    fn headers_have_stream_and_length() {
        assert_eq!(header(StdStream::Stderr, 2), [2, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(header(StdStream::Stdout, 65_536), [1, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn old_clients_see_raw_streams_only() {
        let cases = [
            (false, ApiVersion::new(1, 42), MULTIPLEXED),
            (false, ApiVersion::new(1, 41), RAW),
            (true, ApiVersion::new(1, 50), RAW),
        ];
        for (tty, version, media_type) in cases {
            assert_eq!(stream_media_type(tty, version), media_type);
        }
    }

    #[tokio::test]
    async fn an_error_is_the_last_frame() {
        let pieces = [
            Ok((StdStream::Stdout, Bytes::from_static(b"e\n"))),
            Err(EngineError::Internal("gone".to_owned())),
        ];
        let body = framed_body(stream::iter(pieces).boxed());
        let bytes = axum::body::to_bytes(body, 1024).await.unwrap();
        let text = b"Error from daemon in stream: gone\r\n";
        let mut expected = vec![1, 0, 0, 0, 0, 0, 0, 2, b'e', b'\n', 2, 0, 0, 0, 0, 0, 0, 35];
        expected.extend_from_slice(text);
        assert_eq!(bytes, expected);
    }
}
