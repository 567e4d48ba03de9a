//! `--cpus 1.5`: a decimal, kept exactly as billionths.

use super::InvalidValue;

const NANO_DIGITS: usize = 9;

/// Parses a number of CPUs into nano-CPUs.
pub(crate) fn parse_cpus(text: &str) -> Result<i64, InvalidValue> {
    let invalid = || InvalidValue::new(format!("failed to parse {text} as a rational number"));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(invalid());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > NANO_DIGITS {
        return Err(InvalidValue::new("value is too precise"));
    }
    format!("{whole}{fraction:0<NANO_DIGITS$}")
        .parse()
        .map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus() {
        let cases = [
            ("1", 1_000_000_000),
            ("0.5", 500_000_000),
            (".25", 250_000_000),
            ("2.", 2_000_000_000),
            ("0.000000001", 1),
            ("1.5000000000000", 1_500_000_000),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_cpus(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            ".",
            "-1",
            "1e3",
            "a",
            "0.0000000001",
            "99999999999999999999",
        ] {
            assert!(parse_cpus(text).is_err(), "{text}");
        }
    }
}
