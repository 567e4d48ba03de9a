//! Networks, as callers see them; the network floor does the work.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::container::{EndpointView, Pruned};
use super::{Engine, EngineError, Filters};
use crate::spec::{ContainerName, ContainerRef, NetworkAttachment};

/// `POST /networks/create`.
#[derive(Debug, Clone, Default)]
pub struct CreateNetwork {
    pub name: String,
    /// Empty is `bridge`.
    pub driver: String,
    pub internal: bool,
    pub attachable: bool,
    pub enable_ipv6: bool,
    pub ipam: Vec<IpamPool>,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

/// One address pool; texts are checked by the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpamPool {
    /// Such as `172.18.0.0/16`.
    pub subnet: String,
    pub ip_range: Option<String>,
    pub gateway: Option<IpAddr>,
    /// Addresses not to hand out, by name.
    pub auxiliary: BTreeMap<String, IpAddr>,
}

/// One network in a list or in detail.
#[derive(Debug, Clone)]
pub struct NetworkView {
    pub id: String,
    pub name: String,
    pub created_at: Timestamp,
    pub driver: String,
    pub internal: bool,
    pub attachable: bool,
    pub enable_ipv6: bool,
    pub ipam: Vec<IpamPool>,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Running containers on it, by id.
    pub containers: BTreeMap<String, NetworkMember>,
}

#[derive(Debug, Clone)]
pub struct NetworkMember {
    pub name: ContainerName,
    pub endpoint: EndpointView,
}

impl Engine {
    /// Answers with the id.
    pub async fn create_network(&self, request: CreateNetwork) -> Result<String, EngineError> {
        let _ = (self, request);
        todo!()
    }

    pub async fn list_networks(&self, filters: Filters) -> Result<Vec<NetworkView>, EngineError> {
        let _ = (self, filters);
        todo!()
    }

    /// By id, name or start of the id.
    pub async fn inspect_network(&self, network: &str) -> Result<NetworkView, EngineError> {
        let _ = (self, network);
        todo!()
    }

    pub async fn remove_network(&self, network: &str) -> Result<(), EngineError> {
        let _ = (self, network);
        todo!()
    }

    /// `attachment.network` is ignored: `network` says which.
    pub async fn connect_network(
        &self,
        network: &str,
        container: &ContainerRef,
        attachment: NetworkAttachment,
    ) -> Result<(), EngineError> {
        let _ = (self, network, container, attachment);
        todo!()
    }

    pub async fn disconnect_network(
        &self,
        network: &str,
        container: &ContainerRef,
        force: bool,
    ) -> Result<(), EngineError> {
        let _ = (self, network, container, force);
        todo!()
    }

    pub async fn prune_networks(&self, filters: Filters) -> Result<Pruned, EngineError> {
        let _ = (self, filters);
        todo!()
    }
}
