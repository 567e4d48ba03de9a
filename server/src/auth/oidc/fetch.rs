//! What an issuer says of itself (OpenID Connect Discovery 1.0 §4).

use std::net::IpAddr;
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

/// No such document is longer.
const MAX_BYTES: usize = 1 << 20;
/// An issuer that needs longer holds up a login.
const LIMIT: Duration = Duration::from_secs(5);

/// Why an issuer's keys are not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{0} cannot be read: {1}")]
    Unreachable(String, String),
    #[error("{0} is not what it should be: {1}")]
    BadDocument(String, String),
}

#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Debug)]
pub(super) struct Client(Option<reqwest::Client>);

impl Client {
    pub(super) fn new() -> Self {
        let client = reqwest::Client::builder()
            .timeout(LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .build();
        if let Err(error) = &client {
            tracing::error!(%error, "tokens of other issuers cannot be checked");
        }
        Self(client.ok())
    }

    /// The keys of an issuer, as it publishes them now.
    pub(super) async fn keys_of(&self, issuer: &str) -> Result<JwkSet, FetchError> {
        let url = format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        );
        let discovery: Discovery = self.document(&url).await?;
        if discovery.issuer != issuer {
            let reason = format!("it says that its issuer is {:?}", discovery.issuer);
            return Err(FetchError::BadDocument(url, reason));
        }
        self.document(&discovery.jwks_uri).await
    }

    async fn document<T: DeserializeOwned>(&self, url: &str) -> Result<T, FetchError> {
        let unreachable = |reason: String| FetchError::Unreachable(url.to_owned(), reason);
        if !is_safe(url) {
            return Err(unreachable("it is not https://".to_owned()));
        }
        let client = self.0.as_ref();
        let client = client.ok_or_else(|| unreachable("there is no client".to_owned()))?;
        let failed = |error: reqwest::Error| unreachable(error.to_string());
        let mut answer = client.get(url).send().await.map_err(failed)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(unreachable(answer.status().to_string()));
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            body.extend_from_slice(&piece);
            if body.len() > MAX_BYTES {
                return Err(unreachable("it is too long".to_owned()));
            }
        }
        serde_json::from_slice(&body)
            .map_err(|error| FetchError::BadDocument(url.to_owned(), error.to_string()))
    }
}

/// TLS, or this machine.
pub(in crate::auth) fn is_safe(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let is_near = url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    });
    url.scheme() == "https" || (url.scheme() == "http" && is_near)
}
