//! How a container's last process ended: `exit.json`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How init ended. On disk before anybody is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitStatus {
    /// Exit status, or 128 + signal.
    pub code: i32,
    /// The kernel killed something in the container because memory ran out.
    pub oom_killed: bool,
    pub finished_at: Timestamp,
}
