//! Tokens of others: any OpenID Connect issuer that an identity names, so that
//! a CI job pushes with the identity that its platform gives it.
//!
//! An issuer is asked for its keys (discovery, then JWKS) when a token of it is
//! first shown, and again when a token is signed with a key that is not known
//! or after an hour. An issuer that does not answer is believed for a day more.

mod fetch;
#[cfg(test)]
mod tests;

pub(super) use fetch::is_safe;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use super::access_token::{MAX_BYTES, TokenError, reason};
use crate::db::IdentityRecord;
use hythe_oci::pattern::text_matches;

/// Only keys that have a public half: with a shared secret, whoever verifies
/// could also sign.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// For how long keys are good without asking.
const FRESH: Duration = Duration::from_hours(1);
/// For how long they are good when the issuer does not answer.
const STALE: Duration = Duration::from_hours(24);
/// How often an issuer is asked at most, whatever tokens are shown.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// What is known of issuers.
#[derive(Debug)]
pub(super) struct Issuers {
    client: fetch::Client,
    known: Mutex<HashMap<String, Known>>,
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Known {
    keys: Arc<JwkSet>,
    fetched: Instant,
    asked: Instant,
}

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    aud: Audience,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Several(several) => several.iter().any(|one| one == name),
        }
    }
}

/// Whether this may be a token at all, and no password.
pub(super) fn looks_like_a_token(text: &str) -> bool {
    text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Who says that they made a token; nothing of it is believed.
pub(super) fn claimed_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claimed {
        iss: String,
    }
    if token.len() > MAX_BYTES {
        return None;
    }
    let claims = token.split('.').nth(1)?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claimed: Claimed = serde_json::from_slice(&bytes).ok()?;
    Some(claimed.iss)
}

impl Issuers {
    pub(super) fn new() -> Self {
        Self {
            client: fetch::Client::new(),
            known: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// The identity that a token stands for. Nobody is asked about an issuer
    /// that no identity names.
    pub(super) async fn identity<'i>(
        &self,
        token: &str,
        identities: &'i [IdentityRecord],
    ) -> Result<&'i IdentityRecord, TokenError> {
        if token.len() > MAX_BYTES {
            return Err(TokenError::TooLong);
        }
        let issuer = claimed_issuer(token).ok_or(TokenError::NotOurs)?;
        let name = issuer.trim_end_matches('/');
        let of_issuer = || identities.iter().filter(move |one| one.issuer == name);
        of_issuer().next().ok_or(TokenError::UnknownIssuer)?;
        let claims = self.verified(token, &issuer).await?;
        let mut subjects = of_issuer()
            .filter(|one| text_matches(&one.subject, &claims.sub))
            .peekable();
        subjects.peek().ok_or(TokenError::UnknownSubject)?;
        subjects
            .find(|one| claims.aud.has(&one.audience))
            .ok_or(TokenError::Audience)
    }

    async fn verified(&self, token: &str, issuer: &str) -> Result<Claims, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::NotOurs)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(TokenError::NotOurs);
        }
        let keys = self.keys(issuer, header.kid.as_deref()).await?;
        let key = match &header.kid {
            Some(id) => keys.find(id),
            None if keys.keys.len() == 1 => keys.keys.first(),
            None => None,
        };
        let key = DecodingKey::from_jwk(key.ok_or(TokenError::UnknownKey)?);
        let key = key.map_err(|_| TokenError::UnknownKey)?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = 30;
        validation.validate_nbf = true;
        // Which audience is right depends on the identity.
        validation.validate_aud = false;
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
        jsonwebtoken::decode::<Claims>(token, &key, &validation)
            .map(|data| data.claims)
            .map_err(|error| reason(&error))
    }

    /// An issuer's keys, with the one of that id if it has it.
    async fn keys(&self, issuer: &str, wanted: Option<&str>) -> Result<Arc<JwkSet>, TokenError> {
        let will_do = |known: &Known| {
            let has = wanted.is_none_or(|id| known.keys.find(id).is_some());
            (has && known.fetched.elapsed() < FRESH) || known.asked.elapsed() < ASK_EVERY
        };
        if let Some(known) = self.known(issuer).filter(will_do) {
            return Ok(known.keys);
        }
        let _turn = self.asking.lock().await;
        // Somebody else may have asked while we waited.
        let known = self.known(issuer);
        if let Some(known) = known.clone().filter(will_do) {
            return Ok(known.keys);
        }
        let asked = Instant::now();
        let known = match (self.client.keys_of(issuer).await, known) {
            (Ok(keys), _) => Known {
                keys: Arc::new(keys),
                fetched: asked,
                asked,
            },
            (Err(error), Some(known)) if known.fetched.elapsed() < STALE => {
                tracing::warn!(issuer, %error, "an issuer's keys could not be read again");
                Known { asked, ..known }
            }
            (Err(error), _) => {
                tracing::warn!(issuer, %error, "an issuer's keys could not be read");
                return Err(TokenError::SilentIssuer);
            }
        };
        let keys = Arc::clone(&known.keys);
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(issuer.to_owned(), known);
        Ok(keys)
    }

    fn known(&self, issuer: &str) -> Option<Known> {
        let all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(issuer).cloned()
    }
}
