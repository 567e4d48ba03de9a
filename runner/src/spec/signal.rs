//! Signals by the names and numbers callers write. Pure.

/// Linux signals 1 to 31 on the architectures this engine runs on, without `SIG`.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
/// What the C library leaves of the real-time signals.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

pub const SIGKILL: i32 = 9;
pub const SIGTERM: i32 = 15;

/// The text names no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid signal: {0}")]
pub struct UnknownSignal(String);

/// `TERM`, `SIGTERM`, `sigterm`, `15`, `RTMIN+3`.
pub fn parse(text: &str) -> Result<i32, UnknownSignal> {
    let bad = || UnknownSignal(text.to_owned());
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=RTMAX).contains(&number) {
            Ok(number)
        } else {
            Err(bad())
        };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let alias = match name {
        "IOT" => "ABRT",
        "CLD" => "CHLD",
        "POLL" => "IO",
        other => other,
    };
    if let Some(index) = NAMES.iter().position(|known| *known == alias) {
        return i32::try_from(index + 1).map_err(|_| bad());
    }
    real_time(name).ok_or_else(bad)
}

/// `RTMIN`, `RTMIN+n`, `RTMAX-n`, `RTMAX`.
fn real_time(name: &str) -> Option<i32> {
    let number = if let Some(offset) = name.strip_prefix("RTMIN") {
        let offset = match offset.strip_prefix('+') {
            Some(digits) => digits.parse::<u8>().ok()?,
            None if offset.is_empty() => 0,
            None => return None,
        };
        RTMIN + i32::from(offset)
    } else {
        let offset = name.strip_prefix("RTMAX")?;
        let offset = match offset.strip_prefix('-') {
            Some(digits) => digits.parse::<u8>().ok()?,
            None if offset.is_empty() => 0,
            None => return None,
        };
        RTMAX - i32::from(offset)
    };
    (RTMIN..=RTMAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let good = [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigkill", 9),
            ("9", 9),
            ("hup", 1),
            ("SYS", 31),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("SIGCLD", 17),
        ];
        for (text, number) in good {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for bad in [
            "", "0", "-1", "65", "FOO", "SIG", "RTMIN+31", "RTMIN-1", "RTMAX+1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
