//! Images.

use std::collections::BTreeMap;

use bollard_stubs::models::ImageManifestSummary;
use serde::Serialize;

use super::GraphDriver;
use super::config::Config;

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ImageSummary {
    pub(crate) containers: i64,
    pub(crate) created: i64,
    pub(crate) id: String,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) parent_id: String,
    pub(crate) repo_digests: Vec<String>,
    pub(crate) repo_tags: Vec<String>,
    pub(crate) shared_size: i64,
    pub(crate) size: i64,
    /// Only for clients before 1.44.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) virtual_size: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) manifests: Option<Vec<ImageManifestSummary>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ImageInspect {
    pub(crate) id: String,
    pub(crate) repo_tags: Vec<String>,
    pub(crate) repo_digests: Vec<String>,
    pub(crate) parent: String,
    pub(crate) comment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    pub(crate) docker_version: &'static str,
    pub(crate) author: String,
    pub(crate) config: Config,
    pub(crate) architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) variant: String,
    pub(crate) os: String,
    pub(crate) size: i64,
    /// Only for clients before 1.44.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) virtual_size: Option<i64>,
    pub(crate) graph_driver: GraphDriver,
    #[serde(rename = "RootFS")]
    pub(crate) root_fs: RootFs,
    pub(crate) metadata: ImageMetadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) manifests: Option<Vec<ImageManifestSummary>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RootFs {
    pub(crate) r#type: &'static str,
    pub(crate) layers: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ImageMetadata {
    pub(crate) last_tag_time: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HistoryLine {
    pub(crate) comment: String,
    pub(crate) created: i64,
    pub(crate) created_by: String,
    pub(crate) id: String,
    pub(crate) size: i64,
    pub(crate) tags: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
pub(crate) enum Removed {
    Untagged(String),
    Deleted(String),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PrunedImages {
    pub(crate) images_deleted: Option<Vec<Removed>>,
    pub(crate) space_reclaimed: u64,
}

/// One line of a search.
#[derive(Debug, Serialize)]
pub(crate) struct SearchResult {
    pub(crate) star_count: i64,
    pub(crate) is_official: bool,
    pub(crate) name: String,
    pub(crate) is_automated: bool,
    pub(crate) description: String,
}

/// What a registry has: descriptor and platforms are the image specification's own JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DistributionInspect {
    pub(crate) descriptor: hythe_oci::Descriptor,
    pub(crate) platforms: Vec<hythe_oci::Platform>,
}
