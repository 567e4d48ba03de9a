//! The one place where an error meets a status code.
//!
//! Answers to mistakes of the client name the mistake, with one of the
//! specification's fourteen codes. Answers to mistakes of ours say nothing of
//! the inside; what happened goes to the log, once, with its whole chain.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::range;
use super::route::RouteError;
use crate::blob_store::StoreError;
use crate::db::{DbError, Refusal};
use crate::error_chain::Chain;
use crate::registry::{BodyError, RegistryError};

/// The specification's codes, code-1 to code-14.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    TooManyRequests,
}

impl ErrorCode {
    fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
        }
    }
}

/// An answer that is not what the client hoped for.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    errors: Vec<Value>,
    headers: Vec<(header::HeaderName, String)>,
}

impl ApiError {
    /// An error of the client.
    pub(crate) fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            status,
            errors: vec![json!({ "code": code.as_str(), "message": message.into() })],
            headers: Vec::new(),
        }
    }

    /// The client's 400s, which are most of them.
    pub(crate) fn bad_request(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// The caller has to say who they are, as the challenge says how.
    pub(crate) fn unauthorized(message: impl Into<String>, challenge: String) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, message)
            .with_header(header::WWW_AUTHENTICATE, challenge)
    }

    /// The caller may not, whoever they say they are.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::Denied, message)
    }

    /// The caller came too often.
    pub(crate) fn too_many(message: impl Into<String>, retry_after: Duration) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let seconds = retry_after.as_secs_f64().ceil().to_string();
        Self::new(status, ErrorCode::TooManyRequests, message)
            .with_header(header::RETRY_AFTER, seconds)
    }

    /// The database does not say who there is.
    pub(crate) fn of_accounts(error: &DbError) -> Self {
        metrics::counter!("hythe_errors_total", "part" => "database", "kind" => "accounts")
            .increment(1);
        tracing::error!(error = %Chain(error), "accounts cannot be read");
        Self::plain(StatusCode::SERVICE_UNAVAILABLE).with_header(header::RETRY_AFTER, "5")
    }

    /// What the client is told, in one line.
    pub(crate) fn told(&self) -> String {
        let messages = self
            .errors
            .iter()
            .filter_map(|error| error["message"].as_str());
        let messages: Vec<&str> = messages.collect();
        match messages.as_slice() {
            [] => self.status.to_string(),
            messages => messages.join("; "),
        }
    }

    /// As its client can hear it: what an answer without a body refuses is said
    /// in a warning (distribution specification, "Warnings"), which newer
    /// clients show. Not a 401: every login begins with one.
    pub(super) fn for_client(self, has_body: bool) -> Self {
        if has_body || self.status != StatusCode::FORBIDDEN {
            return self;
        }
        let quoted = self.told().replace('\\', "\\\\").replace('"', "\\\"");
        self.with_header(header::WARNING, format!("299 - \"{quoted}\""))
    }

    /// Fits no code of the specification; a body in another form is allowed.
    fn plain(status: StatusCode) -> Self {
        Self {
            status,
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    fn with_header(mut self, name: header::HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn with_detail(mut self, detail: Value) -> Self {
        if let Some(Value::Object(error)) = self.errors.first_mut() {
            error.insert("detail".to_owned(), detail);
        }
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = if self.errors.is_empty() {
            Body::empty()
        } else {
            Body::from(json!({ "errors": self.errors }).to_string())
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if !self.errors.is_empty() {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

impl From<RouteError> for ApiError {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::NotFound => Self::plain(StatusCode::NOT_FOUND),
            RouteError::MethodNotAllowed { allowed } => Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                ErrorCode::Unsupported,
                "this path has no such method",
            )
            .with_header(header::ALLOW, allowed),
            RouteError::InvalidName(name) => Self::bad_request(
                ErrorCode::NameInvalid,
                format!("{name:?} is not a repository name"),
            ),
            RouteError::InvalidDigest(text) => Self::bad_request(
                ErrorCode::DigestInvalid,
                format!("{text:?} is not a digest that this registry knows"),
            ),
            RouteError::InvalidReference(text) => Self::bad_request(
                ErrorCode::ManifestInvalid,
                format!("{text:?} is neither a tag nor a digest"),
            ),
            RouteError::UnknownUpload(id) => Self::new(
                StatusCode::NOT_FOUND,
                ErrorCode::BlobUploadUnknown,
                format!("there is no upload {id:?}"),
            ),
        }
    }
}

impl From<RegistryError> for ApiError {
    fn from(error: RegistryError) -> Self {
        let message = error.to_string();
        match error {
            RegistryError::NameUnknown(_) => {
                Self::new(StatusCode::NOT_FOUND, ErrorCode::NameUnknown, message)
            }
            RegistryError::BlobUnknown(_) | RegistryError::BlobQuarantined(_) => {
                Self::new(StatusCode::NOT_FOUND, ErrorCode::BlobUnknown, message)
            }
            RegistryError::ManifestUnknown(_) | RegistryError::CannotRestore(_) => {
                Self::new(StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown, message)
            }
            RegistryError::UploadUnknown(_) => {
                Self::new(StatusCode::NOT_FOUND, ErrorCode::BlobUploadUnknown, message)
            }
            RegistryError::ChunkOutOfOrder { offset_bytes, .. } => Self::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                ErrorCode::BlobUploadInvalid,
                message,
            )
            .with_header(header::RANGE, range::received(offset_bytes)),
            RegistryError::DigestMismatch { claimed, computed } => {
                Self::bad_request(ErrorCode::DigestInvalid, message)
                    .with_detail(json!({ "claimed": claimed, "computed": computed }))
            }
            RegistryError::SizeMismatch { .. } => {
                Self::bad_request(ErrorCode::SizeInvalid, message)
            }
            RegistryError::ManifestInvalid(_) => {
                Self::bad_request(ErrorCode::ManifestInvalid, message)
            }
            RegistryError::ManifestBlobUnknown(missing) => missing_content(&missing),
            RegistryError::BlobReferenced { manifest, .. } => {
                Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Denied, message)
                    .with_detail(json!({ "manifest": manifest }))
            }
            RegistryError::PolicyInvalid(_) => Self::bad_request(ErrorCode::Unsupported, message),
            RegistryError::Db(DbError::Refused(refusal)) => refused(&refusal),
            RegistryError::Body(body) => broken_body(&body),
            RegistryError::Db(reason) if reason.is_full() => full(&RegistryError::Db(reason)),
            error @ RegistryError::Store(StoreError::Full(_)) => full(&error),
            error @ (RegistryError::Db(
                DbError::Unavailable(_)
                | DbError::Conflict(_)
                | DbError::Commit(_)
                | DbError::GivenUp(_),
            )
            | RegistryError::Store(StoreError::Unavailable(_))) => unavailable(&error),
            error => internal(&error),
        }
    }
}

/// What clients print of it is `denied: ` and the message.
fn refused(refusal: &Refusal) -> ApiError {
    let error = ApiError::new(
        StatusCode::FORBIDDEN,
        ErrorCode::Denied,
        refusal.to_string(),
    );
    error.with_detail(match refusal {
        Refusal::Immutable { tag, .. } => json!({ "immutable_tag": tag }),
        Refusal::Quota {
            quota,
            used_bytes,
            asked_bytes,
        } => json!({
            "quota": quota.repositories,
            "limit_bytes": quota.bytes,
            "used_bytes": used_bytes,
            "asked_bytes": asked_bytes,
        }),
    })
}

fn missing_content(missing: &[hythe_oci::Digest]) -> ApiError {
    let errors = missing
        .iter()
        .map(|digest| {
            json!({
                "code": ErrorCode::ManifestBlobUnknown.as_str(),
                "message": format!("the manifest names {digest}, which this repository does not have"),
                "detail": { "digest": digest },
            })
        })
        .collect();
    ApiError {
        status: StatusCode::NOT_FOUND,
        errors,
        headers: Vec::new(),
    }
}

fn broken_body(error: &BodyError) -> ApiError {
    match error {
        BodyError::Broken(_) => {
            ApiError::bad_request(ErrorCode::SizeInvalid, "the body ended early")
        }
        BodyError::Silent(_) => ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            ErrorCode::BlobUploadInvalid,
            error.to_string(),
        )
        .with_header(header::CONNECTION, "close"),
    }
}

/// Full is the one state of the inside that the client must know: trying again
/// is no use, and somebody has to be told.
fn full(error: &RegistryError) -> ApiError {
    log(error, "no space left");
    ApiError::new(
        StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::Denied,
        "the registry has no space left; nothing was stored",
    )
}

fn unavailable(error: &RegistryError) -> ApiError {
    log(error, "not available");
    ApiError::plain(StatusCode::SERVICE_UNAVAILABLE).with_header(header::RETRY_AFTER, "5")
}

fn internal(error: &RegistryError) -> ApiError {
    log(error, "unexpected");
    ApiError::plain(StatusCode::INTERNAL_SERVER_ERROR)
}

fn log(error: &RegistryError, what: &'static str) {
    let part = match error {
        RegistryError::Db(_) => "database",
        RegistryError::Store(_) => "store",
        _ => "registry",
    };
    metrics::counter!("hythe_errors_total", "part" => part, "kind" => what).increment(1);
    tracing::error!(error = %Chain(error), "a request failed: {what}");
}
