//! The keys that the registry signs its tokens with: Ed25519, kept in the
//! database, so that every replica signs and verifies with the same ones and a
//! restart logs nobody out.
//!
//! The newest one signs. Each is replaced after a while and goes on verifying
//! until nothing that it signed is good any more.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::{Value, json};

use crate::db::{DbError, SigningKeyRecord};

/// One key pair.
pub(super) struct Key {
    pub(super) id: String,
    pub(super) created_at: i64,
    pub(super) signing: EncodingKey,
    pub(super) verifying: DecodingKey,
    /// The public half, as JWKS writes it.
    x: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

impl Key {
    fn read(record: &SigningKeyRecord) -> Result<Self, DbError> {
        let corrupt = || DbError::Corrupt {
            what: "a signing key",
            value: record.id.clone(),
        };
        let pkcs8 = BASE64_STANDARD
            .decode(&record.private_key)
            .map_err(|_| corrupt())?;
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| corrupt())?;
        let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        Ok(Self {
            id: record.id.clone(),
            created_at: record.created_at,
            signing: EncodingKey::from_ed_der(&pkcs8),
            verifying: DecodingKey::from_ed_components(&x).map_err(|_| corrupt())?,
            x,
        })
    }
}

/// All that there are, oldest first.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Key>);

impl Keys {
    pub(super) fn read(records: &[SigningKeyRecord]) -> Result<Self, DbError> {
        records
            .iter()
            .map(Key::read)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The one that signs.
    pub(super) fn newest(&self) -> Option<&Key> {
        self.0.last()
    }

    /// The one of that id.
    pub(super) fn find(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }

    /// Gives the newest another name, as a forger would.
    #[cfg(test)]
    pub(super) fn rename_newest(&mut self, id: &str) {
        if let Some(key) = self.0.last_mut() {
            id.clone_into(&mut key.id);
        }
    }

    /// The public halves, for others to verify with (RFC 7517).
    pub(super) fn to_jwks(&self) -> Value {
        let keys = self.0.iter().map(|key| {
            json!({
                "kty": "OKP",
                "crv": "Ed25519",
                "alg": "EdDSA",
                "use": "sig",
                "kid": key.id,
                "x": key.x,
            })
        });
        json!({ "keys": keys.collect::<Vec<_>>() })
    }
}

/// A new key; `None` when the system has no randomness to make one of.
pub(super) fn generate(created_at: i64) -> Option<SigningKeyRecord> {
    let pair = Ed25519KeyPair::generate().ok()?;
    let pkcs8 = pair.to_pkcs8v1().ok()?;
    Some(SigningKeyRecord {
        id: uuid::Uuid::now_v7().simple().to_string(),
        private_key: BASE64_STANDARD.encode(pkcs8.as_ref()),
        created_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_being_stored_and_its_text_shows_no_secret() {
        let record = generate(1).unwrap();
        let keys = Keys::read(std::slice::from_ref(&record)).unwrap();
        assert_eq!(keys.newest().unwrap().id, record.id);
        let jwks = keys.to_jwks().to_string();
        for text in [format!("{keys:?}"), format!("{record:?}"), jwks] {
            assert!(!text.contains(&record.private_key), "{text}");
        }
        let wrong = SigningKeyRecord {
            private_key: "AAAA".to_owned(),
            ..record
        };
        assert!(Keys::read(&[wrong]).is_err());
    }
}
