//! The token server: `GET /token` and `POST /token` (distribution
//! `docs/spec/auth/token.md` and `oauth.md`), and the keys that its tokens
//! verify with.
//!
//! Rights that the caller lacks are no error: the token is for the others.
//! Credentials that are wrong are one, also when anonymous callers may pull.

use std::collections::HashMap;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header;
use http::request::Parts;
use serde_json::{Value, json};

use super::access::{self, Need};
use super::answer::answer;
use super::error::{ApiError, ErrorCode};
use super::query::Query;
use super::{Api, audit, body as bodies};
use crate::auth::{Caller, Issued, Presented, Refused, Scope};
use crate::config::Secret;

const JSON: &str = "application/json";
/// No form of a client is longer.
const MAX_FORM_BYTES: u64 = 64 << 10;

/// For callers that prove themselves with the request, or not at all.
pub(super) async fn get(api: &Api, request: &Parts) -> Result<Response, ApiError> {
    let query = Query::of(&request.uri);
    let presented = access::presented(request)?;
    let caller = identified(api, &presented, request).await?;
    let scopes = Scope::parse_all(query.all("scope"));
    let offline = query.get("offline_token") == Some("true");
    let issued = issue(api, &caller, &scopes, offline).await;
    let (issued, refresh) = issued.map_err(|refused| refusal(api, &refused, request))?;
    let mut body = json!({
        "token": issued.token,
        "access_token": issued.token,
        "expires_in": issued.expires_in.as_secs(),
        "issued_at": issued.made_at.to_string(),
    });
    if let Some(refresh) = refresh {
        body["refresh_token"] = json!(refresh);
    }
    Ok(document(&body))
}

/// For callers that prove themselves with a form.
pub(super) async fn post(api: &Api, (request, body): (Parts, Body)) -> Result<Response, ApiError> {
    let form = form(api, body).await?;
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let refused = |error: &Refused| refusal(api, error, &request);
    let (caller, known) = match field("grant_type") {
        "password" => {
            let presented = Presented::Basic {
                name: field("username").to_owned(),
                secret: Secret::new(field("password")),
            };
            (identified(api, &presented, &request).await?, None)
        }
        "refresh_token" => {
            let token = field("refresh_token");
            let caller = api.auth.refreshed(token).await;
            let caller = caller.map_err(|error| refused(&error))?;
            (caller, Some(token.to_owned()))
        }
        other => {
            return Err(ApiError::bad_request(
                ErrorCode::Unsupported,
                format!("grant_type is password or refresh_token, not {other:?}"),
            ));
        }
    };
    let scopes = Scope::parse_all(std::iter::once(field("scope")));
    let offline = field("access_type") == "offline" && known.is_none();
    let issued = issue(api, &caller, &scopes, offline).await;
    let (issued, refresh) = issued.map_err(|error| refused(&error))?;
    let granted = issued.access.iter().map(|access| {
        format!(
            "{}:{}:{}",
            access.kind,
            access.name,
            access.actions.join(",")
        )
    });
    let mut body = json!({
        "access_token": issued.token,
        "token": issued.token,
        "token_type": "Bearer",
        "scope": granted.collect::<Vec<_>>().join(" "),
        "expires_in": issued.expires_in.as_secs(),
        "issued_at": issued.made_at.to_string(),
    });
    if let Some(refresh) = refresh.or(known) {
        body["refresh_token"] = json!(refresh);
    }
    Ok(document(&body))
}

/// The public keys (RFC 7517).
pub(super) async fn jwks(api: &Api, request: &Parts) -> Result<Response, ApiError> {
    let keys = api.auth.jwks().await;
    Ok(document(
        &keys.map_err(|error| refusal(api, &error, request))?,
    ))
}

async fn identified(api: &Api, presented: &Presented, request: &Parts) -> Result<Caller, ApiError> {
    let caller = access::identify(api, presented, request).await;
    caller.map_err(|refused| {
        let error = refusal(api, &refused, request);
        audit::refused(api, presented, &error, request);
        error
    })
}

async fn issue(
    api: &Api,
    caller: &Caller,
    scopes: &[Scope],
    offline: bool,
) -> Result<(Issued, Option<String>), Refused> {
    let issued = api.auth.issue(caller, scopes).await?;
    let refresh = if offline {
        api.auth.issue_refresh(caller).await?
    } else {
        None
    };
    Ok((issued, refresh))
}

async fn form(api: &Api, body: Body) -> Result<HashMap<String, String>, ApiError> {
    let incoming = bodies::incoming(body, api.config.body_idle_timeout);
    let bytes = bodies::read(incoming, MAX_FORM_BYTES).await.map_err(|_| {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::SizeInvalid,
            format!("the form is broken, or longer than {MAX_FORM_BYTES} bytes"),
        )
    })?;
    Ok(url::form_urlencoded::parse(&bytes).into_owned().collect())
}

fn refusal(api: &Api, refused: &Refused, request: &Parts) -> ApiError {
    access::refusal(api, refused, Need::Nothing, request)
}

/// Nobody in between keeps what holds a token.
fn document(body: &Value) -> Response {
    answer(
        StatusCode::OK,
        [
            (header::CONTENT_TYPE, JSON.to_owned()),
            (header::CACHE_CONTROL, "no-store".to_owned()),
        ],
        Body::from(body.to_string()),
    )
}
