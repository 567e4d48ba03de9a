//! Who we are: credentials, and the tokens that registries give for them.
//!
//! Docker's token flow (distribution `docs/spec/auth/token.md` and `oauth.md`): a 401 names a
//! realm, the realm gives a token for a scope, the token goes with the next request.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::challenge::{self, Challenge};
use super::error::{read_limited, refused};
use super::{Client, ClientError};

/// A password or token; its `Debug` shows nothing.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// What a caller shows to a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Credentials {
    #[default]
    None,
    Basic {
        user: String,
        password: Secret,
    },
    /// A refresh token that an earlier login got.
    IdentityToken(Secret),
    /// A bearer token, used as it is.
    RegistryToken(Secret),
}

/// The value of an `Authorization` header, and how long it is good.
#[derive(Debug, Clone)]
struct Grant {
    header: HeaderValue,
    expires: Option<Instant>,
}

/// Grants by host, scope and credentials.
#[derive(Debug, Default)]
pub(super) struct TokenCache(Mutex<HashMap<Wanted, Grant>>);

/// What a grant is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    pub(super) host: String,
    /// `repository:team/app:pull,push`; empty to prove who we are and nothing else.
    pub(super) scope: String,
    pub(super) credentials: Credentials,
}

/// A token that is about to end would not outlive the request.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);

/// What a token without `expires_in` is good for, as the specification says.
const DEFAULT_LIFETIME_SECONDS: u64 = 60;

/// No token answer is longer.
const MAX_TOKEN_BYTES: usize = 1 << 20;

impl TokenCache {
    /// The header to send without having been asked, if we have one.
    pub(super) fn known(&self, wanted: &Wanted) -> Option<HeaderValue> {
        if let Credentials::RegistryToken(token) = &wanted.credentials {
            return bearer_header(token.expose());
        }
        let grants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let grant = grants.get(wanted)?;
        let good = grant
            .expires
            .is_none_or(|expires| expires > Instant::now() + EXPIRY_MARGIN);
        good.then(|| grant.header.clone())
    }

    fn keep(&self, wanted: Wanted, grant: Grant) {
        let now = Instant::now();
        let mut grants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        grants.retain(|_, grant| grant.expires.is_none_or(|expires| expires > now));
        grants.insert(wanted, grant);
    }
}

/// Answers the challenges of a 401: the header to try again with, or `None` when there is
/// nothing that we could show.
pub(super) async fn answer(
    client: &Client,
    wanted: &Wanted,
    refusal: &reqwest::Response,
) -> Result<Option<HeaderValue>, ClientError> {
    let headers = refusal.headers().get_all(header::WWW_AUTHENTICATE);
    let texts = headers.iter().filter_map(|value| value.to_str().ok());
    let challenges: Vec<Challenge> = texts.flat_map(challenge::parse).collect();
    for challenge in challenges {
        let grant = match challenge {
            Challenge::Bearer {
                realm,
                service,
                scope,
            } => {
                let realm = Realm {
                    url: realm,
                    service,
                    scope,
                };
                Some(token(client, wanted, &realm).await?)
            }
            Challenge::Basic => basic_header(&wanted.credentials).map(|header| Grant {
                header,
                expires: None,
            }),
        };
        if let Some(grant) = grant {
            let header = grant.header.clone();
            client.tokens().keep(wanted.clone(), grant);
            return Ok(Some(header));
        }
    }
    Ok(None)
}

/// Where tokens come from.
struct Realm {
    url: String,
    service: Option<String>,
    /// What the registry asked for; it knows better than we do.
    scope: Option<String>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

async fn token(client: &Client, wanted: &Wanted, realm: &Realm) -> Result<Grant, ClientError> {
    let what = format!("token for {} at {}", wanted.scope, realm.url);
    let request = token_request(client, wanted, realm, &what)?;
    let answer = request.send().await;
    let answer = answer.map_err(|error| ClientError::unreachable(&realm.url, error))?;
    if answer.status() != StatusCode::OK {
        return Err(refused(what, answer).await);
    }
    let bad = |reason: &str| ClientError::BadAnswer {
        what: what.clone(),
        reason: reason.to_owned(),
    };
    let body = read_limited(answer, MAX_TOKEN_BYTES)
        .await
        .ok_or_else(|| bad("no body"))?;
    let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| bad("no JSON"))?;
    let token = answer
        .token
        .or(answer.access_token)
        .ok_or_else(|| bad("no token"))?;
    let header = bearer_header(&token).ok_or_else(|| bad("no token that fits a header"))?;
    let lifetime = answer
        .expires_in
        .unwrap_or(DEFAULT_LIFETIME_SECONDS)
        .max(DEFAULT_LIFETIME_SECONDS);
    let expires = Instant::now().checked_add(Duration::from_secs(lifetime));
    Ok(Grant { header, expires })
}

fn token_request(
    client: &Client,
    wanted: &Wanted,
    realm: &Realm,
    what: &str,
) -> Result<reqwest::RequestBuilder, ClientError> {
    let url: url::Url = realm.url.parse().map_err(|error| ClientError::BadAnswer {
        what: what.to_owned(),
        reason: format!("its token realm is no URL: {error}"),
    })?;
    // The realm may be on another host, with other trust.
    let authority = url[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
    let host = client.host(&authority)?;
    if url.scheme() != "https"
        && !client.is_insecure(&authority)
        && !client.is_insecure(&wanted.host)
    {
        return Err(ClientError::BadAnswer {
            what: what.to_owned(),
            reason: "it wants the password sent without TLS".to_owned(),
        });
    }
    let scope = match &realm.scope {
        Some(scope) if !scope.is_empty() => scope.clone(),
        _ => wanted.scope.clone(),
    };
    let mut fields = vec![("client_id", "hythe".to_owned())];
    fields.extend(realm.service.clone().map(|service| ("service", service)));
    if !scope.is_empty() {
        fields.push(("scope", scope));
    }
    Ok(match &wanted.credentials {
        Credentials::IdentityToken(token) => {
            fields.push(("grant_type", "refresh_token".to_owned()));
            fields.push(("refresh_token", token.expose().to_owned()));
            let body = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(fields)
                .finish();
            host.http()
                .post(url)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(body)
        }
        credentials => {
            let request = host.http().get(url).query(&fields);
            match basic_header(credentials) {
                Some(header) => request.header(header::AUTHORIZATION, header),
                None => request,
            }
        }
    })
}

fn basic_header(credentials: &Credentials) -> Option<HeaderValue> {
    let Credentials::Basic { user, password } = credentials else {
        return None;
    };
    let pair = format!("{user}:{}", password.expose());
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    sensitive(&format!("Basic {encoded}"))
}

fn bearer_header(token: &str) -> Option<HeaderValue> {
    sensitive(&format!("Bearer {token}"))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Asks `/v2/` until it lets us in or says no.
pub(super) async fn login(
    client: &Client,
    host: &str,
    credentials: &Credentials,
) -> Result<(), ClientError> {
    let wanted = Wanted {
        host: host.to_owned(),
        scope: String::new(),
        credentials: credentials.clone(),
    };
    let connection = client.host(host)?;
    let url = format!("{}/v2/", connection.base().await?);
    let send = |header: Option<HeaderValue>| {
        let mut request = connection.http().get(&url);
        if let Some(header) = header {
            request = request.header(header::AUTHORIZATION, header);
        }
        request.send()
    };
    let unreachable = |error| ClientError::unreachable(&url, error);
    let mut answer = send(None).await.map_err(unreachable)?;
    if answer.status() == StatusCode::UNAUTHORIZED
        && let Some(header) = self::answer(client, &wanted, &answer).await?
    {
        answer = send(Some(header)).await.map_err(unreachable)?;
    }
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(refused(format!("login to {host}"), answer).await)
    }
}
