//! From a method and a path under `/api/v1/` to an operation, and what that
//! needs. Pure.

use http::Method;

use super::super::access::Need;
use super::super::route::RouteError;

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    WhoAmI,
    Audit,
    ListAccounts,
    AddAccount,
    ChangeAccount(String),
    RemoveAccount(String),
    ListGroups,
    AddGroup,
    RemoveGroup(String),
    AddMember(String, String),
    RemoveMember(String, String),
    /// Everybody's own; an administrator's, all.
    ListTokens,
    MakeToken,
    RevokeToken(String),
    ListGrants,
    AddGrant,
    RemoveGrant(String),
    ListIdentities,
    AddIdentity,
    RemoveIdentity(String),
}

impl Endpoint {
    /// What a request asks for; `path` is what follows `/api/v1/`.
    pub(in crate::http) fn parse(method: &Method, path: &str) -> Result<Self, RouteError> {
        let segments: Vec<&str> = path.split('/').collect();
        let of = |text: &str| text.to_owned();
        let known: Vec<(&str, Self)> = match segments.as_slice() {
            ["whoami"] => vec![("GET", Self::WhoAmI)],
            ["audit"] => vec![("GET", Self::Audit)],
            ["accounts"] => vec![("GET", Self::ListAccounts), ("POST", Self::AddAccount)],
            ["accounts", name] => vec![
                ("PATCH", Self::ChangeAccount(of(name))),
                ("DELETE", Self::RemoveAccount(of(name))),
            ],
            ["groups"] => vec![("GET", Self::ListGroups), ("POST", Self::AddGroup)],
            ["groups", name] => vec![("DELETE", Self::RemoveGroup(of(name)))],
            ["groups", group, "members", account] => vec![
                ("PUT", Self::AddMember(of(group), of(account))),
                ("DELETE", Self::RemoveMember(of(group), of(account))),
            ],
            ["tokens"] => vec![("GET", Self::ListTokens), ("POST", Self::MakeToken)],
            ["tokens", id] => vec![("DELETE", Self::RevokeToken(of(id)))],
            ["grants"] => vec![("GET", Self::ListGrants), ("POST", Self::AddGrant)],
            ["grants", id] => vec![("DELETE", Self::RemoveGrant(of(id)))],
            ["identities"] => {
                vec![("GET", Self::ListIdentities), ("POST", Self::AddIdentity)]
            }
            ["identities", id] => vec![("DELETE", Self::RemoveIdentity(of(id)))],
            _ => return Err(RouteError::NotFound),
        };
        let allowed = match known.as_slice() {
            [("GET", _)] => "GET",
            [("DELETE", _)] => "DELETE",
            [("GET", _), _] => "GET, POST",
            [("PATCH", _), _] => "PATCH, DELETE",
            _ => "PUT, DELETE",
        };
        let found = known.into_iter().find(|(word, _)| *method == *word);
        found
            .map(|(_, endpoint)| endpoint)
            .ok_or(RouteError::MethodNotAllowed { allowed })
    }

    /// Every name that [`Endpoint::name`] gives.
    #[cfg(test)]
    pub(in crate::http) const NAMES: [&'static str; 20] = [
        "api_who_am_i",
        "api_audit",
        "api_list_accounts",
        "api_add_account",
        "api_change_account",
        "api_remove_account",
        "api_list_groups",
        "api_add_group",
        "api_remove_group",
        "api_add_member",
        "api_remove_member",
        "api_list_own_tokens",
        "api_make_token",
        "api_revoke_token",
        "api_list_grants",
        "api_add_grant",
        "api_remove_grant",
        "api_list_identities",
        "api_add_identity",
        "api_remove_identity",
    ];

    /// What it is asked for by.
    #[cfg(test)]
    pub(in crate::http) fn path(&self) -> String {
        let path = match self {
            Self::WhoAmI => "whoami".to_owned(),
            Self::Audit => "audit".to_owned(),
            Self::ListAccounts | Self::AddAccount => "accounts".to_owned(),
            Self::ChangeAccount(name) | Self::RemoveAccount(name) => format!("accounts/{name}"),
            Self::ListGroups | Self::AddGroup => "groups".to_owned(),
            Self::RemoveGroup(name) => format!("groups/{name}"),
            Self::AddMember(group, account) | Self::RemoveMember(group, account) => {
                format!("groups/{group}/members/{account}")
            }
            Self::ListTokens | Self::MakeToken => "tokens".to_owned(),
            Self::RevokeToken(id) => format!("tokens/{id}"),
            Self::ListGrants | Self::AddGrant => "grants".to_owned(),
            Self::RemoveGrant(id) => format!("grants/{id}"),
            Self::ListIdentities | Self::AddIdentity => "identities".to_owned(),
            Self::RemoveIdentity(id) => format!("identities/{id}"),
        };
        format!("/api/v1/{path}")
    }

    /// A short, fixed name, for metrics and logs.
    pub(in crate::http) fn name(&self) -> &'static str {
        match self {
            Self::WhoAmI => "api_who_am_i",
            Self::Audit => "api_audit",
            Self::ListAccounts => "api_list_accounts",
            Self::AddAccount => "api_add_account",
            Self::ChangeAccount(_) => "api_change_account",
            Self::RemoveAccount(_) => "api_remove_account",
            Self::ListGroups => "api_list_groups",
            Self::AddGroup => "api_add_group",
            Self::RemoveGroup(_) => "api_remove_group",
            Self::AddMember(..) => "api_add_member",
            Self::RemoveMember(..) => "api_remove_member",
            Self::ListTokens => "api_list_own_tokens",
            Self::MakeToken => "api_make_token",
            Self::RevokeToken(_) => "api_revoke_token",
            Self::ListGrants => "api_list_grants",
            Self::AddGrant => "api_add_grant",
            Self::RemoveGrant(_) => "api_remove_grant",
            Self::ListIdentities => "api_list_identities",
            Self::AddIdentity => "api_add_identity",
            Self::RemoveIdentity(_) => "api_remove_identity",
        }
    }

    /// What it asks of its caller. Tokens are everybody's own; that they are
    /// is seen to by their handlers.
    pub(in crate::http) fn need(&self) -> Need<'_> {
        match self {
            Self::WhoAmI | Self::ListTokens | Self::MakeToken | Self::RevokeToken(_) => Need::Proof,
            Self::Audit
            | Self::ListAccounts
            | Self::AddAccount
            | Self::ChangeAccount(_)
            | Self::RemoveAccount(_)
            | Self::ListGroups
            | Self::AddGroup
            | Self::RemoveGroup(_)
            | Self::AddMember(..)
            | Self::RemoveMember(..)
            | Self::ListGrants
            | Self::AddGrant
            | Self::RemoveGrant(_)
            | Self::ListIdentities
            | Self::AddIdentity
            | Self::RemoveIdentity(_) => Need::Administration,
        }
    }
}
