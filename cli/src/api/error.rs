//! What can go wrong between a command and the agent.

use hyper::StatusCode;
use thiserror::Error;

#[derive(Debug, Error)]
pub(crate) enum ApiError {
    #[error("cannot connect to the Hythe agent at {address}. Is it running?")]
    NoConnection {
        address: String,
        source: std::io::Error,
    },
    /// The agent said no. Scripts match on this text, so it is docker's.
    #[error("Error response from daemon: {message}")]
    Answer { status: StatusCode, message: String },
    #[error("the connection to the agent broke")]
    Connection(#[source] hyper::Error),
    #[error("the request cannot be built")]
    Request(#[source] hyper::http::Error),
    #[error("the agent's answer to {what} cannot be read")]
    Unreadable {
        what: String,
        source: serde_json::Error,
    },
    #[error("unable to upgrade to tcp, received {0}")]
    NotUpgraded(StatusCode),
    #[error("the agent sent a frame of unknown kind {0}")]
    UnknownFrame(u8),
    #[error("reading from the agent")]
    Read(#[source] std::io::Error),
}

impl ApiError {
    /// Whether the agent answered that the thing does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Answer { status, .. } if *status == StatusCode::NOT_FOUND)
    }
}
