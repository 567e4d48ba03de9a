//! `LogConfig`.

use std::collections::BTreeMap;

use super::sizes::{parse_size, print_size};
use super::{Result, bad, unsupported};
use crate::http::wire;
use crate::spec::{LogConfig, LogDriver};

/// An empty driver with no options is the value by which the engine knows "the agent's default".
pub(super) fn log_from_wire(wire: &wire::LogConfig) -> Result<LogConfig> {
    let mut log = match wire.r#type.as_str() {
        "" if wire.config.is_empty() => return Ok(LogConfig::default()),
        "" | "json-file" => LogConfig::of(LogDriver::JsonFile),
        "local" => LogConfig::of(LogDriver::Local),
        "journald" => LogConfig::of(LogDriver::Journald),
        // The options of a driver that keeps nothing change nothing; Docker takes any.
        "none" => return Ok(LogConfig::of(LogDriver::None)),
        other => {
            return bad(format!(
                "logger: no log driver named '{other}' is registered"
            ));
        }
    };
    let name = log.driver.name();
    for (key, value) in &wire.config {
        let wrong = || bad(format!("invalid value for {key}: {value:?}"));
        let unknown = || bad(format!("unknown log opt '{key}' for {name} log driver"));
        match key.as_str() {
            "tag" if log.driver == LogDriver::Journald => log.tag.clone_from(value),
            "max-size" | "max-file" | "compress" if log.driver == LogDriver::Journald => {
                return unknown();
            }
            "max-size" => match parse_size(value) {
                Some(0) | None if value != "-1" => return wrong(),
                size => log.max_size_bytes = size,
            },
            "max-file" => match value.parse() {
                Ok(0) => return bad("max-file cannot be less than 1"),
                Ok(count) => log.max_files = count,
                Err(_) => return wrong(),
            },
            "compress" => match go_bool(value) {
                Some(compress) => log.compress = compress,
                None => return wrong(),
            },
            "mode" if value == "blocking" => {}
            "mode" | "max-buffer-size" | "tag" | "labels" | "labels-regex" | "env"
            | "env-regex" => {
                return unsupported(format!("log option '{key}' is not supported"));
            }
            _ => return unknown(),
        }
    }
    if log.compress && (log.max_files < 2 || log.max_size_bytes.is_none()) {
        return bad("compress cannot be true when max-file is less than 2 or max-size is not set");
    }
    Ok(log)
}

/// Go's `strconv.ParseBool`.
fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Some(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

pub(super) fn log_to_wire(log: &LogConfig) -> wire::LogConfig {
    let mut config = BTreeMap::new();
    if log.driver == LogDriver::Journald {
        if !log.tag.is_empty() {
            config.insert("tag".to_owned(), log.tag.clone());
        }
        return wire::LogConfig {
            r#type: log.driver.name().to_owned(),
            config,
        };
    }
    if let Some(size) = log.max_size_bytes {
        config.insert("max-size".to_owned(), print_size(size));
    }
    if log.max_files > 1 {
        config.insert("max-file".to_owned(), log.max_files.to_string());
    }
    if log.compress {
        config.insert("compress".to_owned(), "true".to_owned());
    }
    wire::LogConfig {
        r#type: log.driver.name().to_owned(),
        config,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Options = &'static [(&'static str, &'static str)];

    fn read(kind: &str, options: &[(&str, &str)]) -> Result<LogConfig> {
        let config = options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        log_from_wire(&wire::LogConfig {
            r#type: kind.to_owned(),
            config,
        })
    }

    #[test]
    fn options_go_both_ways() {
        let options = [("compress", "true"), ("max-file", "3"), ("max-size", "10m")];
        let log = read("json-file", &options).unwrap();
        let expected = LogConfig {
            driver: LogDriver::JsonFile,
            max_size_bytes: Some(10 << 20),
            max_files: 3,
            compress: true,
            tag: String::new(),
        };
        assert_eq!(log, expected);
        let wire = log_to_wire(&log);
        assert_eq!(wire.r#type, "json-file");
        assert!(wire.config.iter().map(|(k, v)| (&**k, &**v)).eq(options));
        assert_eq!(read("", &[]), Ok(LogConfig::default()));
        assert_eq!(read("local", &[]).unwrap().max_files, 5);
        let journal = read("journald", &[("tag", "{{.Name}}")]).unwrap();
        assert_eq!((journal.max_files, journal.compress), (5, true));
        assert_eq!(log_to_wire(&journal).config["tag"], "{{.Name}}");
        assert_eq!(
            read("none", &[("any", "thing")]).unwrap().driver,
            LogDriver::None
        );
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        let cases: [(&str, Options, &str); 9] = [
            (
                "syslog",
                &[],
                "logger: no log driver named 'syslog' is registered",
            ),
            (
                "",
                &[("x", "y")],
                "unknown log opt 'x' for json-file log driver",
            ),
            (
                "",
                &[("max-size", "huge")],
                "invalid value for max-size: \"huge\"",
            ),
            ("", &[("max-file", "0")], "max-file cannot be less than 1"),
            (
                "",
                &[("max-file", "x")],
                "invalid value for max-file: \"x\"",
            ),
            (
                "",
                &[("compress", "true")],
                "compress cannot be true when max-file is less than 2 or max-size is not set",
            ),
            (
                "",
                &[("compress", "maybe")],
                "invalid value for compress: \"maybe\"",
            ),
            ("", &[("tag", "x")], "log option 'tag' is not supported"),
            (
                "journald",
                &[("max-size", "1m")],
                "unknown log opt 'max-size' for journald log driver",
            ),
        ];
        for (kind, options, text) in cases {
            assert_eq!(read(kind, options).unwrap_err().message, text);
        }
    }
}
