//! The one place where an error meets a status code.
//!
//! Handlers return `Result<_, ApiError>`; whatever the engine says becomes an [`ApiError`] by the
//! single `match` below. On the wire it is Docker's `{"message": …}`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use crate::engine::EngineError;

/// An answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
}

impl ApiError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    /// The request makes no sense.
    pub(crate) fn bad_parameter(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// The request makes sense, but this engine does not do that.
    pub(crate) fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    /// No route, or no such method on it; Docker does not tell the two apart.
    pub(crate) fn page_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "page not found")
    }

    pub(crate) fn too_large(limit_bytes: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("request body is larger than {limit_bytes} bytes"),
        )
    }

    /// Swarm endpoints, word for word: clients show this text.
    pub(crate) fn no_swarm() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" \
             to connect this node to swarm and try again.",
        )
    }

    /// The handler itself broke; its panic message is in the log.
    pub(crate) fn broken_handler() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let status = match &error {
            EngineError::InvalidParameter(_) | EngineError::NotExecutable { .. } => {
                StatusCode::BAD_REQUEST
            }
            EngineError::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            EngineError::Forbidden(_) => StatusCode::FORBIDDEN,
            EngineError::NotFound(_) => StatusCode::NOT_FOUND,
            EngineError::Conflict(_) => StatusCode::CONFLICT,
            EngineError::NotModified => StatusCode::NOT_MODIFIED,
            EngineError::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            EngineError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            EngineError::Internal(_) | EngineError::CommandFailed { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status == StatusCode::NOT_MODIFIED {
            return self.status.into_response();
        }
        // What is not supported is no trouble of this machine; what broke is.
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::warn!(error = %self.message, "request failed");
        }
        let body = ErrorBody {
            message: &self.message,
        };
        (self.status, Json(body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_error_has_its_status() {
        let text = || "x".to_owned();
        let cases = [
            (EngineError::InvalidParameter(text()), 400),
            (
                EngineError::NotExecutable {
                    code: 127,
                    message: text(),
                },
                400,
            ),
            (EngineError::Unauthorized(text()), 401),
            (EngineError::Forbidden(text()), 403),
            (EngineError::NotFound(text()), 404),
            (EngineError::Conflict(text()), 409),
            (EngineError::NotModified, 304),
            (EngineError::NotImplemented(text()), 501),
            (EngineError::Unavailable(text()), 503),
            (EngineError::Internal(text()), 500),
        ];
        for (error, status) in cases {
            assert_eq!(ApiError::from(error).into_response().status(), status);
        }
    }
}
