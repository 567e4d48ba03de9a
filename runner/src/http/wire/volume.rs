//! Volumes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct CreateVolumeBody {
    pub(crate) name: String,
    pub(crate) driver: String,
    pub(crate) driver_opts: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// Only a swarm has those.
    pub(crate) cluster_volume_spec: Option<Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Volume {
    pub(crate) created_at: String,
    pub(crate) driver: String,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) mountpoint: String,
    pub(crate) name: String,
    pub(crate) options: Option<BTreeMap<String, String>>,
    pub(crate) scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage_data: Option<UsageData>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UsageData {
    pub(crate) ref_count: i64,
    pub(crate) size: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Volumes {
    pub(crate) volumes: Vec<Volume>,
    pub(crate) warnings: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PrunedVolumes {
    pub(crate) volumes_deleted: Option<Vec<String>>,
    pub(crate) space_reclaimed: u64,
}
