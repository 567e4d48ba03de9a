//! Credentials that a client sends along for a registry.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::request::Parts;
use serde::Deserialize;

use super::go_json::from_value;
use crate::engine::RegistryAuth;

/// Clients disagree about padding.
const EITHER_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, EITHER_PADDING);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, EITHER_PADDING);

/// The shape of credentials in `X-Registry-Auth` and in the body of `POST /auth`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct AuthConfig {
    username: String,
    password: String,
    /// base64 of `user:password`, instead of the two.
    auth: String,
    serveraddress: String,
    identitytoken: String,
    registrytoken: String,
}

impl From<AuthConfig> for RegistryAuth {
    fn from(wire: AuthConfig) -> Self {
        let (mut username, mut password) = (wire.username, wire.password);
        if username.is_empty()
            && let Some((name, secret)) = split_basic(&wire.auth)
        {
            (username, password) = (name, secret);
        }
        Self {
            username,
            password,
            server_address: wire.serveraddress,
            identity_token: wire.identitytoken,
            registry_token: wire.registrytoken,
        }
    }
}

fn split_basic(encoded: &str) -> Option<(String, String)> {
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (name, secret) = decoded.split_once(':')?;
    Some((name.to_owned(), secret.trim_end_matches('\0').to_owned()))
}

/// The `X-Registry-Auth` header; missing or unreadable credentials are none, as in Docker, so
/// that a public image can be pulled with a broken client configuration.
#[derive(Debug, Default)]
pub(crate) struct RegistryAuthHeader(pub(crate) RegistryAuth);

impl RegistryAuthHeader {
    fn decode(encoded: &[u8]) -> Option<Self> {
        let json = URL_SAFE
            .decode(encoded)
            .or_else(|_| STANDARD.decode(encoded))
            .ok()?;
        let wire: AuthConfig = from_value(serde_json::from_slice(&json).ok()?).ok()?;
        Some(Self(wire.into()))
    }
}

/// The `X-Registry-Config` header of a build: credentials by registry host, as in the client's
/// own configuration. Unreadable ones are none.
#[derive(Debug, Default)]
pub(crate) struct RegistryConfigHeader(pub(crate) BTreeMap<String, RegistryAuth>);

impl RegistryConfigHeader {
    fn decode(encoded: &[u8]) -> Option<Self> {
        let json = URL_SAFE
            .decode(encoded)
            .or_else(|_| STANDARD.decode(encoded))
            .ok()?;
        let wire: BTreeMap<String, AuthConfig> =
            from_value(serde_json::from_slice(&json).ok()?).ok()?;
        let hosts = wire.into_iter();
        Some(Self(
            hosts.map(|(host, auth)| (host, auth.into())).collect(),
        ))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RegistryConfigHeader {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let header = parts.headers.get("x-registry-config");
        let decoded = header.and_then(|value| Self::decode(value.as_bytes()));
        Ok(decoded.unwrap_or_default())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RegistryAuthHeader {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let header = parts.headers.get("x-registry-auth");
        let decoded = header.and_then(|value| Self::decode(value.as_bytes()));
        Ok(decoded.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_encode_credentials_is_read() {
        let json = br#"{"username":"ann","password":"p?>w","serveraddress":"r:5000"}"#;
        let padded = base64::engine::general_purpose::URL_SAFE.encode(json);
        let bare = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json);
        let standard = base64::engine::general_purpose::STANDARD.encode(json);
        for encoded in [padded, bare, standard] {
            let RegistryAuthHeader(auth) = RegistryAuthHeader::decode(encoded.as_bytes()).unwrap();
            assert_eq!((&*auth.username, &*auth.password), ("ann", "p?>w"));
            assert_eq!(auth.server_address, "r:5000");
        }
    }

    #[test]
    fn user_and_password_may_come_as_one_text() {
        let auth = base64::engine::general_purpose::STANDARD.encode("ann:a:b");
        let wire = AuthConfig {
            auth,
            ..AuthConfig::default()
        };
        let auth = RegistryAuth::from(wire);
        assert_eq!((&*auth.username, &*auth.password), ("ann", "a:b"));
    }

    #[test]
    fn none_and_rubbish_are_told_apart_by_nobody() {
        let RegistryAuthHeader(none) = RegistryAuthHeader::decode(b"e30=").unwrap();
        assert_eq!(none, RegistryAuth::default());
        for rubbish in ["", "bm90IGpzb24=", "\u{1f980}", "e30", "W10="] {
            let decoded = RegistryAuthHeader::decode(rubbish.as_bytes()).unwrap_or_default();
            assert_eq!(decoded.0, RegistryAuth::default(), "{rubbish}");
        }
    }
}
