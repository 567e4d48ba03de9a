//! The keys that leave a container's terminal without ending the container.

use crate::values::InvalidValue;

/// ctrl-p, ctrl-q.
const DEFAULT: [u8; 2] = [16, 17];

/// Watches what is typed for the sequence.
#[derive(Debug, Clone)]
pub(crate) struct DetachKeys {
    sequence: Vec<u8>,
    /// How much of the sequence was typed, and is being held back.
    n_matched: usize,
}

/// What became of some typed bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// These go to the container; they may be fewer than were typed, or more.
    Pass(Vec<u8>),
    /// The sequence is complete. What was typed before it goes to the container.
    Detach(Vec<u8>),
}

impl DetachKeys {
    /// `ctrl-a,b`: single characters and `ctrl-` with a letter or one of `@[\]^_`.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, InvalidValue> {
        let sequence = match text {
            None => DEFAULT.to_vec(),
            Some(text) => text.split(',').map(key).collect::<Result<_, _>>()?,
        };
        Ok(Self {
            sequence,
            n_matched: 0,
        })
    }

    pub(crate) fn feed(&mut self, typed: &[u8]) -> Typed {
        let mut pass = Vec::with_capacity(typed.len());
        for &byte in typed {
            if byte == self.sequence[self.n_matched] {
                self.n_matched += 1;
                if self.n_matched == self.sequence.len() {
                    self.n_matched = 0;
                    return Typed::Detach(pass);
                }
                continue;
            }
            // What looked like the beginning was ordinary input after all.
            pass.extend_from_slice(&self.sequence[..self.n_matched]);
            self.n_matched = 0;
            if byte == self.sequence[0] && self.sequence.len() > 1 {
                self.n_matched = 1;
            } else {
                pass.push(byte);
            }
        }
        Typed::Pass(pass)
    }
}

fn key(text: &str) -> Result<u8, InvalidValue> {
    let invalid = || {
        InvalidValue::new(format!(
            "invalid detach keys: \"{text}\" is neither a character nor ctrl- with one of a-z@[\\]^_"
        ))
    };
    match text.strip_prefix("ctrl-").unwrap_or(text).as_bytes() {
        [letter @ (b'a'..=b'z' | b'@' | b'['..=b'_')] if text.starts_with("ctrl-") => {
            // A control character is the letter without its upper bits.
            Ok(letter & 0x1f)
        }
        [byte] if text.len() == 1 && byte.is_ascii() => Ok(*byte),
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(text: Option<&str>) -> DetachKeys {
        DetachKeys::parse(text).unwrap()
    }

    #[test]
    fn keys_are_read() {
        assert_eq!(keys(None).sequence, [16, 17]);
        assert_eq!(
            keys(Some("ctrl-a,x,ctrl-@,ctrl-_")).sequence,
            [1, b'x', 0, 31]
        );
        for text in ["", "ctrl-", "ctrl-1", "ab", "a,,b", "ü"] {
            assert!(DetachKeys::parse(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_lone_first_key_is_passed_on_with_its_follower() {
        let mut keys = keys(None);
        assert_eq!(keys.feed(&[b'a', 16]), Typed::Pass(vec![b'a']));
        assert_eq!(keys.feed(b"b"), Typed::Pass(vec![16, b'b']));
        assert_eq!(keys.feed(&[16, 16]), Typed::Pass(vec![16]));
        assert_eq!(keys.feed(&[17, b'c']), Typed::Detach(vec![]));
    }

    #[test]
    fn what_came_before_the_sequence_is_not_lost() {
        assert_eq!(keys(Some("x")).feed(b"abxc"), Typed::Detach(b"ab".to_vec()));
    }

    proptest! {
        #[test]
        fn without_the_sequence_nothing_is_lost(typed in prop::collection::vec(0_u8..16, 0..64), cut in 1_usize..9) {
            let mut keys = keys(None);
            let mut passed = Vec::new();
            for piece in typed.chunks(cut) {
                if let Typed::Pass(bytes) = keys.feed(piece) { passed.extend(bytes) }
            }
            prop_assert_eq!(passed, typed);
        }
    }
}
