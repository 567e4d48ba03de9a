//! What can go wrong when a caller asks the engine for something, in Docker's words.
//!
//! The variant says which kind of trouble it is, and so which status code `http/error.rs`
//! answers; the text is what `docker` prints after "Error response from daemon: ". Clients and
//! tests match on those texts, so they follow dockerd's letter by letter.

use std::error::Error as StdError;

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// What the caller sent makes no sense. 400.
    #[error("{0}")]
    InvalidParameter(String),
    /// The credentials are wrong or missing. 401.
    #[error("{0}")]
    Unauthorized(String),
    /// It exists, but nobody may do that to it. 403.
    #[error("{0}")]
    Forbidden(String),
    /// The thing that was named does not exist. 404.
    #[error("{0}")]
    NotFound(String),
    /// The thing is in a state, or in use, such that it cannot be done. 409.
    #[error("{0}")]
    Conflict(String),
    /// There is nothing to do: already started, already stopped. 304, no body.
    #[error("not modified")]
    NotModified,
    /// The program of a container or exec could not be executed; `code` is 126 or 127. 400.
    #[error("{message}")]
    NotExecutable { code: i32, message: String },
    /// A command of a build ended with `code`. 500.
    #[error("{message}")]
    CommandFailed { code: i32, message: String },
    /// This engine does not do that. 501.
    #[error("{0}")]
    NotImplemented(String),
    /// It cannot be done now, or on this node. 503.
    #[error("{0}")]
    Unavailable(String),
    /// Something below failed. 500. The text is the whole chain of causes.
    #[error("{0}")]
    Internal(String),
}

impl From<crate::spec::signal::UnknownSignal> for EngineError {
    fn from(error: crate::spec::signal::UnknownSignal) -> Self {
        Self::InvalidParameter(error.to_string())
    }
}

impl EngineError {
    pub(crate) fn no_such_container(name: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("No such container: {name}"))
    }

    pub(crate) fn no_such_exec(id: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("No such exec instance: {id}"))
    }

    pub(crate) fn no_such_image(name: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("No such image: {name}"))
    }

    pub(crate) fn no_such_volume(name: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("get {name}: no such volume"))
    }

    pub(crate) fn not_running(id: impl std::fmt::Display) -> Self {
        Self::Conflict(format!("Container {id} is not running"))
    }

    pub(crate) fn paused(id: impl std::fmt::Display) -> Self {
        Self::Conflict(format!(
            "Container {id} is paused, unpause the container before proceeding"
        ))
    }

    /// Something below failed while the engine was `doing`; keeps every cause in the text,
    /// because the answer is the only place where a caller can read it.
    pub(crate) fn internal(doing: &str, error: &dyn StdError) -> Self {
        Self::Internal(format!("{doing}: {}", chain(error)))
    }
}

/// An error and all its causes on one line, outermost first.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat the cause in their own text.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
