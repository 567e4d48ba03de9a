//! Where the runtime complains: engines read the last line of the file they named.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use clap::ValueEnum;
use serde_json::json;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug)]
pub(super) struct Log {
    file: Option<File>,
    format: LogFormat,
}

impl Log {
    pub(super) fn open(path: Option<&Path>, format: LogFormat) -> io::Result<Self> {
        let open = |path| File::options().create(true).append(true).open(path);
        Ok(Self {
            file: path.map(open).transpose()?,
            format,
        })
    }

    pub(super) fn to_stderr_only() -> Self {
        Self {
            file: None,
            format: LogFormat::Text,
        }
    }

    pub(super) fn error(&self, message: &str) {
        let _nobody_listens = writeln!(io::stderr(), "{message}");
        self.write("error", message);
    }

    /// Only where a log was asked for, or it would look like the program's own words.
    pub(super) fn warning(&self, message: &str) {
        if self.file.is_none() {
            let _nobody_listens = writeln!(io::stderr(), "{}: {message}", super::NAME);
        }
        self.write("warning", message);
    }

    pub(super) fn warnings(&self, messages: &[String]) {
        for message in messages {
            self.warning(message);
        }
    }

    fn write(&self, level: &str, message: &str) {
        let Some(mut file) = self.file.as_ref() else {
            return;
        };
        let time = jiff::Timestamp::now().to_string();
        let line = match self.format {
            LogFormat::Json => json!({"level": level, "msg": message, "time": time}).to_string(),
            LogFormat::Text => format!("time={time:?} level={level} msg={message:?}"),
        };
        let _full_disk_must_not_stop_us = writeln!(file, "{line}");
    }
}
