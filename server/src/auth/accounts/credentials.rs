//! API tokens, and identities of other issuers.

use std::time::Duration;

use rand::RngCore as _;
use serde::Serialize;

use super::{AccountError, Accounts, new_id, now_ms, time};
use crate::auth::Limit;
use crate::auth::identify::{API_TOKEN_PREFIX, hash_of};
use crate::auth::oidc::is_safe;
use crate::db::{ApiTokenRecord, DirectoryTable, IdentityRecord, Named};

const MAX_LABEL_CHARS: usize = 100;

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenView {
    /// What it is revoked by.
    pub id: String,
    /// Whose it is.
    pub account: String,
    /// What its owner calls it.
    pub label: String,
    /// What it is limited to; empty for all that the account may do.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: String,
    /// When it ends.
    pub expires_at: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<String>,
}

/// A token that was just made. Its secret is not stored: this is the one time
/// that it is seen.
#[derive(Clone, Debug, Serialize)]
pub struct NewToken {
    /// What it is revoked by.
    pub id: String,
    /// What a client logs in with in place of a password.
    pub secret: String,
    /// When it ends.
    pub expires_at: Option<String>,
}

/// Whose tokens of another issuer stand for an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdentityView {
    /// What it is removed by.
    pub id: String,
    /// Whom it stands for.
    pub account: String,
    /// The OpenID Connect issuer.
    pub issuer: String,
    /// The subject, in which `*` is any characters.
    pub subject: String,
    /// The audience that the token must be for.
    pub audience: String,
}

impl Accounts {
    /// Makes a token of an account.
    pub async fn make_token(
        &self,
        account: &str,
        label: &str,
        limits: &[Limit],
        lifetime: Option<Duration>,
    ) -> Result<NewToken, AccountError> {
        let owner = self.account(account).await?;
        let printable = |c: char| !c.is_control();
        if label.chars().count() > MAX_LABEL_CHARS || !label.chars().all(printable) {
            let reason = format!("a label has {MAX_LABEL_CHARS} printable characters at most");
            return Err(AccountError::Invalid(reason));
        }
        let now = now_ms();
        let expires_at = lifetime
            .map(|time| i64::try_from(time.as_millis()).map(|ms| now.saturating_add(ms)))
            .transpose()
            .map_err(|_| AccountError::Invalid("nothing is good for so long".to_owned()))?;
        let mut random = [0; 32];
        rand::rng().fill_bytes(&mut random);
        let secret = format!("{API_TOKEN_PREFIX}{}", hex::encode(random));
        let scopes: Vec<String> = limits.iter().map(Limit::to_string).collect();
        let token = ApiTokenRecord {
            id: new_id(),
            account_id: owner.id,
            label: label.to_owned(),
            secret_hash: hash_of(&secret),
            scopes: scopes.join(" "),
            created_at: now,
            expires_at,
            revoked_at: None,
        };
        self.db.add_api_token(&token).await?;
        self.note("make token", &format!("{} of {account}", token.id))
            .await;
        Ok(NewToken {
            id: token.id,
            secret,
            expires_at: expires_at.map(time),
        })
    }

    /// Makes a token good for nothing.
    pub async fn revoke_token(&self, id: &str) -> Result<(), AccountError> {
        if !self.db.revoke_api_token(id).await? {
            return Err(AccountError::unknown("token that is good", id));
        }
        self.note("revoke token", id).await;
        Ok(())
    }

    /// The tokens of an account, or all of them, oldest first.
    pub async fn tokens(&self, account: Option<&str>) -> Result<Vec<TokenView>, AccountError> {
        if let Some(name) = account {
            self.account(name).await?;
        }
        let snapshot = self.snapshot().await?;
        let views = snapshot.tokens().iter().filter_map(|token| {
            let owner = snapshot.account(&token.account_id)?;
            account
                .is_none_or(|name| name == owner.name)
                .then(|| TokenView {
                    id: token.id.clone(),
                    account: owner.name.clone(),
                    label: token.label.clone(),
                    scopes: token.scopes.split_whitespace().map(str::to_owned).collect(),
                    created_at: time(token.created_at),
                    expires_at: token.expires_at.map(time),
                    revoked_at: token.revoked_at.map(time),
                })
        });
        Ok(views.collect())
    }

    /// Lets tokens of an OpenID Connect issuer stand for an account.
    pub async fn add_identity(
        &self,
        account: &str,
        issuer: &str,
        (subject, audience): (&str, &str),
    ) -> Result<String, AccountError> {
        let owner = self.account(account).await?;
        if !is_safe(issuer) {
            let reason =
                format!("{issuer:?} is no issuer's address: https://, or http:// on this machine");
            return Err(AccountError::Invalid(reason));
        }
        if subject.is_empty() || audience.is_empty() || subject.chars().all(|c| c == '*') {
            let reason = "a subject (which may hold *, but is not * alone) and an audience are \
                          needed: without, any token of the issuer would do";
            return Err(AccountError::Invalid(reason.to_owned()));
        }
        let identity = IdentityRecord {
            id: new_id(),
            account_id: owner.id,
            issuer: issuer.trim_end_matches('/').to_owned(),
            subject: subject.to_owned(),
            audience: audience.to_owned(),
            created_at: now_ms(),
        };
        match self.db.add_identity(&identity).await? {
            Named::Done => {}
            Named::Taken => return Err(AccountError::taken("identity", subject)),
        }
        self.note(
            "add identity",
            &format!("{subject} of {issuer} as {account}"),
        )
        .await;
        Ok(identity.id)
    }

    /// Takes an identity away.
    pub async fn remove_identity(&self, id: &str) -> Result<(), AccountError> {
        let table = DirectoryTable::Identities;
        if !self.db.remove_from_directory(table, id).await? {
            return Err(AccountError::unknown("identity", id));
        }
        self.note("remove identity", id).await;
        Ok(())
    }

    /// Every identity, oldest first.
    pub async fn identities(&self) -> Result<Vec<IdentityView>, AccountError> {
        let snapshot = self.snapshot().await?;
        let views = snapshot.identities().iter().filter_map(|one| {
            Some(IdentityView {
                id: one.id.clone(),
                account: snapshot.account(&one.account_id)?.name.clone(),
                issuer: one.issuer.clone(),
                subject: one.subject.clone(),
                audience: one.audience.clone(),
            })
        });
        Ok(views.collect())
    }
}
