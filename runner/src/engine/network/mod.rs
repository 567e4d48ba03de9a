//! Networks, as callers see them; the network floor does the work. `connect` puts containers on
//! them and takes them off.

mod connect;

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::container::{Container, EndpointView, Pruned, endpoint_view, network_error};
use super::{Engine, EngineError, EventKind, Filters};
use crate::network::{DriverName, NetworkRequest, NetworkSpec, Subnet};
use crate::spec::ContainerName;

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
    /// Such as `172.18.0.0/16`; empty leaves the choice to the engine.
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

impl IpamPool {
    fn into_subnet(self) -> Result<Option<Subnet>, EngineError> {
        let wrong = |text: &str| EngineError::InvalidParameter(format!("invalid subnet: {text}"));
        if self.subnet.is_empty() {
            return Ok(None);
        }
        let ip_range = self.ip_range.filter(|text| !text.is_empty());
        Ok(Some(Subnet {
            subnet: self.subnet.parse().map_err(|_| wrong(&self.subnet))?,
            gateway: self.gateway,
            ip_range: ip_range
                .map(|text| text.parse().map_err(|_| wrong(&text)))
                .transpose()?,
            auxiliary: self.auxiliary,
        }))
    }
}

impl From<Subnet> for IpamPool {
    fn from(subnet: Subnet) -> Self {
        Self {
            subnet: subnet.subnet.to_string(),
            ip_range: subnet.ip_range.map(|range| range.to_string()),
            gateway: subnet.gateway,
            auxiliary: subnet.auxiliary,
        }
    }
}

impl Engine {
    pub(super) fn find_network(&self, wanted: &str) -> Result<NetworkSpec, EngineError> {
        self.shared.networks.find(wanted).map_err(network_error)
    }

    /// Answers with the id.
    pub async fn create_network(&self, request: CreateNetwork) -> Result<String, EngineError> {
        let driver: DriverName = request.driver.parse().map_err(network_error)?;
        let subnets = request.ipam.into_iter().map(IpamPool::into_subnet);
        let subnets = subnets.collect::<Result<Vec<_>, _>>()?;
        let request = NetworkRequest {
            name: request.name,
            driver,
            enable_ipv4: true,
            enable_ipv6: request.enable_ipv6,
            subnets: subnets.into_iter().flatten().collect(),
            internal: request.internal,
            attachable: request.attachable,
            options: request.options,
            labels: request.labels,
        };
        let engine = self.clone();
        self.carry_out(async move {
            let shared = &engine.shared;
            let network = shared.networks.reserve(request).await;
            let network = network.map_err(network_error)?;
            let key = network.id.as_str();
            if let Err(error) = shared.network_records.put(key, &network).await {
                // What nobody would know after a restart must not exist now.
                drop(shared.networks.remove(&network.id).await);
                return Err(EngineError::internal(
                    "keeping the network's record",
                    &error,
                ));
            }
            if let Err(error) = shared.networks.set_up(&network).await {
                if let Err(error) = shared.network_records.remove(key).await {
                    tracing::warn!(network = network.name, %error, "a record stays behind");
                }
                return Err(network_error(error));
            }
            engine.whole_network_event("create", &network);
            Ok(network.id.to_string())
        })
        .await
    }

    /// In order of name.
    pub async fn list_networks(&self, filters: Filters) -> Result<Vec<NetworkView>, EngineError> {
        filters.check_keys(&[
            "dangling", "driver", "id", "label", "label!", "name", "scope", "type",
        ])?;
        let dangling = filters.flag("dangling")?;
        let views = self.shared.networks.list().into_iter().map(|network| {
            let predefined = network.is_predefined();
            (self.network_view(network), predefined)
        });
        let matches = |view: &NetworkView, predefined: bool| {
            let kind = if predefined { "builtin" } else { "custom" };
            filters.any("id", |wanted| view.id.starts_with(wanted))
                && filters.any("name", |wanted| view.name.contains(wanted))
                && filters.any("driver", |wanted| view.driver == wanted)
                && filters.any("scope", |wanted| wanted == "local")
                && filters.any("type", |wanted| wanted == kind)
                && filters.labels_match(&view.labels)
                && dangling.is_none_or(|dangling| {
                    dangling == (!predefined && !self.is_network_used(&view.id))
                })
        };
        Ok(views
            .filter(|(view, predefined)| matches(view, *predefined))
            .map(|(view, _)| view)
            .collect())
    }

    /// By id, name or start of the id.
    pub async fn inspect_network(&self, network: &str) -> Result<NetworkView, EngineError> {
        Ok(self.network_view(self.find_network(network)?))
    }

    pub async fn remove_network(&self, network: &str) -> Result<(), EngineError> {
        let network = self.find_network(network)?;
        let engine = self.clone();
        self.carry_out(async move { engine.remove_found_network(&network).await })
            .await
    }

    async fn remove_found_network(&self, network: &NetworkSpec) -> Result<(), EngineError> {
        let shared = &self.shared;
        // The bridge first: a record without a bridge makes it anew at the next start, a bridge
        // without a record would stay for ever.
        shared
            .networks
            .remove(&network.id)
            .await
            .map_err(network_error)?;
        shared
            .network_records
            .remove(network.id.as_str())
            .await
            .map_err(|error| EngineError::internal("removing the network's record", &error))?;
        self.whole_network_event("destroy", network);
        Ok(())
    }

    pub async fn prune_networks(&self, filters: Filters) -> Result<Pruned, EngineError> {
        filters.check_keys(&["label", "label!", "until"])?;
        let until = filters.until()?;
        let engine = self.clone();
        self.carry_out(async move {
            let mut pruned = Pruned::default();
            for network in engine.shared.networks.list() {
                let old = until.is_none_or(|until| network.created_at < until);
                if network.is_predefined()
                    || !old
                    || !filters.labels_match(&network.labels)
                    || engine.is_network_used(network.id.as_str())
                {
                    continue;
                }
                match engine.remove_found_network(&network).await {
                    Ok(()) => pruned.removed.push(network.name),
                    Err(error) => tracing::warn!(network = network.name, %error, "prune"),
                }
            }
            Ok(pruned)
        })
        .await
    }

    /// Whether any container, running or not, is to be on it.
    fn is_network_used(&self, id: &str) -> bool {
        let containers = self.shared.containers.all();
        containers.iter().any(|container| {
            container.read(|record| {
                record
                    .networks
                    .values()
                    .any(|membership| membership.network.as_str() == id)
            })
        })
    }

    fn network_view(&self, network: NetworkSpec) -> NetworkView {
        let containers = self.shared.containers.all();
        let member = |container: &std::sync::Arc<Container>| {
            container.read(|record| {
                let membership = record.networks.get(&network.name)?;
                membership.endpoint.as_ref()?;
                let member = NetworkMember {
                    name: record.name.clone(),
                    endpoint: endpoint_view(record, membership),
                };
                Some((record.id.to_string(), member))
            })
        };
        NetworkView {
            containers: containers.iter().filter_map(member).collect(),
            id: network.id.to_string(),
            name: network.name,
            created_at: network.created_at,
            driver: network.driver.to_string(),
            internal: network.internal,
            attachable: network.attachable,
            enable_ipv6: network.enable_ipv6,
            ipam: network.subnets.into_iter().map(IpamPool::from).collect(),
            options: network.options,
            labels: network.labels,
        }
    }

    fn whole_network_event(&self, action: &str, network: &NetworkSpec) {
        let attributes = BTreeMap::from([
            ("name".to_owned(), network.name.clone()),
            ("type".to_owned(), network.driver.to_string()),
        ]);
        let id = network.id.to_string();
        self.shared
            .events
            .report(EventKind::Network, action, id, attributes);
    }
}
