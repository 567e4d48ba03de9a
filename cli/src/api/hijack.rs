//! A connection the agent gave away: raw bytes both ways, each direction closed on its own.

use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{ReadHalf, WriteHalf};

use super::ApiError;

/// The two directions of an attached container or exec process.
#[derive(Debug)]
pub(crate) struct Hijacked {
    pub(crate) reader: ReadHalf<TokioIo<Upgraded>>,
    /// Shutting it down is the end of the process's standard input.
    pub(crate) writer: WriteHalf<TokioIo<Upgraded>>,
}

impl Hijacked {
    pub(super) async fn from_response(response: Response<Incoming>) -> Result<Self, ApiError> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(ApiError::NotUpgraded(response.status()));
        }
        let upgraded = hyper::upgrade::on(response)
            .await
            .map_err(ApiError::Connection)?;
        let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
        Ok(Self { reader, writer })
    }
}
