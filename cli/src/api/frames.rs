//! The framing of a container's output when it has no terminal: eight bytes that say which
//! stream and how long, then that many bytes.
//! <https://docs.docker.com/reference/api/engine/version/v1.50/#tag/Container/operation/ContainerAttach>

use bytes::{Buf, Bytes, BytesMut};

use super::ApiError;

const HEADER_BYTES: usize = 8;

/// Where a piece of output belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StandardStream {
    Out,
    Error,
    /// The agent's own words in the middle of the output: it could not go on.
    System,
}

/// Takes the stream apart, whatever the sizes of the pieces it arrives in.
///
/// Payloads are handed on as they come: a frame of many megabytes is never collected.
#[derive(Debug, Default)]
pub(crate) struct FrameDecoder {
    pending: BytesMut,
    /// The frame that is being handed on, and how much of it is still to come.
    current: Option<(StandardStream, usize)>,
}

impl FrameDecoder {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next piece of payload, or `None` when more bytes are needed.
    pub(crate) fn next_piece(&mut self) -> Result<Option<(StandardStream, Bytes)>, ApiError> {
        loop {
            if let Some((stream, remaining)) = self.current {
                if remaining == 0 {
                    self.current = None;
                    continue;
                }
                if self.pending.is_empty() {
                    return Ok(None);
                }
                let n_bytes = remaining.min(self.pending.len());
                self.current = Some((stream, remaining - n_bytes));
                return Ok(Some((stream, self.pending.split_to(n_bytes).freeze())));
            }
            if self.pending.len() < HEADER_BYTES {
                return Ok(None);
            }
            let stream = match self.pending[0] {
                // Input that is echoed back has always gone to standard output.
                0 | 1 => StandardStream::Out,
                2 => StandardStream::Error,
                3 => StandardStream::System,
                other => return Err(ApiError::UnknownFrame(other)),
            };
            self.pending.advance(4);
            self.current = Some((stream, self.pending.get_u32() as usize));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[kind, 0, 0, 0][..], &length, payload].concat()
    }

    #[test]
    fn an_unknown_kind_is_an_error() {
        let mut decoder = FrameDecoder::default();
        decoder.feed(&frame(9, b"x"));
        assert!(matches!(
            decoder.next_piece(),
            Err(ApiError::UnknownFrame(9))
        ));
    }

    #[test]
    fn an_empty_frame_is_skipped() {
        let mut decoder = FrameDecoder::default();
        decoder.feed(&[frame(1, b""), frame(2, b"e\n")].concat());
        let (stream, bytes) = decoder.next_piece().unwrap().unwrap();
        assert_eq!((stream, &bytes[..]), (StandardStream::Error, &b"e\n"[..]));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_streams(
            frames in prop::collection::vec((1_u8..=2, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
            cut in 1_usize..20,
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(kind, payload)| frame(*kind, payload)).collect();
            let mut decoder = FrameDecoder::default();
            let (mut out, mut error) = (Vec::new(), Vec::new());
            for piece in bytes.chunks(cut) {
                decoder.feed(piece);
                while let Some((stream, payload)) = decoder.next_piece().unwrap() {
                    if stream == StandardStream::Out { out.extend(payload) } else { error.extend(payload) }
                }
            }
            let expected = |wanted: u8| -> Vec<u8> {
                frames.iter().filter(|(kind, _)| *kind == wanted).flat_map(|(_, payload)| payload.clone()).collect()
            };
            prop_assert_eq!(out, expected(1));
            prop_assert_eq!(error, expected(2));
        }

        #[test]
        fn rubbish_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut decoder = FrameDecoder::default();
            decoder.feed(&bytes);
            while let Ok(Some(_)) = decoder.next_piece() {}
        }
    }
}
