//! Containers. `lifecycle` makes and ends them, `look` tells about them, `streams` connects to
//! them, `archive` moves files.

mod archive;
mod lifecycle;
mod look;
mod streams;

pub(super) use archive::{export, get_archive, put_archive, stat_archive};
pub(super) use lifecycle::{
    create, kill, pause, prune, remove, rename, restart, start, stop, unpause, update,
};
pub(super) use look::{changes, inspect, list, stats, top};
pub(super) use streams::{attach, attach_websocket, logs, resize, wait};

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::error::ApiError;
use super::request::Name;
use crate::spec::ContainerRef;

/// The container that the path names.
#[derive(Debug)]
pub(super) struct Container(ContainerRef);

impl<S: Send + Sync> FromRequestParts<S> for Container {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Name(name) = Name::from_request_parts(parts, state).await?;
        Ok(Self(ContainerRef::new(name)))
    }
}
