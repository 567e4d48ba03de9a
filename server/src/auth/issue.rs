//! Tokens: what somebody asked for and may have.

use std::time::Duration;

use hythe_oci::RepositoryName;

use super::access_token::{Access, Claims, Proof, TokenError, sign};
use super::caller::{Caller, Credential};
use super::identify::bearer;
use super::scope::Scope;
use super::{Auth, Refused, keys};

/// A token and what it is.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) token: String,
    pub(crate) access: Vec<Access>,
    pub(crate) made_at: jiff::Timestamp,
    pub(crate) expires_in: Duration,
}

impl Auth {
    /// A token for as much of what is asked for as the caller may do. Rights
    /// that they lack are no error: they are left out.
    pub(crate) async fn issue(&self, caller: &Caller, scopes: &[Scope]) -> Result<Issued, Refused> {
        let access = access(caller, scopes);
        let lifetime = self.0.config.access_token;
        self.signed(caller, access, (self.service(), lifetime))
            .await
    }

    /// A token that only buys such tokens; `None` for who has no account, and
    /// for those that another issuer lets in: it decides for how long.
    pub(crate) async fn issue_refresh(&self, caller: &Caller) -> Result<Option<String>, Refused> {
        let by = caller.identity().map(|identity| &identity.credential);
        if matches!(by, None | Some(Credential::Identity(_))) {
            return Ok(None);
        }
        let audience = self.refresh_audience();
        let lifetime = self.0.config.refresh_token;
        let issued = self
            .signed(caller, Vec::new(), (&audience, lifetime))
            .await?;
        Ok(Some(issued.token))
    }

    /// Whom such a token was given to, if they still are who they were.
    pub(crate) async fn refreshed(&self, token: &str) -> Result<Caller, Refused> {
        let snapshot = self.0.directory.current().await?;
        let audience = self.refresh_audience();
        let claims = self.verified(&snapshot, token, &audience).await?;
        if claims.hythe.is_none() {
            return Err(TokenError::NotOurs.into());
        }
        Ok(bearer(&snapshot, &claims)?.in_every_scope())
    }

    /// The public keys that our tokens verify with.
    pub(crate) async fn jwks(&self) -> Result<serde_json::Value, Refused> {
        Ok(self.0.directory.current().await?.keys.to_jwks())
    }

    fn refresh_audience(&self) -> String {
        format!("{}/refresh", self.service())
    }

    async fn signed(
        &self,
        caller: &Caller,
        access: Vec<Access>,
        (audience, lifetime): (&str, Duration),
    ) -> Result<Issued, Refused> {
        self.ensure_key().await?;
        let snapshot = self.0.directory.current().await?;
        let made_at = jiff::Timestamp::now();
        let now = u64::try_from(made_at.as_second()).unwrap_or_default();
        let claims = Claims {
            iss: self.service().to_owned(),
            sub: caller.name().unwrap_or_default().to_owned(),
            aud: audience.to_owned(),
            exp: now + lifetime.as_secs(),
            nbf: now,
            iat: now,
            jti: uuid::Uuid::new_v4().simple().to_string(),
            access,
            hythe: caller.identity().map(Proof::of),
        };
        let key = snapshot.keys.newest().ok_or(TokenError::UnknownKey)?;
        let token = sign(&claims, key).map_err(|error| {
            tracing::error!(%error, "a token could not be signed");
            TokenError::UnknownKey
        })?;
        Ok(Issued {
            token,
            access: claims.access,
            made_at,
            expires_in: lifetime,
        })
    }

    /// Makes the first key, and each next one when its time has come. Two
    /// replicas that do so at once both have made a good one.
    async fn ensure_key(&self) -> Result<(), Refused> {
        let snapshot = self.0.directory.current().await?;
        let now = jiff::Timestamp::now().as_millisecond();
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let config = &self.0.config;
        let due = now.saturating_sub(ms(config.key_rotate));
        if snapshot
            .keys
            .newest()
            .is_some_and(|key| key.created_at > due)
        {
            return Ok(());
        }
        let longest = config.key_rotate + config.refresh_token + Duration::from_hours(1);
        let key = keys::generate(now).ok_or(TokenError::UnknownKey)?;
        let oldest = now.saturating_sub(ms(longest));
        self.0
            .directory
            .database()
            .add_signing_key(&key, oldest)
            .await?;
        self.0.directory.newest().await?;
        tracing::info!(key = key.id, "tokens are signed with a new key from now on");
        Ok(())
    }
}

/// What is asked for and may be done.
fn access(caller: &Caller, scopes: &[Scope]) -> Vec<Access> {
    let mut granted: Vec<Access> = Vec::new();
    for scope in scopes {
        let actions: Vec<String> = match scope.kind.as_str() {
            "repository" => {
                let Ok(name) = scope.name.parse::<RepositoryName>() else {
                    continue;
                };
                let may = scope.rights().iter().filter(|one| caller.may(*one, &name));
                may.map(|action| action.to_string()).collect()
            }
            // Whoever lists repositories sees those that they may pull.
            "registry" if matches!(scope.name.as_str(), "catalog" | "search") => {
                scope.actions.clone()
            }
            _ => continue,
        };
        if actions.is_empty() {
            continue;
        }
        let same = |known: &&mut Access| known.kind == scope.kind && known.name == scope.name;
        if let Some(known) = granted.iter_mut().find(same) {
            for action in actions {
                if !known.actions.contains(&action) {
                    known.actions.push(action);
                }
            }
        } else {
            granted.push(Access {
                kind: scope.kind.clone(),
                name: scope.name.clone(),
                actions,
            });
        }
    }
    granted
}
