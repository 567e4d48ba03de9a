//! Networks.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use super::Result;
use super::convert::{
    attachment_from_wire, create_network_from_wire, network_to_wire, none_if_empty,
};
use super::request::{JsonBody, Name, Query};
use super::wire;
use crate::engine::Engine;
use crate::spec::ContainerRef;

pub(super) async fn list(
    State(engine): State<Engine>,
    query: Query,
) -> Result<Json<Vec<wire::Network>>> {
    let networks = engine.list_networks(query.filters()?).await?;
    let wire = networks
        .iter()
        .map(|network| network_to_wire(network, false));
    Ok(Json(wire.collect()))
}

pub(super) async fn create(
    State(engine): State<Engine>,
    JsonBody(body): JsonBody<wire::CreateNetworkBody>,
) -> Result<Response> {
    let id = engine
        .create_network(create_network_from_wire(body)?)
        .await?;
    let answer = wire::CreatedNetwork {
        id,
        warning: String::new(),
    };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

pub(super) async fn inspect(
    State(engine): State<Engine>,
    Name(id): Name,
) -> Result<Json<wire::Network>> {
    let network = engine.inspect_network(&id).await?;
    Ok(Json(network_to_wire(&network, true)))
}

pub(super) async fn remove(State(engine): State<Engine>, Name(id): Name) -> Result<StatusCode> {
    engine.remove_network(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn connect(
    State(engine): State<Engine>,
    Name(id): Name,
    JsonBody(body): JsonBody<wire::ConnectBody>,
) -> Result<StatusCode> {
    let container = ContainerRef::new(body.container);
    let attachment = attachment_from_wire(&id, &body.endpoint_config)?;
    engine.connect_network(&id, &container, attachment).await?;
    Ok(StatusCode::OK)
}

/// `Force` is for places whose container is gone: here a container takes its places with it.
pub(super) async fn disconnect(
    State(engine): State<Engine>,
    Name(id): Name,
    JsonBody(body): JsonBody<wire::DisconnectBody>,
) -> Result<StatusCode> {
    let container = ContainerRef::new(body.container);
    engine.disconnect_network(&id, &container).await?;
    Ok(StatusCode::OK)
}

pub(super) async fn prune(
    State(engine): State<Engine>,
    query: Query,
) -> Result<Json<wire::PrunedNetworks>> {
    let pruned = engine.prune_networks(query.filters()?).await?;
    Ok(Json(wire::PrunedNetworks {
        networks_deleted: none_if_empty(pruned.removed),
    }))
}
