//! Accounts, groups, grants and identities.

use axum::body::Body;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::super::error::ApiError;
use super::{Asked, Endpoint, created, document, invalid, nothing, of_account, read};
use crate::auth::{Effect, Principal};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    name: String,
    kind: Kind,
    password: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    User,
    Robot,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountChange {
    password: Option<String>,
    disabled: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewGroup {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewGrant {
    principal: String,
    #[serde(default)]
    effect: SaidEffect,
    actions: String,
    pattern: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SaidEffect {
    #[default]
    Allow,
    Deny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewIdentity {
    account: String,
    issuer: String,
    subject: String,
    audience: String,
}

pub(super) async fn serve(
    asked: &Asked<'_>,
    endpoint: Endpoint,
    body: Body,
) -> Result<Response, ApiError> {
    let accounts = &asked.accounts;
    let done = match endpoint {
        Endpoint::AddAccount => return add_account(asked, read(asked, body).await?).await,
        Endpoint::ChangeAccount(name) => {
            return change_account(asked, &name, read(asked, body).await?).await;
        }
        Endpoint::AddGroup => {
            let group: NewGroup = read(asked, body).await?;
            accounts.add_group(&group.name).await.map_err(of_account)?;
            return Ok(created(&json!({ "name": group.name })));
        }
        Endpoint::AddGrant => return add_grant(asked, read(asked, body).await?).await,
        Endpoint::AddIdentity => return add_identity(asked, read(asked, body).await?).await,
        Endpoint::RemoveAccount(name) => accounts.remove_account(&name).await,
        Endpoint::RemoveGroup(name) => accounts.remove_group(&name).await,
        Endpoint::AddMember(group, account) => accounts.set_member(&group, &account, true).await,
        Endpoint::RemoveMember(group, account) => {
            accounts.set_member(&group, &account, false).await
        }
        Endpoint::RemoveGrant(id) => accounts.remove_grant(&id).await,
        Endpoint::RemoveIdentity(id) => accounts.remove_identity(&id).await,
        _ => return list(asked, &endpoint).await,
    };
    done.map_err(of_account)?;
    Ok(nothing())
}

async fn list(asked: &Asked<'_>, endpoint: &Endpoint) -> Result<Response, ApiError> {
    let accounts = &asked.accounts;
    let body = match endpoint {
        Endpoint::ListGroups => {
            json!({ "groups": accounts.groups().await.map_err(of_account)? })
        }
        Endpoint::ListGrants => {
            json!({ "grants": accounts.grants().await.map_err(of_account)? })
        }
        Endpoint::ListIdentities => {
            json!({ "identities": accounts.identities().await.map_err(of_account)? })
        }
        _ => json!({ "accounts": accounts.accounts().await.map_err(of_account)? }),
    };
    Ok(document(&body))
}

async fn add_account(asked: &Asked<'_>, new: NewAccount) -> Result<Response, ApiError> {
    let accounts = &asked.accounts;
    let added = match (new.kind, new.password) {
        (Kind::User, password) => accounts.add_user(&new.name, password.as_deref()).await,
        (Kind::Robot, None) => accounts.add_robot(&new.name).await,
        (Kind::Robot, Some(_)) => {
            return Err(invalid("a robot has tokens and no password"));
        }
    };
    added.map_err(of_account)?;
    Ok(created(&json!({ "name": new.name })))
}

async fn change_account(
    asked: &Asked<'_>,
    name: &str,
    change: AccountChange,
) -> Result<Response, ApiError> {
    if let Some(password) = change.password {
        let set = asked.accounts.set_password(name, &password).await;
        set.map_err(of_account)?;
    }
    if let Some(disabled) = change.disabled {
        let set = asked.accounts.set_disabled(name, disabled).await;
        set.map_err(of_account)?;
    }
    Ok(nothing())
}

async fn add_grant(asked: &Asked<'_>, new: NewGrant) -> Result<Response, ApiError> {
    let principal: Principal = new.principal.parse().map_err(of_account)?;
    let actions = new.actions.parse();
    let actions = actions.map_err(|error: crate::auth::ActionsError| invalid(error.to_string()))?;
    let pattern = new.pattern.parse();
    let pattern = pattern.map_err(|error: crate::auth::PatternError| invalid(error.to_string()))?;
    let effect = match new.effect {
        SaidEffect::Allow => Effect::Allow,
        SaidEffect::Deny => Effect::Deny,
    };
    let granted = asked
        .accounts
        .grant(&principal, (effect, actions), &pattern);
    let id = granted.await.map_err(of_account)?;
    Ok(created(&json!({ "id": id })))
}

async fn add_identity(asked: &Asked<'_>, new: NewIdentity) -> Result<Response, ApiError> {
    let what = (new.subject.as_str(), new.audience.as_str());
    let added = asked.accounts.add_identity(&new.account, &new.issuer, what);
    let id = added.await.map_err(of_account)?;
    Ok(created(&json!({ "id": id })))
}
