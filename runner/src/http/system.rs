//! The engine about itself.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bollard_stubs::models::{SystemInfo, SystemVersion};
use futures_util::StreamExt as _;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA};

use super::Result;
use super::convert::{disk_usage_to_wire, event_to_wire, info_to_wire, version_to_wire};
use super::error::ApiError;
use super::request::{AuthConfig, JsonBody, Query, Version};
use super::stream::{LineEnd, json_lines};
use super::wire;
use crate::engine::{DiskUsageParts, Engine, EventQuery};

/// `Builder-Version: 1` keeps clients with the classic builder.
pub(super) async fn ping() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
        (PRAGMA, "no-cache"),
    ];
    let docker = [("builder-version", "1"), ("swarm", "inactive")];
    (headers, docker, "OK").into_response()
}

pub(super) async fn version(State(engine): State<Engine>) -> Json<SystemVersion> {
    Json(version_to_wire(engine.version()))
}

pub(super) async fn info(State(engine): State<Engine>) -> Result<Json<SystemInfo>> {
    Ok(Json(info_to_wire(engine.info().await?)))
}

pub(super) async fn auth(
    State(engine): State<Engine>,
    JsonBody(credentials): JsonBody<AuthConfig>,
) -> Result<Json<wire::LoginAnswer>> {
    let status = engine.log_in(credentials.into()).await?;
    Ok(Json(wire::LoginAnswer {
        status,
        identity_token: String::new(),
    }))
}

pub(super) async fn events(State(engine): State<Engine>, query: Query) -> Result<Response> {
    let request = EventQuery {
        since: query.time("since")?,
        until: query.time("until")?,
        filters: query.filters()?,
    };
    let events = engine.events(request).await?;
    Ok(json_lines(events.map(event_to_wire), LineEnd::Lf))
}

pub(super) async fn disk_usage(
    State(engine): State<Engine>,
    Version(version): Version,
    query: Query,
) -> Result<Json<wire::DiskUsage>> {
    let parts = disk_usage_parts(&query)?;
    let usage = engine.disk_usage(parts).await?;
    let now = jiff::Timestamp::now();
    Ok(Json(disk_usage_to_wire(usage, version, now)))
}

/// `type`, repeated; none means everything.
fn disk_usage_parts(query: &Query) -> Result<DiskUsageParts> {
    let wanted: Vec<&str> = query.all("type").collect();
    let known = ["container", "image", "volume", "build-cache"];
    if let Some(unknown) = wanted.iter().find(|kind| !known.contains(kind)) {
        return Err(ApiError::bad_parameter(format!(
            "unknown object type: {unknown}"
        )));
    }
    let wants = |kind| wanted.is_empty() || wanted.contains(&kind);
    Ok(DiskUsageParts {
        containers: wants("container"),
        images: wants("image"),
        volumes: wants("volume"),
    })
}
