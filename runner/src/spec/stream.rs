//! The standard streams of a process, by name.

use serde::{Deserialize, Serialize};

/// One of the two streams a process writes; a terminal's output counts as stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StdStream {
    Stdout,
    Stderr,
}

impl StdStream {
    /// The name the json-file log gives the stream.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}
