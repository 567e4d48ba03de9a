//! What can go wrong between a bundle on disk and a process that has ended.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Why a process could not be made to run, in the words people know from `docker run`.
///
/// Travels from the process that failed through the shim to the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct StartFailure {
    /// 126 when the program cannot be executed, 127 when it is not there, 128 for all else.
    pub exit_code: i32,
    /// Such as `exec: "foo": executable file not found in $PATH`.
    pub message: String,
}

impl LaunchError {
    /// Whether this process had too little of something to find out, such as descriptors.
    pub fn is_want(&self) -> bool {
        let source = match self {
            Self::File { source, .. } | Self::System { source, .. } => source,
            Self::Start(_)
            | Self::InvalidBundle(_)
            | Self::NotRunning(_)
            | Self::ShimGone { .. }
            | Self::Protocol { .. }
            | Self::Seccomp(_)
            | Self::Cgroup { .. } => return false,
        };
        matches!(
            source.raw_os_error(),
            Some(libc::EAGAIN | libc::ENOMEM | libc::ENFILE | libc::EMFILE)
        )
    }
}

impl StartFailure {
    /// A failure that is neither a missing nor an unusable program.
    pub(super) fn setup(message: impl Into<String>) -> Self {
        Self {
            exit_code: 128,
            message: message.into(),
        }
    }
}

/// Says what was being done when the kernel refused.
pub(super) trait Step<T> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T, StartFailure>;
}

impl<T> Step<T> for io::Result<T> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T, StartFailure> {
        self.map_err(|error| StartFailure::setup(format!("{}: {}", what(), reason(&error))))
    }
}

impl<T> Step<T> for Result<T, StartFailure> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T, StartFailure> {
        self.map_err(|failure| StartFailure {
            message: format!("{}: {}", what(), failure.message),
            ..failure
        })
    }
}

impl<T> Step<T> for Result<T, LaunchError> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T, StartFailure> {
        self.map_err(|error| {
            let cause = std::error::Error::source(&error);
            let cause = cause.map_or_else(String::new, |it| format!(": {it}"));
            StartFailure::setup(format!("{}: {error}{cause}", what()))
        })
    }
}

/// The kernel's reason in the words that clients look for, such as `permission denied`.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// The error of this folder.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The process was never started; the caller's mistake or a limit of this machine.
    #[error(transparent)]
    Start(#[from] StartFailure),
    /// The bundle asks for something that cannot be had.
    #[error("{0}")]
    InvalidBundle(String),
    #[error("cannot {action} {path}")]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The shim is gone, or never was; `Launcher::reconnect` says which.
    #[error("the shim of {bundle} does not answer")]
    ShimGone { bundle: PathBuf },
    /// The shim answered what no shim of this version answers.
    #[error("the shim of {bundle} answered {answer}")]
    Protocol { bundle: PathBuf, answer: String },
    /// The request came at the wrong moment, such as a signal after the end.
    #[error("{0}")]
    NotRunning(String),
    #[error("cannot {action} control group {path}")]
    Cgroup {
        action: String,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot compile the seccomp profile: {0}")]
    Seccomp(String),
    #[error("cannot {action}")]
    System {
        action: &'static str,
        #[source]
        source: io::Error,
    },
}
