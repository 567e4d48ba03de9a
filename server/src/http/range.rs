//! `Range`, `Content-Range` and their answers (RFC 9110 section 14, and the
//! distribution specification's own form of it for chunks).

use std::ops::Range;

/// What a `Range` header asks of a representation of known size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: no header, or one that RFC 9110 says to ignore.
    Whole,
    /// These bytes; never empty.
    Part(Range<u64>),
    /// Nothing that exists: 416.
    Unsatisfiable,
}

/// Reads a `Range` header. Several ranges at once are answered with the whole,
/// which section 14.2 allows: no client of a registry asks for them.
pub(crate) fn wanted(header: Option<&str>, size_bytes: u64) -> Wanted {
    let Some(spec) = header.and_then(|value| value.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    let Some((first, last)) = spec.split_once('-') else {
        return Wanted::Whole;
    };
    match (number(first), number(last)) {
        (Number::Some(first), Number::None) => part(first, size_bytes, size_bytes),
        (Number::Some(first), Number::Some(last)) => {
            // Such a range is invalid, and an invalid header may be ignored;
            // but 416 is what the conformance suite expects of it.
            if last < first {
                return Wanted::Unsatisfiable;
            }
            part(first, last.saturating_add(1), size_bytes)
        }
        (Number::None, Number::Some(suffix)) => {
            part(size_bytes.saturating_sub(suffix), size_bytes, size_bytes)
        }
        (Number::None, Number::None) | (Number::Bad, _) | (_, Number::Bad) => Wanted::Whole,
    }
}

fn part(first: u64, end: u64, size_bytes: u64) -> Wanted {
    let end = end.min(size_bytes);
    if first < end {
        Wanted::Part(first..end)
    } else {
        Wanted::Unsatisfiable
    }
}

/// The `Content-Range` of a partial answer.
pub(crate) fn content_range(part: &Range<u64>, size_bytes: u64) -> String {
    format!("bytes {}-{}/{size_bytes}", part.start, part.end - 1)
}

/// The `Range` of an upload's answer: the last byte received, inclusive. With
/// none received there is no such thing to say; `0-0` is what every registry
/// answers and every client expects.
pub(crate) fn received(offset_bytes: u64) -> String {
    format!("0-{}", offset_bytes.saturating_sub(1))
}

/// Reads a chunk's `Content-Range`: `<first>-<last>`, both inclusive, and
/// nothing else (end-5). As an exclusive range.
pub(crate) fn chunk(header: &str) -> Option<Range<u64>> {
    let (first, last) = header.trim().split_once('-')?;
    match (number(first), number(last)) {
        (Number::Some(first), Number::Some(last)) if first <= last => {
            Some(first..last.checked_add(1)?)
        }
        _ => None,
    }
}

enum Number {
    None,
    Some(u64),
    Bad,
}

/// Digits only: no sign, no space. More digits than fit are as good as the
/// largest number, which is beyond the end of anything.
fn number(text: &str) -> Number {
    if text.is_empty() {
        Number::None
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Number::Some(text.parse().unwrap_or(u64::MAX))
    } else {
        Number::Bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_of_a_thousand_bytes() {
        for (header, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=500-", Wanted::Part(500..1000)),
            ("bytes=-500", Wanted::Part(500..1000)),
            ("bytes=-5000", Wanted::Part(0..1000)),
            ("bytes=0-999", Wanted::Part(0..1000)),
            ("bytes=200-5000", Wanted::Part(200..1000)),
            ("bytes=999-99999999999999999999999", Wanted::Part(999..1000)),
            ("bytes=1000-", Wanted::Unsatisfiable),
            ("bytes=5000-10000", Wanted::Unsatisfiable),
            ("bytes=500-0", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(wanted(Some(header), 1000), expected, "{header}");
        }
        assert_eq!(wanted(None, 1000), Wanted::Whole);
        assert_eq!(wanted(Some("bytes=0-0"), 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn chunks_have_the_specifications_own_form() {
        for (header, expected) in [
            ("0-0", Some(0..1)),
            ("0-99", Some(0..100)),
            ("100-199", Some(100..200)),
            ("5-4", None),
            ("-4", None),
            ("4-", None),
            ("bytes=0-4", None),
            ("bytes 0-4/5", None),
            ("0-18446744073709551615", None),
            ("", None),
        ] {
            assert_eq!(chunk(header), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_nor_beyond_the_end(header in "(bytes=)?[0-9a-z=, +-]{0,24}", size in 0..5000u64) {
            if let Wanted::Part(part) = wanted(Some(&header), size) {
                prop_assert!(part.start < part.end);
                prop_assert!(part.end <= size);
            }
        }

        #[test]
        fn a_chunk_reads_back(first in 0..u64::MAX / 2, size in 1..u64::MAX / 4) {
            let range = first..first + size;
            prop_assert_eq!(chunk(&format!("{}-{}", range.start, range.end - 1)), Some(range));
        }

        #[test]
        fn no_header_panics(header in ".{0,40}") {
            chunk(&header);
            wanted(Some(&header), 10);
        }
    }
}
