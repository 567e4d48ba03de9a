//! API tokens: everybody's own, and an administrator's over all.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::super::error::ApiError;
use super::{Asked, Endpoint, created, document, invalid, nothing, of_account, read};
use crate::auth::{Limit, LimitError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// The caller's own account, unless they administer.
    account: Option<String>,
    #[serde(default)]
    label: String,
    #[serde(default)]
    scopes: Vec<String>,
    expires_in_seconds: Option<u64>,
}

pub(super) async fn serve(
    asked: &Asked<'_>,
    endpoint: Endpoint,
    body: Body,
) -> Result<Response, ApiError> {
    match endpoint {
        Endpoint::MakeToken => make(asked, read(asked, body).await?).await,
        Endpoint::RevokeToken(id) => revoke(asked, &id).await,
        _ => list(asked).await,
    }
}

/// Whose tokens the caller may see and change; `None` is everybody's.
fn own(asked: &Asked<'_>) -> Result<Option<String>, ApiError> {
    if asked.caller.administers() {
        return Ok(None);
    }
    match asked.caller.name() {
        Some(name) => Ok(Some(name.to_owned())),
        None => Err(ApiError::denied("tokens are of those who have an account")),
    }
}

async fn list(asked: &Asked<'_>) -> Result<Response, ApiError> {
    let account = own(asked)?.or_else(|| asked.query("account"));
    let tokens = asked.accounts.tokens(account.as_deref()).await;
    Ok(document(&json!({ "tokens": tokens.map_err(of_account)? })))
}

async fn make(asked: &Asked<'_>, new: NewToken) -> Result<Response, ApiError> {
    let own = own(asked)?;
    if own.is_some() && !asked.caller.may_make_tokens() {
        // A token that leaks may not outlive its end in others.
        let reason = "a token is made by who shows a password or a certificate, not a token";
        return Err(ApiError::denied(reason));
    }
    let account = match (own, new.account) {
        (None, Some(account)) => account,
        (Some(own), None) => own,
        (Some(own), Some(account)) if own == account => own,
        (Some(own), Some(account)) => {
            let reason = format!("{own} may not make tokens of {account}");
            return Err(ApiError::denied(reason));
        }
        (None, None) => asked
            .caller
            .name()
            .map(str::to_owned)
            .ok_or_else(|| invalid("whose token? (\"account\")"))?,
    };
    let limits: Result<Vec<Limit>, LimitError> =
        new.scopes.iter().map(|text| text.parse()).collect();
    let limits = limits.map_err(|error| invalid(error.to_string()))?;
    let lifetime = new.expires_in_seconds.map(Duration::from_secs);
    let made = asked
        .accounts
        .make_token(&account, &new.label, &limits, lifetime);
    Ok(created(&made.await.map_err(of_account)?))
}

async fn revoke(asked: &Asked<'_>, id: &str) -> Result<Response, ApiError> {
    if let Some(own) = own(asked)? {
        let tokens = asked
            .accounts
            .tokens(Some(&own))
            .await
            .map_err(of_account)?;
        if !tokens.iter().any(|token| token.id == id) {
            return Err(ApiError::denied(format!("{own} has no token {id}")));
        }
    }
    asked.accounts.revoke_token(id).await.map_err(of_account)?;
    Ok(nothing())
}
