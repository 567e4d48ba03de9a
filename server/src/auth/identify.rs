//! From what a request shows to who its caller is.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use hythe_oci::RepositoryName;

use super::Auth;
use super::access_token::{self, Claims, TokenError};
use super::caller::{Caller, Credential, Identity};
use super::directory::{Snapshot, limits_of};
use super::oidc::{claimed_issuer, looks_like_a_token};
use super::pattern::RepositoryPattern;
use super::scope::{Limit, Scope};
use super::throttle::Network;
use crate::config::Secret;
use crate::db::{AccountRecord, ApiTokenRecord, DbError};

/// What every API token begins with, for those that look for leaked secrets.
pub(super) const API_TOKEN_PREFIX: &str = "hythe_";

/// What somebody may log in as who shows a token of another issuer.
const OIDC_NAME: &str = "oidc";

/// What a request shows of its sender.
#[derive(Clone, Debug)]
pub(crate) enum Presented {
    Nothing,
    /// A name, and a password or a token.
    Basic {
        name: String,
        secret: Secret,
    },
    /// A token alone.
    Bearer(Secret),
    /// The name in a certificate that our authority signed.
    Certificate(String),
}

/// Why we do not take a sender for who they say they are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Which of the two is wrong is nobody's business.
    #[error("wrong user name or password")]
    WrongPassword,
    #[error("the API token is not one of this registry, or not of that user")]
    WrongApiToken,
    #[error("the API token {0:?} has expired; make another one")]
    ExpiredApiToken(String),
    #[error("the API token {0:?} was revoked")]
    RevokedApiToken(String),
    #[error("the account {0:?} is disabled")]
    Disabled(String),
    #[error("{0}")]
    Token(#[from] TokenError),
    #[error("the certificate is for {0:?}, who has no account here")]
    UnknownCertificate(String),
    #[error("too many failed logins from your address")]
    TooOften { retry_after: Duration },
    #[error("too many logins at once")]
    Busy,
    #[error("accounts cannot be read")]
    Db(#[from] DbError),
}

impl Auth {
    /// Who the sender of a request from `address` is.
    pub(crate) async fn identify(
        &self,
        presented: &Presented,
        address: Option<IpAddr>,
    ) -> Result<Caller, Refused> {
        let snapshot = self.0.directory.current().await?;
        if !snapshot.is_closed() && self.0.config.may_be_open {
            return Ok(Caller::everybody());
        }
        match presented {
            Presented::Nothing => Ok(Caller::anonymous(snapshot.anonymous_rights())),
            Presented::Basic { name, secret } => {
                self.by_secret(&snapshot, (name, secret.expose()), address)
                    .await
            }
            Presented::Bearer(token) if token.expose().starts_with(API_TOKEN_PREFIX) => {
                by_api_token(&snapshot, None, token.expose())
            }
            Presented::Bearer(token) if self.is_of_others(token.expose()) => {
                self.by_identity(&snapshot, token.expose()).await
            }
            Presented::Bearer(token) => {
                let audience = self.service();
                let claims = self.verified(&snapshot, token.expose(), audience).await?;
                bearer(&snapshot, &claims)
            }
            Presented::Certificate(name) => {
                let account = snapshot.account_named(name);
                let account = account.ok_or_else(|| Refused::UnknownCertificate(name.clone()))?;
                self::account(&snapshot, account, Credential::Certificate)
            }
        }
    }

    /// By a name and a secret of some kind.
    async fn by_secret(
        &self,
        snapshot: &Arc<Snapshot>,
        (name, secret): (&str, &str),
        address: Option<IpAddr>,
    ) -> Result<Caller, Refused> {
        let network = address.map(Network::from);
        let found = snapshot.account_named(name);
        let hash = found.and_then(|account| account.password_hash.as_deref());
        // Who was right a moment ago is not held up by others at the address.
        let is_known = self.0.passwords.remembers(hash, secret);
        if let Some(network) = network.filter(|_| !is_known) {
            let checked = self.0.failures.check(network);
            checked.map_err(|often| Refused::TooOften {
                retry_after: often.retry_after,
            })?;
        }
        let outcome = if secret.starts_with(API_TOKEN_PREFIX) {
            by_api_token(snapshot, Some(name), secret)
        } else if looks_like_a_token(secret) {
            let caller = self.by_identity(snapshot, secret).await;
            // Some jobs know the name of their account, and some do not.
            let is_said = |caller: &Caller| name == OIDC_NAME || caller.name() == Some(name);
            caller.and_then(|caller| {
                let is_right = is_said(&caller);
                is_right.then_some(caller).ok_or(Refused::WrongPassword)
            })
        } else {
            let checked = self.0.passwords.check(hash, secret).await;
            match (checked.map_err(|_| Refused::Busy)?, found) {
                (true, Some(found)) => {
                    let version = found.credentials_version;
                    account(snapshot, found, Credential::Password(version))
                }
                _ => Err(Refused::WrongPassword),
            }
        };
        if outcome.is_err()
            && let Some(network) = network
            && self.0.failures.take(network).is_err()
        {
            tracing::warn!(address = ?address, "too many failed logins from one address");
        }
        outcome
    }

    /// Whether a token says that somebody else made it.
    fn is_of_others(&self, token: &str) -> bool {
        claimed_issuer(token).is_some_and(|issuer| issuer != self.service())
    }

    /// By a token of another issuer.
    async fn by_identity(&self, snapshot: &Snapshot, token: &str) -> Result<Caller, Refused> {
        let identities = snapshot.identities();
        let identity = self.0.issuers.identity(token, identities).await?;
        let found = snapshot.account(&identity.account_id);
        let found = found.ok_or(TokenError::UnknownSubject)?;
        account(snapshot, found, Credential::Identity(identity.id.clone()))
    }

    /// What a token of ours says. One that is signed with a key that another
    /// replica may have just made is looked at twice.
    pub(super) async fn verified(
        &self,
        snapshot: &Arc<Snapshot>,
        token: &str,
        audience: &str,
    ) -> Result<Claims, Refused> {
        let names = (self.service(), audience);
        match access_token::verify(token, &snapshot.keys, names) {
            Err(TokenError::UnknownKey) => {
                let newest = self.0.directory.current_generation(snapshot).await?;
                Ok(access_token::verify(token, &newest.keys, names)?)
            }
            outcome => Ok(outcome?),
        }
    }
}

/// By a secret that stands for an account alone; `name` is what else was said.
fn by_api_token(snapshot: &Snapshot, name: Option<&str>, secret: &str) -> Result<Caller, Refused> {
    // What is compared is a hash of what was sent, so the time that it takes
    // says nothing of the tokens there are.
    let token = snapshot.token_of_hash(&hash_of(secret));
    let token = token.ok_or(Refused::WrongApiToken)?;
    let found = snapshot.account(&token.account_id);
    let found = found.ok_or(Refused::WrongApiToken)?;
    if name.is_some_and(|name| name != found.name) {
        return Err(Refused::WrongApiToken);
    }
    still_good(token)?;
    account(snapshot, found, Credential::ApiToken(token.id.clone()))
}

/// What is stored of an API token: it is too random to be guessed, so a fast
/// hash will do.
pub(super) fn hash_of(secret: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, secret.as_bytes()))
}

fn still_good(token: &ApiTokenRecord) -> Result<(), Refused> {
    if token.revoked_at.is_some() {
        return Err(Refused::RevokedApiToken(token.label.clone()));
    }
    let now = jiff::Timestamp::now().as_millisecond();
    if token.expires_at.is_some_and(|expires| expires <= now) {
        return Err(Refused::ExpiredApiToken(token.label.clone()));
    }
    Ok(())
}

/// The caller that an account is, with what limits its credential has.
fn account(
    snapshot: &Snapshot,
    account: &AccountRecord,
    credential: Credential,
) -> Result<Caller, Refused> {
    if account.disabled_at.is_some() {
        return Err(Refused::Disabled(account.name.clone()));
    }
    let limits = match &credential {
        Credential::ApiToken(id) => match snapshot.token(id) {
            Some(token) => limits_of(token)?,
            None => None,
        },
        Credential::Password(_) | Credential::Identity(_) | Credential::Certificate => None,
    };
    let identity = Identity {
        account: account.id.clone(),
        name: account.name.clone(),
        credential,
    };
    let caller = Caller::account(identity, snapshot.rights_of(&account.id));
    Ok(match limits {
        Some(limits) => caller.limited_to(limits),
        None => caller,
    })
}

/// The caller that a token of ours is for: what it says is true as long as the
/// account and the credential that it came of are what they were.
pub(super) fn bearer(snapshot: &Snapshot, claims: &Claims) -> Result<Caller, Refused> {
    let caller = match &claims.hythe {
        None => Caller::anonymous(snapshot.anonymous_rights()),
        Some(proof) => {
            let found = snapshot.account(proof.account());
            let found = found.ok_or(TokenError::Revoked)?;
            let credential = proof.credential().ok_or(TokenError::NotOurs)?;
            match &credential {
                Credential::Password(version) if *version == found.credentials_version => {}
                Credential::Password(_) => return Err(TokenError::Revoked.into()),
                Credential::ApiToken(id) => {
                    still_good(snapshot.token(id).ok_or(TokenError::Revoked)?)?;
                }
                Credential::Identity(id) => {
                    let known = snapshot.identities().iter().any(|one| one.id == *id);
                    known.then_some(()).ok_or(TokenError::Revoked)?;
                }
                Credential::Certificate => {}
            }
            account(snapshot, found, credential)?
        }
    };
    let repositories = claims.access.iter().filter_map(|access| {
        let name: RepositoryName = access.name.parse().ok()?;
        let scope = Scope {
            kind: access.kind.clone(),
            name: access.name.clone(),
            actions: access.actions.clone(),
        };
        (access.kind == "repository").then(|| Limit {
            pattern: RepositoryPattern::from(&name),
            actions: scope.rights(),
        })
    });
    let lists = claims.access.iter().any(|access| access.kind == "registry");
    Ok(caller.in_scope(repositories.collect(), lists))
}
