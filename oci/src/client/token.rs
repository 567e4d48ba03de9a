//! Tokens: fetched from the realm that a challenge names, kept until they end.
//!
//! Distribution `docs/spec/auth/token.md` for a user or nobody, `oauth.md` for an identity token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;

use super::credentials::bearer_header;
use super::error::{read_limited, refused};
use super::scope::Scope;
use super::{Client, ClientError, Credentials};

/// A token that is about to end would not outlive the request.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);

/// What a token without `expires_in` is good for, as the specification says.
const DEFAULT_LIFETIME_SECONDS: u64 = 60;

/// No token answer is longer.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// What a grant is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    pub(super) host: String,
    /// Empty to prove who we are and nothing else.
    pub(super) scope: Scope,
    pub(super) credentials: Credentials,
}

/// The value of an `Authorization` header, and how long it is good.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) header: HeaderValue,
    pub(super) expires: Option<Instant>,
}

/// Grants by host, scope and credentials.
#[derive(Debug, Default)]
pub(super) struct TokenCache {
    grants: Mutex<HashMap<Wanted, Grant>>,
    turns: Mutex<HashMap<Wanted, Arc<tokio::sync::Mutex<()>>>>,
}

impl TokenCache {
    /// The header to send without having been asked, if we have one.
    pub(super) fn known(&self, wanted: &Wanted) -> Option<HeaderValue> {
        if let Credentials::RegistryToken(token) = &wanted.credentials {
            return bearer_header(token.expose());
        }
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let grant = grants.get(wanted)?;
        let good = grant
            .expires
            .is_none_or(|expires| expires > Instant::now() + EXPIRY_MARGIN);
        good.then(|| grant.header.clone())
    }

    pub(super) fn keep(&self, wanted: Wanted, grant: Grant) {
        let now = Instant::now();
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.retain(|_, grant| grant.expires.is_none_or(|expires| expires > now));
        grants.insert(wanted, grant);
    }

    /// Waits until nobody else fetches the same: ten layers at once need one token, not ten.
    pub(super) async fn turn(&self, wanted: &Wanted) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(wanted.clone()).or_default())
        };
        turn.lock_owned().await
    }
}

/// Where tokens come from.
#[derive(Debug)]
pub(super) struct Realm {
    pub(super) url: String,
    pub(super) service: Option<String>,
    /// What the registry says the request needs.
    pub(super) scope: Option<String>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// Fetches a token that allows what is wanted, and what the registry says is needed besides.
pub(super) async fn fetch(
    client: &Client,
    wanted: &Wanted,
    realm: &Realm,
) -> Result<Grant, ClientError> {
    let url = realm.url.split('?').next().unwrap_or_default();
    let scope: Vec<String> = wanted.scope.texts().collect();
    let what = match scope.as_slice() {
        [] => format!("token of {url}"),
        scope => format!("token of {url} for {}", scope.join(" ")),
    };
    let request = request(client, wanted, realm, &what).await?;
    let answer = request.send().await;
    let answer = answer.map_err(|error| ClientError::unreachable(what.clone(), error))?;
    if answer.status() != StatusCode::OK {
        return Err(refused(what, answer).await);
    }
    let body = read_limited(answer, MAX_ANSWER_BYTES).await;
    let answer = body.and_then(|body| serde_json::from_slice::<TokenAnswer>(&body).ok());
    let answer = answer.ok_or_else(|| ClientError::bad_answer(&what, "no token document"))?;
    let tokens = answer.token.into_iter().chain(answer.access_token);
    let token = tokens.into_iter().find(|token| !token.is_empty());
    let header = token
        .and_then(|token| bearer_header(&token))
        .ok_or_else(|| ClientError::bad_answer(&what, "no token that fits a header"))?;
    let lifetime = answer
        .expires_in
        .unwrap_or_default()
        .max(DEFAULT_LIFETIME_SECONDS);
    let expires = Instant::now().checked_add(Duration::from_secs(lifetime));
    Ok(Grant { header, expires })
}

async fn request(
    client: &Client,
    wanted: &Wanted,
    realm: &Realm,
    what: &str,
) -> Result<reqwest::RequestBuilder, ClientError> {
    let url: url::Url = realm.url.parse().map_err(|error| {
        ClientError::bad_answer(what, format!("its token realm is no URL: {error}"))
    })?;
    // The realm may be on another host, with other trust.
    let authority = url[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
    let host = client.host(&authority).await?;
    let trusted = host.is_insecure() || client.host(&wanted.host).await?.is_insecure();
    if url.scheme() != "https" && !trusted {
        let reason = "it wants credentials sent without TLS";
        return Err(ClientError::bad_answer(what, reason));
    }
    let needed = Scope::parse(realm.scope.as_deref().unwrap_or_default());
    let scope = wanted.scope.clone().union(needed);
    let mut fields = vec![("client_id", "hythe".to_owned())];
    fields.extend(realm.service.clone().map(|service| ("service", service)));
    if let Credentials::IdentityToken(token) = &wanted.credentials {
        let scopes: Vec<String> = scope.texts().collect();
        fields.push(("scope", scopes.join(" ")));
        fields.push(("grant_type", "refresh_token".to_owned()));
        fields.push(("refresh_token", token.expose().to_owned()));
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = host.http().request(Method::POST, url);
        let form = "application/x-www-form-urlencoded";
        return Ok(request.header(header::CONTENT_TYPE, form).body(body));
    }
    fields.extend(scope.texts().map(|scope| ("scope", scope)));
    let request = host.http().get(url).query(&fields);
    Ok(match wanted.credentials.basic_header() {
        Some(header) => request.header(header::AUTHORIZATION, header),
        None => request,
    })
}
