//! The registry's own tokens: short-lived ones that say what their bearer may
//! do (distribution `docs/spec/auth/jwt.md`), and long-lived ones that only buy
//! such a token (`oauth.md`).
//!
//! Neither is believed alone: an account, a password or an API token that is
//! gone since makes every token that came of it worthless.

use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};

use super::caller::{Credential, Identity};
use super::keys::{Key, Keys};

/// No token of ours is nearly as long.
pub(super) const MAX_BYTES: usize = 16 << 10;

/// How far clocks of two replicas may be apart, in seconds.
const LEEWAY_SECONDS: u64 = 30;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    /// The account's name; empty for nobody.
    pub(super) sub: String,
    pub(super) aud: String,
    pub(super) exp: u64,
    pub(super) nbf: u64,
    pub(super) iat: u64,
    pub(super) jti: String,
    #[serde(default)]
    pub(super) access: Vec<Access>,
    /// How the bearer proved who they are; nobody for those who did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hythe: Option<Proof>,
}

/// Actions on one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Access {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) actions: Vec<String>,
}

/// The account, by what never changes of it, and its credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Proof {
    account: String,
    by: String,
}

impl Proof {
    pub(super) fn of(identity: &Identity) -> Self {
        let by = match &identity.credential {
            Credential::Password(version) => format!("password:{version}"),
            Credential::ApiToken(id) => format!("token:{id}"),
            Credential::Identity(id) => format!("identity:{id}"),
            Credential::Certificate => "certificate:".to_owned(),
        };
        Self {
            account: identity.account.clone(),
            by,
        }
    }

    pub(super) fn account(&self) -> &str {
        &self.account
    }

    pub(super) fn credential(&self) -> Option<Credential> {
        let (kind, value) = self.by.split_once(':')?;
        match kind {
            "password" => value.parse().ok().map(Credential::Password),
            "token" => Some(Credential::ApiToken(value.to_owned())),
            "identity" => Some(Credential::Identity(value.to_owned())),
            "certificate" => Some(Credential::Certificate),
            _ => None,
        }
    }
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the token is longer than any that this registry made")]
    TooLong,
    #[error("the token is not one that this registry made")]
    NotOurs,
    #[error("the token is signed with a key that this registry does not have")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token is for another service")]
    Audience,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token was revoked")]
    Revoked,
    #[error("nobody here is known by tokens of that issuer")]
    UnknownIssuer,
    #[error("nobody here is known by the subject of the token")]
    UnknownSubject,
    #[error("the issuer of the token does not answer")]
    SilentIssuer,
}

/// Signs what a token says.
pub(super) fn sign(claims: &Claims, key: &Key) -> Result<String, jsonwebtoken::errors::Error> {
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(key.id.clone());
    jsonwebtoken::encode(&header, claims, &key.signing)
}

/// What a token of ours for `audience` says.
pub(super) fn verify(
    token: &str,
    keys: &Keys,
    (issuer, audience): (&str, &str),
) -> Result<Claims, TokenError> {
    if token.len() > MAX_BYTES {
        return Err(TokenError::TooLong);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::NotOurs)?;
    if header.alg != Algorithm::EdDSA {
        return Err(TokenError::NotOurs);
    }
    let id = header.kid.ok_or(TokenError::NotOurs)?;
    let key = keys.find(&id).ok_or(TokenError::UnknownKey)?;
    // The header's word for the algorithm is not what decides.
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    jsonwebtoken::decode(token, &key.verifying, &validation)
        .map(|data| data.claims)
        .map_err(|error| reason(&error))
}

pub(super) fn reason(error: &jsonwebtoken::errors::Error) -> TokenError {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidAudience => TokenError::Audience,
        ErrorKind::ExpiredSignature => TokenError::Expired,
        ErrorKind::ImmatureSignature => TokenError::NotYetValid,
        _ => TokenError::NotOurs,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::keys;
    use super::*;

    const NAMES: (&str, &str) = ("hythe", "hythe");

    fn claims() -> Claims {
        let now = jsonwebtoken::get_current_timestamp();
        Claims {
            iss: "hythe".to_owned(),
            sub: "alice".to_owned(),
            aud: "hythe".to_owned(),
            exp: now + 300,
            nbf: now,
            iat: now,
            jti: "1".to_owned(),
            access: vec![Access {
                kind: "repository".to_owned(),
                name: "a".to_owned(),
                actions: vec!["pull".to_owned()],
            }],
            hythe: None,
        }
    }

    fn keys() -> Keys {
        Keys::read(&[keys::generate(1).unwrap()]).unwrap()
    }

    fn other_keys() -> Keys {
        keys()
    }

    fn signed(keys: &Keys, claims: &Claims) -> String {
        sign(claims, keys.newest().unwrap()).unwrap()
    }

    /// The same token with another header or other claims, and the signature
    /// that it had.
    fn forged(token: &str, part: usize, change: impl Fn(&mut Value)) -> String {
        let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&parts[part]).unwrap();
        let mut value: Value = serde_json::from_slice(&bytes).unwrap();
        change(&mut value);
        parts[part] = BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        parts.join(".")
    }

    #[test]
    fn what_was_signed_is_read_back() {
        let keys = keys();
        let token = signed(&keys, &claims());
        assert_eq!(verify(&token, &keys, NAMES), Ok(claims()));
    }

    /// A token that is signed with the public key as the secret of an HMAC, as
    /// some libraries took it.
    fn symmetric(keys: &Keys) -> String {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(keys.newest().unwrap().id.clone());
        let x = keys.to_jwks()["keys"][0]["x"].as_str().unwrap().to_owned();
        let secret = jsonwebtoken::EncodingKey::from_secret(x.as_bytes());
        jsonwebtoken::encode(&header, &claims(), &secret).unwrap()
    }

    #[test]
    fn a_token_with_another_header_or_signature_is_refused() {
        let keys = keys();
        let good = signed(&keys, &claims());
        let header = |change: &dyn Fn(&mut Value)| forged(&good, 0, change);
        let none = header(&|header| header["alg"] = json!("none"));
        let unsigned = none[..=none.rfind('.').unwrap()].to_owned();
        let no_key = header(&|header| {
            header.as_object_mut().unwrap().remove("kid");
        });
        let ours = keys.newest().unwrap().id.clone();
        let theirs = signed(&other_keys(), &claims());
        let wrong_key = forged(&theirs, 0, |header| header["kid"] = json!(ours));
        let wider = forged(&good, 1, |claims| {
            claims["access"][0]["actions"] = json!(["push"]);
        });
        let other_name = forged(&good, 1, |claims| claims["sub"] = json!("root"));
        for (what, token, expected) in [
            ("alg none", unsigned, TokenError::NotOurs),
            ("alg none, signed", none, TokenError::NotOurs),
            (
                "a public key as secret",
                symmetric(&keys),
                TokenError::NotOurs,
            ),
            ("a wrong key", wrong_key, TokenError::Signature),
            ("an unknown key", theirs, TokenError::UnknownKey),
            ("no key", no_key, TokenError::NotOurs),
            ("a wider scope", wider, TokenError::Signature),
            ("another name", other_name, TokenError::Signature),
            (
                "huge",
                format!("{good}{}", "A".repeat(MAX_BYTES)),
                TokenError::TooLong,
            ),
            ("rubbish", "eyJ.a.b".to_owned(), TokenError::NotOurs),
            ("nothing", String::new(), TokenError::NotOurs),
        ] {
            assert_eq!(verify(&token, &keys, NAMES), Err(expected), "{what}");
        }
    }

    #[test]
    fn a_token_that_says_something_else_is_refused() {
        let keys = keys();
        let now = jsonwebtoken::get_current_timestamp();
        let other = |change: &dyn Fn(&mut Claims)| {
            let mut claims = claims();
            change(&mut claims);
            signed(&keys, &claims)
        };
        for (what, token, expected) in [
            (
                "another audience",
                other(&|c| c.aud = "else".to_owned()),
                TokenError::Audience,
            ),
            (
                "one to buy tokens",
                other(&|c| c.aud += "/refresh"),
                TokenError::Audience,
            ),
            (
                "another issuer",
                other(&|c| c.iss = "else".to_owned()),
                TokenError::NotOurs,
            ),
            ("expired", other(&|c| c.exp = now - 31), TokenError::Expired),
            (
                "not yet valid",
                other(&|c| c.nbf = now + 60),
                TokenError::NotYetValid,
            ),
        ] {
            assert_eq!(verify(&token, &keys, NAMES), Err(expected), "{what}");
        }
    }

    #[test]
    fn a_proof_is_read_back() {
        for credential in [
            Credential::Password(7),
            Credential::ApiToken("x".to_owned()),
            Credential::Identity("y".to_owned()),
            Credential::Certificate,
        ] {
            let proof = Proof::of(&Identity {
                account: "id".to_owned(),
                name: "alice".to_owned(),
                credential: credential.clone(),
            });
            assert_eq!(proof.credential(), Some(credential));
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_token(text in "\\PC{0,200}") {
            prop_assert!(verify(&text, &Keys::default(), NAMES).is_err());
        }
    }
}
