//! `--since` and `--until`: an instant, a date in local time, a unix time, or how long ago.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{InvalidValue, parse_duration};

/// Parses a moment into what the API takes: unix seconds with nanoseconds behind the dot.
pub(crate) fn parse_moment(
    text: &str,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<String, InvalidValue> {
    let invalid = || {
        InvalidValue::new(format!(
            "failed to parse value as time or duration: {text:?}"
        ))
    };
    if let Ok(ago) = parse_duration(text)
        && text != "0"
    {
        let ago = SignedDuration::try_from(ago).map_err(|_| invalid())?;
        return now.checked_sub(ago).map(unix).map_err(|_| invalid());
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(unix(timestamp));
    }
    if let Ok(local) = text.parse::<DateTime>() {
        let zoned = local.to_zoned(zone.clone()).map_err(|_| invalid())?;
        return Ok(unix(zoned.timestamp()));
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if digits(seconds.strip_prefix('-').unwrap_or(seconds)) && digits(fraction) {
        return Ok(text.to_owned());
    }
    Err(invalid())
}

fn unix(timestamp: Timestamp) -> String {
    // The sign belongs to the whole number, so the fraction is only written without it.
    let nanoseconds = timestamp.subsec_nanosecond().unsigned_abs();
    format!("{}.{nanoseconds:09}", timestamp.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let now: Timestamp = "2024-01-02T03:04:05Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let cases = [
            ("10s", "1704164635.000000000"),
            ("1h", "1704161045.000000000"),
            ("2024-01-02T03:04:05.5Z", "1704164645.500000000"),
            ("2024-01-02T03:04:05+01:00", "1704161045.000000000"),
            ("2024-01-02T05:04:05", "1704164645.000000000"),
            ("2024-01-02", "1704146400.000000000"),
            ("1704164645", "1704164645"),
            ("1704164645.25", "1704164645.25"),
            ("0", "0"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                parse_moment(text, now, &zone).as_deref(),
                Ok(expected),
                "{text}"
            );
        }
        for text in ["", "yesterday", "12:", "1.x", "--5"] {
            assert!(parse_moment(text, now, &zone).is_err(), "{text}");
        }
    }
}
