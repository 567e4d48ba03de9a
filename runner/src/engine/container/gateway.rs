//! Which of a container's networks leads elsewhere, while networks come and go.

use std::cmp::Reverse;

use super::cell::Verb;
use super::endpoints::{network_error, ports};
use super::record::Record;
use crate::engine::{Engine, EngineError};
use crate::network::{DriverName, Endpoint, NetworkError};
use crate::spec::PortBinding;

impl Engine {
    /// Name of the network that the default route and the published ports go through: docker's
    /// rule, the highest priority and then the first name. An internal network leads nowhere, so
    /// it comes last.
    pub(super) fn gateway_of(&self, record: &Record) -> Option<String> {
        let candidates = record.networks.iter().filter_map(|(name, membership)| {
            let network = self
                .shared
                .networks
                .find(membership.network.as_str())
                .ok()?;
            let has_links = !matches!(network.driver, DriverName::Host | DriverName::Null);
            let priority = membership.attachment.gateway_priority;
            has_links.then_some((network.internal, Reverse(priority), name))
        });
        candidates.min().map(|(_, _, name)| name.clone())
    }

    /// Moves the default route of a running container to where it belongs now, and its published
    /// ports, which are `published`.
    pub(in crate::engine) async fn settle_gateway(
        &self,
        verb: &mut Verb,
        published: &[PortBinding],
    ) -> Result<(), EngineError> {
        let record = verb.record();
        let wanted = self.gateway_of(&record);
        let present = record.networks.iter().find(|(_, membership)| {
            let endpoint = membership.endpoint.as_ref();
            endpoint.is_some_and(|endpoint| endpoint.default_route)
        });
        let present = present.map(|(name, _)| name.clone());
        if wanted == present {
            return Ok(());
        }
        if let Some(endpoint) = endpoint_on(&record, present.as_deref()) {
            let resigned = self.shared.networks.resign_gateway(&endpoint.id).await;
            self.keep_endpoint(verb, resigned).await?;
        }
        if let Some(endpoint) = endpoint_on(&record, wanted.as_deref()) {
            let name = record.name.to_string();
            let networks = &self.shared.networks;
            let made = networks.make_gateway(&endpoint.id, &name, published);
            let made = made.await;
            self.keep_endpoint(verb, made).await?;
        }
        Ok(())
    }

    /// Records what an endpoint has become.
    async fn keep_endpoint(
        &self,
        verb: &mut Verb,
        changed: Result<Endpoint, NetworkError>,
    ) -> Result<(), EngineError> {
        let changed = changed.map_err(network_error)?;
        verb.update(|record| {
            let mut memberships = record.networks.values_mut();
            let place = memberships.find_map(|membership| {
                let endpoint = membership.endpoint.as_mut();
                endpoint.filter(|endpoint| endpoint.id == changed.id)
            });
            if let Some(place) = place {
                *place = changed;
            }
        })
        .await
    }
}

/// The ports that the container has on this host, as wishes for the same ones; when it has none
/// now, what was asked for.
pub(in crate::engine) fn published(record: &Record) -> Vec<PortBinding> {
    let now: Vec<PortBinding> = record
        .endpoints()
        .flat_map(|endpoint| &endpoint.ports)
        .map(|port| PortBinding {
            container: port.container,
            host_ip: Some(port.host_ip),
            host_ports: (port.host_port, port.host_port),
        })
        .collect();
    if now.is_empty() { ports(record) } else { now }
}

fn endpoint_on<'a>(record: &'a Record, network: Option<&str>) -> Option<&'a Endpoint> {
    record.networks.get(network?)?.endpoint.as_ref()
}
