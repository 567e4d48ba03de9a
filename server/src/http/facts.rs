//! Repositories and tags as `/api/v1` tells of them.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http::header;
use http::request::Parts;
use hythe_oci::{Digest, RepositoryName, Tag};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer::{answer, next_link};
use super::error::{ApiError, ErrorCode};
use super::facts_route::FactsRoute;
use super::listings::entries;
use super::query::Query;
use super::{Api, body as bodies, by};
use crate::auth::Caller;
use crate::config::Policies;
use crate::registry::{AsItWas, RegistryError, RepositoryChange};

const JSON: &str = "application/json";

/// What all of `/api/v1` is, for people and generators of clients.
const OPEN_API: &str = include_str!("openapi.json");

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

/// What a tag is to be restored to; nothing is what it was before its last move.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Restore {
    #[serde(default)]
    digest: Option<Digest>,
    #[serde(default)]
    as_of: Option<jiff::Timestamp>,
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
        FactsRoute::ChangeRepository(name) => change_repository(api, &name, caller, body).await,
        FactsRoute::DeleteRepository(name) => {
            let deleted = api.registry.delete_repository(&name, by(caller));
            deleted.await?;
            Ok(nothing())
        }
        FactsRoute::GiveStar(name) => set_star(api, &name, caller, true).await,
        FactsRoute::TakeStar(name) => set_star(api, &name, caller, false).await,
        FactsRoute::ListTags(name) => list_tags(api, &name, &request).await,
        FactsRoute::DescribeTag(name, tag) => {
            let record = api.registry.describe_tag(&name, &tag).await?;
            Ok(found(&json!(record)))
        }
        FactsRoute::TagHistory(name, tag) => tag_history(api, (&name, &tag), &request).await,
        FactsRoute::RestoreTag(name, tag) => restore_tag(api, (&name, &tag), caller, body).await,
        FactsRoute::ListPolicies => list_policies(api).await,
        FactsRoute::OpenApi => Ok(answer(
            StatusCode::OK,
            [(header::CONTENT_TYPE, JSON.to_owned())],
            Body::from(OPEN_API),
        )),
        FactsRoute::SetPolicy(kind) => {
            let content = read_bytes(api, body).await?;
            let set = api.registry.set_policy(kind, &content, by(caller));
            set.await?;
            list_policies(api).await
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
    Ok(listing(
        request,
        &json!({ "repositories": page.entries }),
        last.filter(|_| page.more),
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
    Ok(listing(
        request,
        &json!({ "tags": page.entries }),
        last.filter(|_| page.more),
        n,
    ))
}

async fn describe_repository(api: &Api, name: &RepositoryName) -> Result<Response, ApiError> {
    let record = api.registry.describe_repository(name).await?;
    Ok(found(&json!(record)))
}

async fn change_repository(
    api: &Api,
    name: &RepositoryName,
    caller: &Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let change: Change = read(api, body).await?;
    let flags = [change.is_official, change.is_automated];
    if flags.iter().any(Option::is_some) && !caller.administers() {
        let message = "only who administers this registry may say what is official or automated";
        return Err(ApiError::denied(message.to_owned()));
    }
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
    let who = by(caller);
    api.registry.set_star(name, who, given).await?;
    Ok(nothing())
}

async fn tag_history(
    api: &Api,
    (name, tag): (&RepositoryName, &Tag),
    request: &Parts,
) -> Result<Response, ApiError> {
    let query = Query::of(&request.uri);
    let n = entries(&query)?;
    let before = query.get("before").map(str::parse::<i64>).transpose();
    let before = before.map_err(|_| {
        ApiError::bad_request(ErrorCode::Unsupported, "before must be the id of a move")
    })?;
    let moves = api.registry.tag_history(name, tag, (before, n)).await?;
    Ok(found(&json!({ "name": tag.as_str(), "moves": moves })))
}

async fn restore_tag(
    api: &Api,
    (name, tag): (&RepositoryName, &Tag),
    caller: &Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let content = read_bytes(api, body).await?;
    let said: Restore = if content.is_empty() {
        Restore::default()
    } else {
        parsed(&content)?
    };
    let to = match (said.digest, said.as_of) {
        (None, None) => AsItWas::Before,
        (Some(digest), None) => AsItWas::Named(digest),
        (None, Some(at)) => AsItWas::At(at),
        (Some(_), Some(_)) => {
            let message = "digest and as_of do not go together";
            return Err(ApiError::bad_request(ErrorCode::Unsupported, message));
        }
    };
    let restored = api.registry.restore_tag(name, (tag, &to), by(caller));
    restored.await?;
    let record = api.registry.describe_tag(name, tag).await?;
    Ok(found(&json!(record)))
}

async fn list_policies(api: &Api) -> Result<Response, ApiError> {
    let set = api.registry.set_policies().await?;
    Ok(found(&json!({
        "configured": policies_json(&api.registry.rules().policies),
        "set": policies_json(&set),
    })))
}

fn policies_json(policies: &Policies) -> Value {
    json!({
        "immutable-tags": policies.immutable_tags,
        "retention": policies.retention,
        "quotas": policies.quotas,
    })
}

/// A JSON body.
async fn read<T: DeserializeOwned>(api: &Api, body: Body) -> Result<T, ApiError> {
    parsed(&read_bytes(api, body).await?)
}

fn parsed<T: DeserializeOwned>(content: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(content)
        .map_err(|error| ApiError::bad_request(ErrorCode::Unsupported, error.to_string()))
}

async fn read_bytes(api: &Api, body: Body) -> Result<Bytes, ApiError> {
    let incoming = bodies::incoming(body, api.config.body_idle_timeout);
    match bodies::read(incoming, BODY_BYTES).await {
        Ok(content) => Ok(content),
        Err(bodies::TooMuch::Limit) => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::SizeInvalid,
            format!("a body may have {BODY_BYTES} bytes at most"),
        )),
        Err(bodies::TooMuch::Body(error)) => Err(RegistryError::Body(error).into()),
    }
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

/// `last` is set when there is a next page.
fn listing(request: &Parts, page: &Value, last: Option<String>, n: Option<u32>) -> Response {
    let mut response = found(page);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::super::route::tests::ROUTES;

    /// Every route of `/api/v1` is in the document, and nothing else.
    #[test]
    fn the_document_has_every_route() {
        let document: Value = serde_json::from_str(super::OPEN_API).unwrap();
        let mut described = BTreeMap::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            assert!(path.starts_with("/api/v1/"), "{path}");
            for (method, operation) in operations.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap();
                let n_parts = path.split('/').count();
                described.insert(name.to_owned(), (method.to_uppercase(), n_parts));
            }
        }
        let mut routed = BTreeMap::new();
        let api = |row: &&(&str, &str, &str, &str)| row.1.starts_with("/api/v1/");
        for (method, path, name, repository) in ROUTES.iter().filter(api) {
            // A name is one part of a path there.
            let n_parts = path.split('/').count() - repository.matches('/').count();
            routed.insert((*name).to_owned(), ((*method).to_owned(), n_parts));
        }
        assert_eq!(described, routed);
    }
}
