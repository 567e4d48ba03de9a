//! Volumes: directories that outlive the containers that write them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::container::Pruned;
use super::{Engine, EngineError, Filters};

/// `POST /volumes/create`.
#[derive(Debug, Clone, Default)]
pub struct CreateVolume {
    /// `None` lets the engine invent one: an anonymous volume.
    pub name: Option<String>,
    /// Empty is `local`.
    pub driver: String,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeView {
    pub name: String,
    pub driver: String,
    pub mountpoint: PathBuf,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    pub created_at: Timestamp,
    /// Only where disk usage was asked for.
    pub usage: Option<VolumeUsage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeUsage {
    pub size_bytes: i64,
    /// Containers that have it.
    pub n_containers: i64,
}

impl Engine {
    /// An existing volume of that name is answered as it is.
    pub async fn create_volume(&self, request: CreateVolume) -> Result<VolumeView, EngineError> {
        let _ = (self, request);
        todo!()
    }

    pub async fn list_volumes(&self, filters: Filters) -> Result<Vec<VolumeView>, EngineError> {
        let _ = (self, filters);
        todo!()
    }

    pub async fn inspect_volume(&self, name: &str) -> Result<VolumeView, EngineError> {
        let _ = (self, name);
        todo!()
    }

    /// `force` is not upset by one that does not exist.
    pub async fn remove_volume(&self, name: &str, force: bool) -> Result<(), EngineError> {
        let _ = (self, name, force);
        todo!()
    }

    /// Removes unused anonymous volumes, with the filter `all=true` named ones as well.
    pub async fn prune_volumes(&self, filters: Filters) -> Result<Pruned, EngineError> {
        let _ = (self, filters);
        todo!()
    }
}
