//! What can go wrong between us and a registry, said with the host and what was asked of it.

use http::StatusCode;

use crate::digest::Digest;
use crate::manifest::ManifestError;

/// Why a registry did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("Get \"{url}\": {reason}")]
    Unreachable {
        url: String,
        reason: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("the connection to {host} cannot be set up: {reason}")]
    Setup { host: String, reason: String },
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
    #[error("{what}")]
    Io {
        what: String,
        #[source]
        source: std::io::Error,
    },
}

impl ClientError {
    /// The deepest reason of a failed request, in words: reqwest's own text stops at "error
    /// sending request", which helps nobody.
    pub(super) fn unreachable(url: &str, source: reqwest::Error) -> Self {
        let mut reason = source.to_string();
        let mut cause = std::error::Error::source(&source);
        while let Some(deeper) = cause {
            reason = deeper.to_string();
            cause = deeper.source();
        }
        Self::Unreachable {
            url: url.to_owned(),
            reason,
            source,
        }
    }

    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// Turns an answer that is no success into an error; its body is read up to a sane size.
pub(super) async fn refused(what: String, answer: reqwest::Response) -> ClientError {
    let status = answer.status();
    let body = read_limited(answer, 64 << 10).await.unwrap_or_default();
    let message = message_of(&body).unwrap_or_else(|| {
        status
            .canonical_reason()
            .unwrap_or("unknown status")
            .to_lowercase()
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

/// `code: message` of each error in an OCI error body, distribution spec "Error Codes".
fn message_of(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Errors {
        #[serde(default)]
        errors: Vec<OneError>,
        /// Token servers answer with this one.
        #[serde(default)]
        details: Option<String>,
    }
    #[derive(serde::Deserialize)]
    struct OneError {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: Option<String>,
    }
    let errors: Errors = serde_json::from_slice(body).ok()?;
    let said = errors.errors.into_iter().map(|error| {
        let code = error.code.to_lowercase().replace('_', " ");
        match error.message {
            Some(message) if !message.is_empty() => format!("{code}: {message}"),
            _ => code,
        }
    });
    let said: Vec<String> = said.chain(errors.details).collect();
    (!said.is_empty()).then(|| said.join(", "))
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
            ("{}", None),
            ("<html>", None),
        ] {
            assert_eq!(message_of(body.as_bytes()).as_deref(), message, "{body}");
        }
    }
}
