//! Volumes: directories that outlive the containers that write them. `volumes` keeps them,
//! `backing` reads their options, `mounts` mounts those that are file systems of their own.

mod backing;
mod mounts;
mod volumes;

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::container::Pruned;
use super::error::EngineError;
use super::{Engine, EventKind, Filters};
use crate::sys::tree;

use volumes::VolumeRecord;
pub(crate) use volumes::Volumes;

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
        let engine = self.clone();
        self.carry_out(async move {
            let (record, is_new) = engine.shared.volumes.create(request).await?;
            if is_new {
                engine.volume_event("create", &record.name, &[]);
            }
            Ok(record.view(&engine.shared.paths))
        })
        .await
    }

    /// By name, in order of name.
    pub async fn list_volumes(&self, filters: Filters) -> Result<Vec<VolumeView>, EngineError> {
        filters.check_keys(&["dangling", "driver", "label", "label!", "name"])?;
        let dangling = filters.flag("dangling")?;
        let matches = |record: &VolumeRecord, n_users: usize| {
            dangling.is_none_or(|dangling| dangling == (n_users == 0))
                && filters.any("driver", |driver| driver == "local")
                && filters.any("name", |part| record.name.contains(part))
                && filters.labels_match(&record.labels)
        };
        let volumes = self.shared.volumes.all().into_iter();
        Ok(volumes
            .filter(|(record, n_users)| matches(record, *n_users))
            .map(|(record, _)| record.view(&self.shared.paths))
            .collect())
    }

    pub async fn inspect_volume(&self, name: &str) -> Result<VolumeView, EngineError> {
        Ok(self.shared.volumes.get(name)?.view(&self.shared.paths))
    }

    /// `force` is not upset by one that does not exist.
    pub async fn remove_volume(&self, name: &str, force: bool) -> Result<(), EngineError> {
        let (engine, name) = (self.clone(), name.to_owned());
        self.carry_out(async move {
            match engine.shared.volumes.remove(&name).await {
                Err(EngineError::NotFound(_)) if force => Ok(()),
                Ok(()) => {
                    engine.volume_event("destroy", &name, &[]);
                    Ok(())
                }
                other => other,
            }
        })
        .await
    }

    /// Removes unused anonymous volumes, with the filter `all=true` named ones as well.
    pub async fn prune_volumes(&self, filters: Filters) -> Result<Pruned, EngineError> {
        filters.check_keys(&["all", "label", "label!"])?;
        let all = filters.flag("all")?.unwrap_or(false);
        let engine = self.clone();
        self.carry_out(async move {
            let mut pruned = Pruned::default();
            for (record, n_users) in engine.shared.volumes.all() {
                let wanted = (all || record.is_anonymous()) && filters.labels_match(&record.labels);
                if n_users > 0 || !wanted {
                    continue;
                }
                let size = engine.volume_size(&record).await;
                // One that was taken into use in the meantime stays.
                if engine.shared.volumes.remove(&record.name).await.is_ok() {
                    engine.volume_event("destroy", &record.name, &[]);
                    pruned.reclaimed_bytes += size;
                    pruned.removed.push(record.name);
                }
            }
            Ok(pruned)
        })
        .await
    }

    /// Every volume with its size and number of users.
    pub(super) async fn volume_usage(&self) -> Vec<VolumeView> {
        let mut views = Vec::new();
        for (record, n_users) in self.shared.volumes.all() {
            let size = self.volume_size(&record).await;
            let mut view = record.view(&self.shared.paths);
            view.usage = Some(VolumeUsage {
                size_bytes: i64::try_from(size).unwrap_or(i64::MAX),
                n_containers: i64::try_from(n_users).unwrap_or(i64::MAX),
            });
            views.push(view);
        }
        views
    }

    async fn volume_size(&self, record: &VolumeRecord) -> u64 {
        tree::size(&record.content(&self.shared.paths))
            .await
            .unwrap_or(0)
    }

    pub(super) fn volume_event(&self, action: &str, name: &str, particular: &[(&str, String)]) {
        let mut attributes = BTreeMap::from([("driver".to_owned(), "local".to_owned())]);
        for (key, value) in particular {
            attributes.insert((*key).to_owned(), value.clone());
        }
        self.shared
            .events
            .report(EventKind::Volume, action, name, attributes);
    }
}
