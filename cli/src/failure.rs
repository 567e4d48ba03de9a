//! How a command ends: an exit code, or an error that carries one.

use std::io::Write as _;
use std::process::ExitCode;

/// The exit code of a command, or why there is none.
pub(crate) type Outcome = Result<u8, Failure>;

/// docker's code for "the command itself could not do its work".
const GENERAL: u8 = 1;
/// docker's code for "the container was never started, through no fault of its program", and for
/// flags that cannot be understood.
pub(crate) const NOT_RUN: u8 = 125;
/// What a shell shows for a process that a closed pipe ended.
const BROKEN_PIPE: u8 = 128 + 13;

/// An error on its way to standard error.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// `None` when everything was said already, and only the code is left.
    error: Option<anyhow::Error>,
}

impl Failure {
    /// Ends with `code`, saying `error`.
    pub(crate) fn new(code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self {
            code,
            error: Some(error.into()),
        }
    }

    /// Ends with `code`; what was to be said has been said.
    pub(crate) fn silent(code: u8) -> Self {
        Self { code, error: None }
    }

    /// The same failure, ending with `code` unless it has a code of its own.
    pub(crate) fn or_code(self, code: u8) -> Self {
        if self.code == GENERAL {
            Self { code, ..self }
        } else {
            self
        }
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// Writes the error and gives the process's exit code.
    pub(crate) fn report(self) -> ExitCode {
        let Some(error) = self.error else {
            return ExitCode::from(self.code);
        };
        if is_broken_pipe(&error) {
            return ExitCode::from(BROKEN_PIPE);
        }
        say(&error);
        ExitCode::from(self.code)
    }
}

/// Writes one error with its causes to standard error. What the agent said stands as docker's
/// command line prints it; what we say ourselves has our name in front.
pub(crate) fn say(error: &anyhow::Error) {
    let text = format!("{error:#}");
    let name = if text.starts_with("Error") {
        ""
    } else {
        "hythe: "
    };
    // When standard error is gone there is nobody left to tell.
    _ = writeln!(std::io::stderr().lock(), "{name}{text}");
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(GENERAL, error)
    }
}
