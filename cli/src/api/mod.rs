//! The client of the agent's socket: the Docker Engine API over HTTP/1.1, and nothing above it.
//!
//! It sits directly on hyper because the commands need what a typed client hides: the bytes of a
//! terminal as they come, the headers of `wait` before its body, the agent's JSON as it was sent
//! (`inspect`), and no deadline on a `stop` that may take minutes. The shapes of requests and
//! answers come from `bollard-stubs`.
//!
//! Paths carry no version: client and agent are the same binary, and another engine answers an
//! unversioned path with the newest version it has. That saves a round trip in every command.
//!
//! Nothing in here prints, and nothing in here knows a command.

mod address;
mod call;
mod error;
mod frames;
mod hijack;
mod json_lines;

pub(crate) use address::Address;
pub(crate) use call::{Call, Filters, segment};
pub(crate) use error::ApiError;
pub(crate) use frames::{FrameDecoder, StandardStream};
pub(crate) use hijack::Hijacked;
pub(crate) use json_lines::JsonLines;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::{TcpStream, UnixStream};

/// Answers with an error carry a message of a line or two; more than this is not one.
const ERROR_BODY_LIMIT_BYTES: usize = 64 * 1024;

/// The agent, as a place to send [`Call`]s to.
///
/// Each call has a connection of its own: on a unix socket that costs microseconds, and a stream
/// that is being followed then never stands in the way of the next request.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    address: Address,
}

impl Api {
    pub(crate) fn new(address: Address) -> Self {
        Self { address }
    }

    /// Sends the call and hands back the answer once its headers are here.
    ///
    /// A status of 400 and above becomes [`ApiError::Answer`].
    pub(crate) async fn send(&self, call: Call) -> Result<Response<Incoming>, ApiError> {
        let request = call.into_request(&self.address)?;
        let response = match &self.address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)
                    .await
                    .map_err(|source| self.no_connection(source))?;
                exchange(stream, request).await?
            }
            Address::Tcp { authority } => {
                let stream = TcpStream::connect(authority)
                    .await
                    .map_err(|source| self.no_connection(source))?;
                stream
                    .set_nodelay(true)
                    .map_err(|source| self.no_connection(source))?;
                exchange(stream, request).await?
            }
        };
        if response.status().is_client_error() || response.status().is_server_error() {
            return Err(answered_error(response).await);
        }
        Ok(response)
    }

    /// Sends the call and reads the answer to its end, keeping only the status.
    pub(crate) async fn status(&self, call: Call) -> Result<StatusCode, ApiError> {
        let response = self.send(call).await?;
        let status = response.status();
        collect(response).await?;
        Ok(status)
    }

    /// Sends the call and reads its answer as one JSON value.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, ApiError> {
        let what = call.describe();
        let body = collect(self.send(call).await?).await?;
        serde_json::from_slice(&body).map_err(|source| ApiError::Unreadable { what, source })
    }

    /// Sends the call and reads its answer as text.
    pub(crate) async fn text(&self, call: Call) -> Result<String, ApiError> {
        let body = collect(self.send(call).await?).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Sends the call and reads its answer as a stream of JSON values.
    pub(crate) async fn json_lines(&self, call: Call) -> Result<JsonLines, ApiError> {
        Ok(JsonLines::new(self.send(call).await?.into_body()))
    }

    /// Sends the call and takes the connection over for raw bytes in both directions.
    pub(crate) async fn hijack(&self, call: Call) -> Result<Hijacked, ApiError> {
        let response = self.send(call.upgrade()).await?;
        Hijacked::from_response(response).await
    }

    fn no_connection(&self, source: std::io::Error) -> ApiError {
        ApiError::NoConnection {
            address: self.address.to_string(),
            source,
        }
    }
}

/// One request and the head of its answer, on a connection that lives as long as the answer.
async fn exchange<S>(
    stream: S,
    request: hyper::Request<call::Body>,
) -> Result<Response<Incoming>, ApiError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(ApiError::Connection)?;
    // The task ends with the connection. Its error also reaches whoever reads the answer, which
    // is where it is told.
    tokio::spawn(connection.with_upgrades());
    sender
        .send_request(request)
        .await
        .map_err(ApiError::Connection)
}

async fn collect(response: Response<Incoming>) -> Result<bytes::Bytes, ApiError> {
    Ok(response
        .into_body()
        .collect()
        .await
        .map_err(ApiError::Connection)?
        .to_bytes())
}

/// Reads `{"message": "…"}`; anything else is shown as it came.
async fn answered_error(response: Response<Incoming>) -> ApiError {
    #[derive(serde::Deserialize)]
    struct Message {
        message: String,
    }
    let status = response.status();
    let limited = http_body_util::Limited::new(response.into_body(), ERROR_BODY_LIMIT_BYTES);
    let body = match limited.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => bytes::Bytes::new(),
    };
    let message = match serde_json::from_slice::<Message>(&body) {
        Ok(parsed) => parsed.message,
        Err(_) if body.is_empty() => status.to_string(),
        Err(_) => String::from_utf8_lossy(&body).trim_end().to_owned(),
    };
    ApiError::Answer { status, message }
}
