//! Events, disk usage and login; version and info use the shapes of the public stubs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{ContainerSummary, ImageSummary, Volume};

#[derive(Debug, Serialize)]
pub(crate) struct EventMessage {
    /// The next three repeat what is below, for clients from before 1.22.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    #[serde(rename = "Type")]
    pub(crate) kind: &'static str,
    #[serde(rename = "Action")]
    pub(crate) action: String,
    #[serde(rename = "Actor")]
    pub(crate) actor: EventActor,
    pub(crate) scope: &'static str,
    pub(crate) time: i64,
    #[serde(rename = "timeNano")]
    pub(crate) time_nano: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct EventActor {
    #[serde(rename = "ID")]
    pub(crate) id: String,
    #[serde(rename = "Attributes")]
    pub(crate) attributes: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DiskUsage {
    pub(crate) layers_size: i64,
    pub(crate) images: Option<Vec<ImageSummary>>,
    pub(crate) containers: Option<Vec<ContainerSummary>>,
    pub(crate) volumes: Option<Vec<Volume>>,
    pub(crate) build_cache: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LoginAnswer {
    pub(crate) status: String,
    pub(crate) identity_token: String,
}
