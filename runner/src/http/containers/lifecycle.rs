//! Making, running and ending containers.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use super::Container;
use crate::engine::{CreateRequest, Engine, RemoveOptions, StopOptions, UpdateRequest};
use crate::http::Result;
use crate::http::convert::{
    config_from_wire, host_config_from_wire, none_if_empty, refuse_unsupported,
    resources_from_wire, restart_policy_from_wire,
};
use crate::http::error::ApiError;
use crate::http::request::{JsonBody, Query, Version};
use crate::http::wire;
use crate::spec::ContainerName;

pub(crate) async fn create(
    State(engine): State<Engine>,
    Version(version): Version,
    query: Query,
    JsonBody(body): JsonBody<wire::CreateBody>,
) -> Result<Response> {
    let host = host_config_from_wire(&body, version)?;
    let config = body.config.ok_or_else(|| {
        ApiError::bad_parameter("config cannot be empty in order to create a container")
    })?;
    let request = CreateRequest {
        name: query.given("name").map(container_name).transpose()?,
        config: config_from_wire(config)?,
        host,
        platform: query.given("platform").map(str::to_owned),
    };
    // Some 16 KiB of future, which no other request should have to carry.
    let created = Box::pin(engine.create_container(request)).await?;
    let answer = wire::CreatedContainer {
        id: created.id.to_string(),
        warnings: created.warnings,
    };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

fn container_name(text: &str) -> Result<ContainerName> {
    text.parse()
        .map_err(|error: crate::spec::IdError| ApiError::bad_parameter(error.to_string()))
}

pub(crate) async fn start(
    State(engine): State<Engine>,
    Container(container): Container,
    query: Query,
) -> Result<StatusCode> {
    if query.given("checkpoint").is_some() {
        return Err(ApiError::not_implemented(
            "starting from a checkpoint is not supported by this engine",
        ));
    }
    engine.start_container(&container).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn stop_options(query: &Query) -> Result<StopOptions> {
    Ok(StopOptions {
        signal: query.given("signal").map(str::to_owned),
        timeout_s: query.number("t")?,
    })
}

pub(crate) async fn stop(
    State(engine): State<Engine>,
    Container(container): Container,
    query: Query,
) -> Result<StatusCode> {
    let options = stop_options(&query)?;
    engine.stop_container(&container, options).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn restart(
    State(engine): State<Engine>,
    Container(container): Container,
    query: Query,
) -> Result<StatusCode> {
    let options = stop_options(&query)?;
    engine.restart_container(&container, options).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn kill(
    State(engine): State<Engine>,
    Container(container): Container,
    query: Query,
) -> Result<StatusCode> {
    engine
        .kill_container(&container, query.given("signal"))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn pause(
    State(engine): State<Engine>,
    Container(container): Container,
) -> Result<StatusCode> {
    engine.pause_container(&container).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn unpause(
    State(engine): State<Engine>,
    Container(container): Container,
) -> Result<StatusCode> {
    engine.unpause_container(&container).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn rename(
    State(engine): State<Engine>,
    Container(container): Container,
    query: Query,
) -> Result<StatusCode> {
    let name = query
        .given("name")
        .ok_or_else(|| ApiError::bad_parameter("Neither old nor new names may be empty"))?;
    engine
        .rename_container(&container, container_name(name)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn update(
    State(engine): State<Engine>,
    Container(container): Container,
    JsonBody(body): JsonBody<wire::UpdateBody>,
) -> Result<Json<wire::UpdateAnswer>> {
    refuse_unsupported(&body.limits)?;
    let mut resources = resources_from_wire(&body.limits)?;
    // Zero and below lift the limit; a missing one leaves it.
    resources.pids_limit = resources
        .pids_limit
        .map(|limit| if limit > 0 { limit } else { -1 });
    let policy = body.restart_policy.as_ref();
    let request = UpdateRequest {
        resources,
        restart_policy: policy.map(restart_policy_from_wire).transpose()?,
    };
    let warnings = engine.update_container(&container, request).await?;
    Ok(Json(wire::UpdateAnswer {
        warnings: none_if_empty(warnings),
    }))
}

pub(crate) async fn remove(
    State(engine): State<Engine>,
    Container(container): Container,
    query: Query,
) -> Result<StatusCode> {
    let options = RemoveOptions {
        force: query.flag("force"),
        volumes: query.flag("v"),
        link: query.flag("link"),
    };
    engine.remove_container(&container, options).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn prune(
    State(engine): State<Engine>,
    query: Query,
) -> Result<Json<wire::PrunedContainers>> {
    let pruned = engine.prune_containers(query.filters()?).await?;
    Ok(Json(wire::PrunedContainers {
        containers_deleted: none_if_empty(pruned.removed),
        space_reclaimed: pruned.reclaimed_bytes,
    }))
}
