//! `hythe runtime`: the command line of an OCI runtime on the same code that the agent uses.
//!
//! Nothing stays but the container: `create` ends with its init waiting at a socket in the
//! container's directory, `start` connects to it and gives the order. So there is no shim, the
//! streams are those of whoever called `create`, and the exit code goes to the nearest
//! subreaper. Each verb is one function here; the command line itself is parsed by `cli`.
//!
//! ```text
//! <root>/<id>/
//!   config.json    the specification as it was at creation, completed
//!   shim.json      what init is told besides
//!   seccomp.bpf    the compiled filter
//!   state.json     the rest that later verbs need: process, bundle, control group
//!   start.sock     where init waits; gone once the program runs
//! ```

mod create;
mod exec;
mod features;
mod foreground;
mod look;
mod protect;
mod record;
mod start;
mod stop;
mod validate;

pub use create::{CreateOptions, create};
pub use exec::{ExecOptions, Executed, ProcessSource, exec};
pub use features::features;
pub use foreground::{Attached, run};
pub use look::{Listed, list, processes, state};
pub use protect::protect_executable;
pub use record::Root;
pub use start::start;
pub use stop::{delete, kill, pause, resume, update};

use super::{LaunchError, StartFailure};

/// What a verb of the runtime says when it cannot.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("container {0:?} does not exist")]
    NoSuchContainer(String),
    #[error("container with id {0:?} already exists")]
    Exists(String),
    #[error("{0}")]
    InvalidId(String),
    /// The bundle, or what was asked on the command line, makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The verb does not fit the state that the container is in.
    #[error("{0}")]
    WrongState(String),
    #[error("{0}")]
    Start(StartFailure),
}

impl From<StartFailure> for RuntimeError {
    fn from(failure: StartFailure) -> Self {
        Self::Start(failure)
    }
}

impl From<LaunchError> for RuntimeError {
    fn from(error: LaunchError) -> Self {
        Self::Start(error.into())
    }
}

type Result<T> = std::result::Result<T, RuntimeError>;
