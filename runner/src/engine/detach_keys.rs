//! The keys that let go of a container and leave it running: a state machine over typed bytes.
//!
//! Bytes that could be the beginning of the sequence are held back until it is clear whether
//! they are; a sequence that breaks off is passed on whole, so that a lone ctrl-p still reaches
//! the program. Without a terminal the input is data, in which the sequence may occur by chance:
//! there it counts only when each key comes alone, as docker has it. Pure: reads and writes are
//! in `attach`.

use super::error::EngineError;

/// ctrl-p ctrl-q.
const DEFAULT: [u8; 2] = [0x10, 0x11];

/// Watches for one sequence of keys.
#[derive(Debug, Clone)]
pub(super) struct DetachKeys {
    sequence: Vec<u8>,
    /// Only bytes that come alone are keys.
    one_by_one: bool,
    /// How many bytes of the sequence have been typed and are held back.
    n_matched: usize,
}

/// What became of a piece of input.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Typed {
    /// Bytes for the program.
    pub(super) passed: Vec<u8>,
    /// The sequence is complete; whatever followed it is dropped.
    pub(super) detached: bool,
}

impl DetachKeys {
    /// `text` as `--detach-keys` takes it: characters or `ctrl-X`, separated by commas.
    pub(super) fn parse(text: Option<&str>, tty: bool) -> Result<Self, EngineError> {
        let sequence = match text {
            None | Some("") => DEFAULT.to_vec(),
            Some(text) => text.split(',').map(key).collect::<Result<_, _>>()?,
        };
        Ok(Self {
            sequence,
            one_by_one: !tty,
            n_matched: 0,
        })
    }

    /// Takes typed bytes in order.
    pub(super) fn typed(&mut self, input: &[u8]) -> Typed {
        if self.one_by_one && input.len() != 1 {
            let mut passed = self.held_back();
            passed.extend_from_slice(input);
            return Typed {
                passed,
                detached: false,
            };
        }
        let mut passed = Vec::with_capacity(input.len());
        for &byte in input {
            if self.advance(byte, &mut passed) {
                return Typed {
                    passed,
                    detached: true,
                };
            }
        }
        Typed {
            passed,
            detached: false,
        }
    }

    /// What is still held back when input ends.
    pub(super) fn held_back(&mut self) -> Vec<u8> {
        let held = self.sequence[..self.n_matched].to_vec();
        self.n_matched = 0;
        held
    }

    /// True when `byte` completes the sequence.
    fn advance(&mut self, byte: u8, passed: &mut Vec<u8>) -> bool {
        while self.sequence[self.n_matched] != byte {
            if self.n_matched == 0 {
                passed.push(byte);
                return false;
            }
            // The held bytes begin no sequence at their start, but may at a later place
            // (ctrl-p ctrl-p ctrl-q): give up as few of them as possible.
            let matched = &self.sequence[..self.n_matched];
            let keep = (0..self.n_matched)
                .rev()
                .find(|&n| matched[self.n_matched - n..] == self.sequence[..n])
                .unwrap_or(0);
            passed.extend_from_slice(&matched[..self.n_matched - keep]);
            self.n_matched = keep;
        }
        self.n_matched += 1;
        if self.n_matched == self.sequence.len() {
            self.n_matched = 0;
            return true;
        }
        false
    }
}

/// One key as the byte a terminal sends for it.
fn key(text: &str) -> Result<u8, EngineError> {
    let bad = || EngineError::InvalidParameter(format!("Unknown character: '{text}'"));
    let control = |c: u8| match c {
        b'a'..=b'z' => Ok(c - b'a' + 1),
        b'@' => Ok(0),
        b'[' | b'\\' | b']' | b'^' | b'_' => Ok(c - b'[' + 27),
        _ => Err(bad()),
    };
    match text.to_ascii_lowercase().as_bytes() {
        [b'c', b't', b'r', b'l', b'-', c] => control(*c),
        [b'd', b'e', b'l'] => Ok(127),
        [_] => Ok(text.as_bytes()[0]),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_parse() {
        let cases: [(&str, &[u8]); 6] = [
            ("ctrl-p,ctrl-q", &[16, 17]),
            ("ctrl-a,d", &[1, b'd']),
            ("x", b"x"),
            ("X", b"X"),
            ("ctrl-@,ctrl-_", &[0, 31]),
            ("DEL", &[127]),
        ];
        for (text, bytes) in cases {
            assert_eq!(
                DetachKeys::parse(Some(text), true).unwrap().sequence,
                bytes,
                "{text}"
            );
        }
        for bad in ["ctrl-", "ctrl-1", "ab", ",", "ctrl-p,"] {
            assert!(DetachKeys::parse(Some(bad), true).is_err(), "{bad}");
        }
        assert_eq!(DetachKeys::parse(None, true).unwrap().sequence, DEFAULT);
    }

    #[test]
    fn sequence_detaches_and_everything_else_passes() {
        // Pieces typed, bytes passed, whether it detached.
        type Case = (&'static [&'static [u8]], &'static [u8], bool);
        let cases: [Case; 8] = [
            (&[b"ls\n"], b"ls\n", false),
            (&[b"\x10\x11"], b"", true),
            (&[b"a\x10", b"\x11b"], b"a", true),
            (&[b"\x10x"], b"\x10x", false),
            (&[b"\x10", b"x"], b"\x10x", false),
            (&[b"\x10\x10\x11"], b"\x10", true),
            (&[b"\x11\x10"], b"\x11", false),
            (&[b"\x10\x11rest"], b"", true),
        ];
        for (pieces, expected, detached) in cases {
            let mut keys = DetachKeys::parse(None, true).unwrap();
            let mut passed = Vec::new();
            let mut done = false;
            for piece in pieces {
                let typed = keys.typed(piece);
                passed.extend(typed.passed);
                done = done || typed.detached;
            }
            assert_eq!(
                (passed.as_slice(), done),
                (expected, detached),
                "{pieces:?}"
            );
        }
    }

    #[test]
    fn data_is_no_keys() {
        let mut keys = DetachKeys::parse(None, false).unwrap();
        assert_eq!(keys.typed(b"\x10\x11").passed, b"\x10\x11");
        assert!(keys.typed(b"\x10").passed.is_empty());
        assert_eq!(keys.typed(b"ab").passed, b"\x10ab");
        assert!(keys.typed(b"\x10").passed.is_empty());
        assert!(keys.typed(b"\x11").detached);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_invented(pieces in prop::collection::vec(
            prop::collection::vec(prop::sample::select(vec![b'a', b'b', b'c']), 0..6), 0..6)
        ) {
            // "aabaa" overlaps with itself, the hard case for giving back held bytes.
            let mut keys = DetachKeys::parse(Some("a,a,b,a,a"), true).unwrap();
            let all: Vec<u8> = pieces.concat();
            let mut passed = Vec::new();
            let mut detached = false;
            for piece in &pieces {
                let typed = keys.typed(piece);
                passed.extend(typed.passed);
                if typed.detached {
                    detached = true;
                    break;
                }
            }
            let found = all.windows(5).position(|window| window == b"aabaa");
            prop_assert_eq!(detached, found.is_some());
            if let Some(at) = found {
                prop_assert_eq!(&passed[..], &all[..at]);
            } else {
                passed.extend(keys.held_back());
                prop_assert_eq!(passed, all);
            }
        }
    }
}
