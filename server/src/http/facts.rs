//! Repositories and tags as `/api/v1` tells of them.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header;
use http::request::Parts;
use hythe_oci::RepositoryName;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{answer, next_link};
use super::error::{ApiError, ErrorCode};
use super::facts_route::FactsRoute;
use super::listings::entries;
use super::query::Query;
use super::{ANONYMOUS, Api, body as bodies};
use crate::auth::Caller;
use crate::registry::{Page, RegistryError, RepositoryChange, RepositoryRecord, TagRecord};

const JSON: &str = "application/json";

/// A body of this API is never larger.
const BODY_BYTES: u64 = 64 << 10;

/// The most bytes of a description.
const DESCRIPTION_BYTES: usize = 10_000;

/// What a PATCH of a repository may say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    description: Option<String>,
    is_official: Option<bool>,
    is_automated: Option<bool>,
}

pub(super) async fn serve(
    api: &Api,
    route: FactsRoute,
    caller: &Caller,
    (request, body): (Parts, Body),
) -> Result<Response, ApiError> {
    match route {
        FactsRoute::ListRepositories => list_repositories(api, caller, &request).await,
        FactsRoute::DescribeRepository(name) => describe_repository(api, &name).await,
        FactsRoute::ChangeRepository(name) => change_repository(api, &name, body).await,
        FactsRoute::DeleteRepository(name) => {
            api.registry.delete_repository(&name).await?;
            Ok(nothing())
        }
        FactsRoute::GiveStar(name) => set_star(api, &name, caller, true).await,
        FactsRoute::TakeStar(name) => set_star(api, &name, caller, false).await,
        FactsRoute::ListTags(name) => list_tags(api, &name, &request).await,
        FactsRoute::DescribeTag(name, tag) => {
            let record = api.registry.describe_tag(&name, &tag).await?;
            Ok(found(&tag_json(&record)))
        }
    }
}

async fn list_repositories(
    api: &Api,
    caller: &Caller,
    request: &Parts,
) -> Result<Response, ApiError> {
    let query = Query::of(&request.uri);
    let n = entries(&query)?;
    let last = query.get("last").unwrap_or_default();
    let visible = |name: &RepositoryName| caller.may_see(name);
    let listed = api.registry.describe_repositories(n, last, &visible);
    let page = listed.await?;
    let last = page.entries.last().map(|record| record.name.to_string());
    let (next, entries) = shown(&page, repository_json);
    Ok(listing(
        request,
        ("repositories", entries),
        last.filter(|_| next),
        n,
    ))
}

async fn list_tags(
    api: &Api,
    name: &RepositoryName,
    request: &Parts,
) -> Result<Response, ApiError> {
    let query = Query::of(&request.uri);
    let n = entries(&query)?;
    let last = query.get("last").unwrap_or_default();
    let page = api.registry.describe_tags(name, n, last).await?;
    let last = page.entries.last().map(|record| record.name.to_string());
    let (next, entries) = shown(&page, tag_json);
    Ok(listing(
        request,
        ("tags", entries),
        last.filter(|_| next),
        n,
    ))
}

async fn describe_repository(api: &Api, name: &RepositoryName) -> Result<Response, ApiError> {
    let record = api.registry.describe_repository(name).await?;
    Ok(found(&repository_json(&record)))
}

async fn change_repository(
    api: &Api,
    name: &RepositoryName,
    body: Body,
) -> Result<Response, ApiError> {
    let change: Change = read(api, body).await?;
    if let Some(text) = &change.description
        && text.len() > DESCRIPTION_BYTES
    {
        return Err(ApiError::bad_request(
            ErrorCode::SizeInvalid,
            format!("a description may have {DESCRIPTION_BYTES} bytes at most"),
        ));
    }
    let change = RepositoryChange {
        description: change.description,
        is_official: change.is_official,
        is_automated: change.is_automated,
    };
    api.registry.change_repository(name, &change).await?;
    describe_repository(api, name).await
}

async fn set_star(
    api: &Api,
    name: &RepositoryName,
    caller: &Caller,
    given: bool,
) -> Result<Response, ApiError> {
    if caller.is_anonymous() {
        return Err(ApiError::denied(
            "a star is given by somebody with an account",
        ));
    }
    let who = caller.name().unwrap_or(ANONYMOUS);
    api.registry.set_star(name, who, given).await?;
    Ok(nothing())
}

/// A JSON body.
async fn read<T: serde::de::DeserializeOwned>(api: &Api, body: Body) -> Result<T, ApiError> {
    let incoming = bodies::incoming(body, api.config.body_idle_timeout);
    let content = match bodies::read(incoming, BODY_BYTES).await {
        Ok(content) => content,
        Err(bodies::TooMuch::Limit) => {
            return Err(ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                ErrorCode::SizeInvalid,
                format!("a body may have {BODY_BYTES} bytes at most"),
            ));
        }
        Err(bodies::TooMuch::Body(error)) => return Err(RegistryError::Body(error).into()),
    };
    serde_json::from_slice(&content)
        .map_err(|error| ApiError::bad_request(ErrorCode::Unsupported, error.to_string()))
}

fn found(body: &Value) -> Response {
    answer(
        StatusCode::OK,
        [(header::CONTENT_TYPE, JSON.to_owned())],
        Body::from(body.to_string()),
    )
}

fn nothing() -> Response {
    answer(StatusCode::NO_CONTENT, [], Body::empty())
}

/// The entries of a page, and whether there are more after them.
fn shown<T>(page: &Page<T>, show: impl Fn(&T) -> Value) -> (bool, Vec<Value>) {
    (page.more, page.entries.iter().map(show).collect())
}

/// `last` is set when there is a next page.
fn listing(
    request: &Parts,
    (field, entries): (&str, Vec<Value>),
    last: Option<String>,
    n: Option<u32>,
) -> Response {
    let mut response = found(&json!({ field: entries }));
    if let Some(last) = last {
        let n = n.map(|n| n.to_string());
        let mut pairs = vec![("last", last.as_str())];
        pairs.extend(n.as_deref().map(|n| ("n", n)));
        if let Ok(link) = next_link(request.uri.path(), &pairs).try_into() {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    response
}

fn repository_json(record: &RepositoryRecord) -> Value {
    json!({
        "name": record.name.as_str(),
        "description": record.description,
        "star_count": record.star_count,
        "is_official": record.is_official,
        "is_automated": record.is_automated,
        "tag_count": record.n_tags,
        "size_bytes": record.size_bytes,
        "created_at": time(record.created_at),
        "pushed_at": record.pushed_at.map(time),
        "last_pulled_at": record.last_pulled_at.map(time),
    })
}

fn tag_json(record: &TagRecord) -> Value {
    let platforms: Vec<Value> = record
        .platforms
        .iter()
        .map(|image| {
            json!({
                "platform": image.platform,
                "digest": image.digest,
                "size_bytes": image.size_bytes,
            })
        })
        .collect();
    json!({
        "name": record.name.as_str(),
        "digest": record.digest,
        "media_type": record.media_type,
        "size_bytes": record.size_bytes,
        "platforms": platforms,
        "pushed_at": time(record.pushed_at),
        "pushed_by": record.pushed_by,
        "last_pulled_at": record.last_pulled_at.map(time),
    })
}

/// Milliseconds since 1970, as RFC 3339 has them.
fn time(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(|_| String::new(), |at| at.to_string())
}
