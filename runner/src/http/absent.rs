//! What this engine does not do: each is refused in words that tell the caller so.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::error::ApiError;

/// Swarm endpoints of a node that is in no swarm.
pub(super) async fn swarm() -> ApiError {
    ApiError::no_swarm()
}

pub(super) async fn start_swarm() -> ApiError {
    ApiError::not_implemented("swarm mode is not supported by this engine")
}

pub(super) async fn no_plugins() -> Json<Vec<Value>> {
    Json(Vec::new())
}

pub(super) async fn plugins() -> ApiError {
    ApiError::not_implemented("plugins are not supported by this engine")
}

pub(super) async fn buildkit() -> ApiError {
    ApiError::not_implemented(
        "BuildKit sessions are not supported by this engine; set DOCKER_BUILDKIT=0",
    )
}

/// The cache of builds is their images, which `image prune` knows: there is nothing else to prune.
pub(super) async fn prune_build_cache() -> Response {
    Json(json!({ "CachesDeleted": null, "SpaceReclaimed": 0 })).into_response()
}
