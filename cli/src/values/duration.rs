//! Durations as Go writes them: `300ms`, `1m30s`, `2h45m`.

use std::time::Duration;

use super::InvalidValue;

/// Parses a duration that is not negative.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, InvalidValue> {
    let invalid = || InvalidValue::new(format!("time: invalid duration \"{text}\""));
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let end_of_number = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| {
                InvalidValue::new(format!("time: missing unit in duration \"{text}\""))
            })?;
        let (number, after) = rest.split_at(end_of_number);
        let end_of_unit = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end_of_unit);
        let seconds_per_unit = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => {
                return Err(InvalidValue::new(format!(
                    "time: unknown unit \"{unit}\" in duration \"{text}\""
                )));
            }
        };
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let part = Duration::try_from_secs_f64(number * seconds_per_unit).map_err(|_| invalid())?;
        total = total.checked_add(part).ok_or_else(invalid)?;
        rest = after;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        let cases = [
            ("0", 0),
            ("5s", 5_000),
            ("300ms", 300),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("2h45m", 9_900_000),
            ("+1s", 1_000),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(
                parse_duration(text).map(|d| d.as_millis()),
                Ok(milliseconds),
                "{text}"
            );
        }
        for text in ["", "5", "-1s", "s", "1x", "1.2.3s", ".", "1e300h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9.µa-z+-]{0,12}") {
            _ = parse_duration(&text);
        }
    }
}
