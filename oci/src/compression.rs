//! Compression of layers: what it is, and streams that undo or do it.
//!
//! Blocking streams, for threads that may block: unpacking is bound by the processor. The memory
//! they take is bounded, whatever the packed bytes say.

use std::io::{self, BufRead, Read, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

/// How a layer's bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// Bytes that [`Compression::detect`] wants to see.
const MAGIC_BYTES: u64 = 4;

/// A frame that wants a larger window than this is refused: it would cost that much memory.
/// zstd's own command line has the same limit.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;

impl Compression {
    /// Tells by the first bytes. Media types are not always true; the bytes are.
    pub fn detect(first: &[u8]) -> Self {
        match first {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // The second is a skippable frame, with which an archive may begin.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// The content of a packed stream, whichever way it is packed: several gzip members or zstd
/// frames one after the other are one content.
pub fn decoder<'a>(mut packed: impl BufRead + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    // Not `fill_buf` alone: a pipe may hand out one byte at a time.
    let mut first = Vec::new();
    packed.by_ref().take(MAGIC_BYTES).read_to_end(&mut first)?;
    let compression = Compression::detect(&first);
    let packed = io::Cursor::new(first).chain(packed);
    Ok(match compression {
        Compression::None => Box::new(packed),
        Compression::Gzip => Box::new(MultiGzDecoder::new(packed)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// Packs with gzip, the same bytes for the same content: no time, no name. Call
/// `finish` to have the end written.
pub fn gzip_encoder<W: Write>(writer: W) -> GzEncoder<W> {
    flate2::GzBuilder::new().write(writer, flate2::Compression::default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(packed: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        decoder(packed).unwrap().read_to_end(&mut content).unwrap();
        content
    }

    #[test]
    fn several_members_are_one_content() {
        let gzip = |bytes: &[u8]| {
            let mut encoder = gzip_encoder(Vec::new());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
        assert_eq!(content(b"plain"), b"plain");
        assert_eq!(content(b""), b"");
        assert_eq!(content(&[gzip(b"one "), gzip(b"two")].concat()), b"one two");
        assert_eq!(content(&[zstd(b"one "), zstd(b"two")].concat()), b"one two");
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
        assert_eq!(
            content(&[&skippable, zstd(b"rest").as_slice()].concat()),
            b"rest"
        );
    }

    #[test]
    fn bytes_that_trickle_in_are_recognised() {
        struct Trickle<'a>(&'a [u8]);
        impl Read for Trickle<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let n_bytes = self.0.len().min(buffer.len()).min(1);
                self.0.read(&mut buffer[..n_bytes])
            }
        }
        let mut encoder = gzip_encoder(Vec::new());
        encoder.write_all(b"slow").unwrap();
        let packed = encoder.finish().unwrap();
        let mut out = String::new();
        let trickle = io::BufReader::new(Trickle(&packed));
        decoder(trickle).unwrap().read_to_string(&mut out).unwrap();
        assert_eq!(out, "slow");
    }

    #[test]
    fn the_same_content_packs_to_the_same_bytes() {
        let pack = || {
            let mut encoder = gzip_encoder(Vec::new());
            encoder.write_all(&[5; 9000]).unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(pack(), pack());
        assert_eq!(pack()[4..8], [0; 4], "no time in the header");
    }

    #[test]
    fn a_frame_with_a_huge_window_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(30).unwrap();
        encoder.write_all(&[1; 100]).unwrap();
        let packed = encoder.finish().unwrap();
        let mut out = Vec::new();
        let outcome = decoder(&packed[..]).unwrap().read_to_end(&mut out);
        assert!(outcome.is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_content_or_an_error(
            magic in 0..4_usize, rest in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            let magics: [&[u8]; 4] = [b"", &[0x1f, 0x8b, 8], &[0x28, 0xb5, 0x2f, 0xfd], &[0x50, 0x2a, 0x4d, 0x18]];
            let packed = [magics[magic], &rest].concat();
            let mut content = io::sink();
            let outcome = io::copy(&mut decoder(&packed[..]).unwrap(), &mut content);
            prop_assert!(magic != 0 || outcome.is_ok() || Compression::detect(&packed) != Compression::None);
        }
    }

    #[test]
    fn a_truncated_stream_is_an_error() {
        let mut encoder = gzip_encoder(Vec::new());
        encoder.write_all(&[7; 5000]).unwrap();
        let gzip = encoder.finish().unwrap();
        let zstd = zstd::encode_all(&[7_u8; 5000][..], 3).unwrap();
        for packed in [gzip, zstd] {
            let mut out = Vec::new();
            let cut = &packed[..packed.len() - 3];
            assert!(decoder(cut).unwrap().read_to_end(&mut out).is_err());
        }
    }
}
