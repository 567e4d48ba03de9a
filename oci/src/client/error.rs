//! What can go wrong between us and a registry, said with the host and what was asked of it.
//!
//! URLs are shown without their query: upload sessions and presigned URLs carry secrets there.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::digest::Digest;
use crate::manifest::ManifestError;

/// Why a registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A setting of the client that makes no sense.
    #[error("{setting} {value:?}: {reason}")]
    Setting {
        setting: &'static str,
        value: String,
        reason: String,
    },
    #[error("the connection to {host} cannot be set up: {reason}")]
    Setup { host: String, reason: String },
    /// No connection, or one that broke.
    #[error("{what}: {reason}")]
    Unreachable {
        what: String,
        reason: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{what}: nothing moved for {} seconds", after.as_secs())]
    Stalled { what: String, after: Duration },
    /// The registry does not know the manifest, blob or repository.
    #[error("{what}: {message}")]
    NotFound { what: String, message: String },
    /// No credentials, wrong ones, or too few rights.
    #[error("{what}: {message}")]
    Unauthorized { what: String, message: String },
    #[error("{what}: {status}: {message}")]
    Refused {
        what: String,
        status: StatusCode,
        message: String,
    },
    #[error("{what}: the registry's answer makes no sense: {reason}")]
    BadAnswer { what: String, reason: String },
    #[error("{what}: expected {expected}, got {actual}")]
    WrongDigest {
        what: String,
        expected: Digest,
        actual: Digest,
    },
    #[error("{what}: expected {expected} bytes, got {actual}")]
    WrongSize {
        what: String,
        expected: u64,
        actual: u64,
    },
    #[error("{what}")]
    Manifest {
        what: String,
        #[source]
        source: ManifestError,
    },
    /// Our side: what was read or written here.
    #[error("{what}")]
    Io {
        what: String,
        #[source]
        source: std::io::Error,
    },
}

impl ClientError {
    /// A request that got no answer, in the words of Go's clients: `Get "https://…": reason`.
    pub(super) fn request(method: &Method, url: &str, source: reqwest::Error) -> Self {
        let mut verb = method.as_str().to_ascii_lowercase();
        if let Some(first) = verb.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let url = url.split('?').next().unwrap_or_default();
        Self::unreachable(format!("{verb} \"{url}\""), source)
    }

    /// The deepest reason of a failed request: reqwest's own text stops at "error sending
    /// request", which helps nobody.
    pub(super) fn unreachable(what: String, source: reqwest::Error) -> Self {
        let source = source.without_url();
        let mut reason = source.to_string();
        let mut cause = std::error::Error::source(&source);
        while let Some(deeper) = cause {
            reason = deeper.to_string();
            cause = deeper.source();
        }
        if source.is_timeout() {
            "no answer in time".clone_into(&mut reason);
        } else if reason.contains("CaUsedAsEndEntity") {
            // What `openssl req -x509` makes unless told otherwise; other clients let it pass.
            "its certificate is that of an authority, not of a server: \
             make one with basicConstraints=CA:FALSE, or sign one with it"
                .clone_into(&mut reason);
        }
        Self::Unreachable {
            what,
            reason,
            source,
        }
    }

    pub(super) fn bad_answer(what: &str, reason: impl Into<String>) -> Self {
        Self::BadAnswer {
            what: what.to_owned(),
            reason: reason.into(),
        }
    }

    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether the same request may succeed a moment later.
    ///
    /// Not a host that took a connection's whole time to say nothing: asking again would take as
    /// long. Not a redirect that we do not follow: it will be the same.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => {
                !(source.is_redirect() || (source.is_connect() && source.is_timeout()))
            }
            Self::Stalled { .. } => true,
            Self::Refused { status, .. } => may_pass(*status),
            Self::Setting { .. }
            | Self::Setup { .. }
            | Self::NotFound { .. }
            | Self::Unauthorized { .. }
            | Self::BadAnswer { .. }
            | Self::WrongDigest { .. }
            | Self::WrongSize { .. }
            | Self::Manifest { .. }
            | Self::Io { .. } => false,
        }
    }
}

/// Whether a registry that answers so may answer otherwise a moment later.
pub(super) fn may_pass(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// Turns an answer that is no success into an error; its body is read up to a sane size.
pub(super) async fn refused(what: String, answer: reqwest::Response) -> ClientError {
    let status = answer.status();
    let body = read_limited(answer, 64 << 10).await.unwrap_or_default();
    let message = message_of(&body).unwrap_or_else(|| {
        let reason = status.canonical_reason().unwrap_or("unknown status");
        reason.to_lowercase()
    });
    match status {
        StatusCode::NOT_FOUND => ClientError::NotFound { what, message },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            ClientError::Unauthorized { what, message }
        }
        status => ClientError::Refused {
            what,
            status,
            message,
        },
    }
}

/// A body of at most `limit` bytes; `None` when it is longer or does not arrive.
pub(super) async fn read_limited(mut answer: reqwest::Response, limit: usize) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        if body.len() + chunk.len() > limit {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

/// `code: message` of each error in an OCI error body, distribution spec "Error Codes", or what a
/// token server says instead.
fn message_of(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct Said {
        errors: Option<Vec<OneError>>,
        /// Docker Hub's token server.
        details: Option<String>,
        /// OAuth 2.0, RFC 6749 section 5.2.
        error_description: Option<String>,
    }
    #[derive(serde::Deserialize)]
    struct OneError {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: Option<String>,
    }
    let said: Said = serde_json::from_slice(body).ok()?;
    let errors = said.errors.unwrap_or_default().into_iter().map(|error| {
        let code = error.code.to_lowercase().replace('_', " ");
        match error.message {
            Some(message) if !message.is_empty() => format!("{code}: {message}"),
            _ => code,
        }
    });
    let said: Vec<String> = errors
        .chain(said.details)
        .chain(said.error_description)
        .collect();
    (!said.is_empty()).then(|| printable(&said.join(", ")))
}

/// What a stranger said, fit for a terminal and a log.
fn printable(text: &str) -> String {
    const MAX_CHARACTERS: usize = 1000;
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(MAX_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::message_of;

    #[test]
    fn error_bodies_become_sentences() {
        for (body, message) in [
            (
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{}}]}"#,
                Some("manifest unknown: manifest unknown"),
            ),
            (
                r#"{"errors":[{"code":"DENIED"},{"code":"TOOMANYREQUESTS","message":""}]}"#,
                Some("denied, toomanyrequests"),
            ),
            (
                r#"{"details":"incorrect username or password"}"#,
                Some("incorrect username or password"),
            ),
            (
                r#"{"error":"invalid_grant","error_description":"token expired"}"#,
                Some("token expired"),
            ),
            (
                r#"{"errors":[{"code":"DENIED","message":"\u001b[31mred\n"}]}"#,
                Some("denied: [31mred"),
            ),
            (r#"{"errors":null}"#, None),
            ("{}", None),
            ("[]", None),
            ("<html>", None),
        ] {
            assert_eq!(message_of(body.as_bytes()).as_deref(), message, "{body}");
        }
        let long = format!(r#"{{"details":"{}"}}"#, "ä".repeat(5000));
        assert_eq!(message_of(long.as_bytes()).unwrap().chars().count(), 1000);
    }
}
