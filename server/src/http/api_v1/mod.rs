//! `/api/v1`: what an administrator, or a page, asks beside the distribution
//! API. JSON in and out; `openapi.json`, beside this folder, is its
//! document.
//!
//! `endpoint` knows which operation a path is and what it needs; one file per
//! noun has the handlers. Repositories are `facts`, beside this folder.

mod accounts;
mod endpoint;
mod tokens;

pub(crate) use endpoint::Endpoint;

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::answer::answer;
use super::error::{ApiError, ErrorCode};
use super::query::Query;
use super::{Api, body as bodies, client};
use crate::auth::{AccountError, Accounts, Caller};

const JSON: &str = "application/json";

/// A body of this API is never larger.
const BODY_BYTES: u64 = 64 << 10;

/// What an operation works with.
struct Asked<'a> {
    api: &'a Api,
    caller: &'a Caller,
    request: &'a Parts,
    accounts: Accounts,
}

impl Asked<'_> {
    fn query(&self, name: &str) -> Option<String> {
        Query::of(&self.request.uri).get(name).map(str::to_owned)
    }
}

pub(super) async fn dispatch(
    api: &Api,
    endpoint: Endpoint,
    caller: &Caller,
    (request, body): (Parts, Body),
) -> Result<Response, ApiError> {
    let address = client::address_of(&request).map(|address| address.to_string());
    let asked = Asked {
        api,
        caller,
        request: &request,
        accounts: api.auth.accounts(caller, address),
    };
    let answer = match endpoint {
        Endpoint::WhoAmI => Ok(document(&json!({
            "name": caller.name(),
            "administrator": caller.administers(),
        }))),
        Endpoint::Audit => audit(&asked).await,
        Endpoint::ListTokens | Endpoint::MakeToken | Endpoint::RevokeToken(_) => {
            tokens::serve(&asked, endpoint, body).await
        }
        _ => accounts::serve(&asked, endpoint, body).await,
    };
    if request.method != http::Method::GET {
        // Whoever asks this process next sees what was done.
        api.auth.refresh().await;
    }
    answer
}

async fn audit(asked: &Asked<'_>) -> Result<Response, ApiError> {
    let n = match asked.query("n") {
        None => 100,
        Some(n) => n
            .parse()
            .map_err(|_| invalid(format!("n={n:?} is no number")))?,
    };
    let before = asked.query("before");
    let records = asked.accounts.audit(before.as_deref(), n).await;
    Ok(document(
        &json!({ "records": records.map_err(of_account)? }),
    ))
}

/// A JSON body.
async fn read<T: DeserializeOwned>(asked: &Asked<'_>, body: Body) -> Result<T, ApiError> {
    let incoming = bodies::incoming(body, asked.api.config.body_idle_timeout);
    let content = bodies::read(incoming, BODY_BYTES).await.map_err(|_| {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::SizeInvalid,
            format!("the body is broken, or longer than {BODY_BYTES} bytes"),
        )
    })?;
    // What is wrong is said without repeating what may be a secret.
    serde_json::from_slice(&content).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => error.to_string(),
            _ => format!(
                "not JSON at line {}, column {}",
                error.line(),
                error.column()
            ),
        };
        invalid(what)
    })
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::bad_request(ErrorCode::Unsupported, message)
}

fn of_account(error: AccountError) -> ApiError {
    let message = error.to_string();
    match error {
        AccountError::Unknown { .. } => {
            ApiError::new(StatusCode::NOT_FOUND, ErrorCode::NameUnknown, message)
        }
        AccountError::Taken { .. } => {
            ApiError::new(StatusCode::CONFLICT, ErrorCode::Denied, message)
        }
        AccountError::Invalid(_) => invalid(message),
        AccountError::Db(error) => ApiError::of_accounts(&error),
    }
}

/// A JSON answer; nobody in between keeps what may hold a secret.
fn document(body: &impl Serialize) -> Response {
    text(serde_json::to_string(body).unwrap_or_default())
}

fn created(body: &impl Serialize) -> Response {
    let mut response = document(body);
    *response.status_mut() = StatusCode::CREATED;
    response
}

fn text(body: String) -> Response {
    answer(
        StatusCode::OK,
        [
            (header::CONTENT_TYPE, JSON.to_owned()),
            (header::CACHE_CONTROL, "no-store".to_owned()),
        ],
        Body::from(body),
    )
}

fn nothing() -> Response {
    answer(StatusCode::NO_CONTENT, [], Body::empty())
}
