//! The container's log as Docker's `json-file` driver keeps it: one JSON object per line.
//!
//! The shim writes it; the engine reads it with the same record.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::spec::StdStream;

/// One line of output, or a piece of 16 KiB of a longer one (then without its line feed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord<'a> {
    #[serde(borrow)]
    pub log: Cow<'a, str>,
    pub stream: StdStream,
    pub time: Timestamp,
}
