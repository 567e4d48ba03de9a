//! Volumes.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use super::Result;
use super::convert::{none_if_empty, volume_to_wire};
use super::error::ApiError;
use super::request::{JsonBody, Name, Query, Version};
use super::target::ApiVersion;
use super::wire;
use crate::engine::{CreateVolume, Engine};

/// From it on a prune leaves named volumes alone unless told otherwise.
const PRUNE_SPARES_NAMED: ApiVersion = ApiVersion::new(1, 42);

pub(super) async fn list(
    State(engine): State<Engine>,
    query: Query,
) -> Result<Json<wire::Volumes>> {
    let volumes = engine.list_volumes(query.filters()?).await?;
    Ok(Json(wire::Volumes {
        volumes: volumes.into_iter().map(volume_to_wire).collect(),
        warnings: None,
    }))
}

pub(super) async fn create(
    State(engine): State<Engine>,
    JsonBody(body): JsonBody<wire::CreateVolumeBody>,
) -> Result<Response> {
    if body.cluster_volume_spec.is_some() {
        return Err(ApiError::no_swarm());
    }
    let request = CreateVolume {
        name: Some(body.name).filter(|name| !name.is_empty()),
        driver: body.driver,
        options: body.driver_opts,
        labels: body.labels,
    };
    let volume = engine.create_volume(request).await?;
    Ok((StatusCode::CREATED, Json(volume_to_wire(volume))).into_response())
}

pub(super) async fn inspect(
    State(engine): State<Engine>,
    Name(name): Name,
) -> Result<Json<wire::Volume>> {
    Ok(Json(volume_to_wire(engine.inspect_volume(&name).await?)))
}

pub(super) async fn remove(
    State(engine): State<Engine>,
    Name(name): Name,
    query: Query,
) -> Result<StatusCode> {
    engine.remove_volume(&name, query.flag("force")).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn prune(
    State(engine): State<Engine>,
    Version(version): Version,
    query: Query,
) -> Result<Json<wire::PrunedVolumes>> {
    let mut filters = query.filters()?;
    if version < PRUNE_SPARES_NAMED {
        filters.insert("all", "true");
    }
    let pruned = engine.prune_volumes(filters).await?;
    Ok(Json(wire::PrunedVolumes {
        volumes_deleted: none_if_empty(pruned.removed),
        space_reclaimed: pruned.reclaimed_bytes,
    }))
}
