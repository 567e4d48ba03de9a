//! Sizes such as `64m`, `1.5GiB` or `512`: powers of 1024, whatever the letter case.

use super::InvalidValue;

/// Parses a size into bytes.
pub(crate) fn parse_bytes(text: &str) -> Result<i64, InvalidValue> {
    let invalid = || InvalidValue::new(format!("invalid size: '{text}'"));
    let end_of_number = text
        .rfind(|c: char| c.is_ascii_digit() || c == '.')
        .ok_or_else(invalid)?
        + 1;
    let (number, suffix) = text.split_at(end_of_number);
    let number: f64 = number.parse().map_err(|_| invalid())?;
    if number < 0.0 {
        return Err(invalid());
    }
    let suffix = suffix.trim_start_matches(' ').to_ascii_lowercase();
    let exponent = match suffix.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return Err(InvalidValue::new(format!("invalid suffix: '{suffix}'"))),
    };
    let bytes = number * 1024_f64.powi(exponent);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "the range is checked on the line before; a fraction of a byte is dropped"
    )]
    if bytes >= i64::MAX as f64 {
        Err(invalid())
    } else {
        Ok(bytes as i64)
    }
}

/// The same, with `-1` for "no limit" (`--memory-swap`).
pub(crate) fn parse_bytes_or_unlimited(text: &str) -> Result<i64, InvalidValue> {
    if text == "-1" {
        Ok(-1)
    } else {
        parse_bytes(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes() {
        let cases = [
            ("0", 0),
            ("32", 32),
            ("32b", 32),
            ("32B", 32),
            ("32k", 32 << 10),
            ("32K", 32 << 10),
            ("32kb", 32 << 10),
            ("32KiB", 32 << 10),
            ("64m", 64 << 20),
            ("64 MB", 64 << 20),
            ("1.5g", 3 << 29),
            ("2Tb", 2 << 40),
            ("1p", 1 << 50),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "hello", "-32", "32m32", "1.2.3", "32x", "k", "9999999p"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
        assert_eq!(parse_bytes_or_unlimited("-1"), Ok(-1));
        assert_eq!(parse_bytes_or_unlimited("1k"), Ok(1024));
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,12}") {
            _ = parse_bytes(&text);
        }
    }
}
