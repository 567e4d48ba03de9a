//! What becomes of a container's output.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    pub driver: LogDriver,
    /// Rotate above this size; `None` never rotates.
    pub max_size_bytes: Option<u64>,
    /// Files kept, the current one included; at least 1.
    pub max_files: u32,
    pub compress: bool,
    /// What entries in the journal are tagged with, with fields in double braces; empty takes the
    /// container's short id.
    pub tag: String,
}

/// What a driver that keeps a bounded log does unless told otherwise, as docker's `local`.
const BOUNDED_MAX_SIZE_BYTES: u64 = 20 << 20;
const BOUNDED_MAX_FILES: u32 = 5;

impl LogConfig {
    /// What `driver` does when no option is given.
    pub fn of(driver: LogDriver) -> Self {
        let is_bounded = match driver {
            // The journal keeps the log; what is kept here is for reading it.
            LogDriver::Local | LogDriver::Journald => true,
            LogDriver::JsonFile | LogDriver::None => false,
        };
        Self {
            driver,
            max_size_bytes: is_bounded.then_some(BOUNDED_MAX_SIZE_BYTES),
            max_files: if is_bounded { BOUNDED_MAX_FILES } else { 1 },
            compress: is_bounded,
            tag: String::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    #[default]
    JsonFile,
    Local,
    /// To systemd's journal; with a bounded copy, as `Local` has it, to be read from.
    Journald,
    None,
}

impl LogDriver {
    /// Docker's name of the driver.
    pub fn name(self) -> &'static str {
        match self {
            Self::JsonFile => "json-file",
            Self::Local => "local",
            Self::Journald => "journald",
            Self::None => "none",
        }
    }
}
