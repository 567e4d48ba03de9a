//! Joining a container that is being started to its networks, and taking it off again.

use super::cell::Verb;
use super::record::{Membership, Record};
use crate::engine::{Engine, EngineError, EventKind};
use crate::network::{Endpoint, EndpointRequest, Netns, NetworkError};
use crate::spec::{NetworkMode, PortBinding};

impl Engine {
    /// Attaches every network of the container. On failure those already attached stay in the
    /// record, for [`Self::leave_networks`] to take back.
    pub(super) async fn join_networks(&self, verb: &mut Verb, pid: i32) -> Result<(), EngineError> {
        let record = verb.record();
        let shares_another = matches!(
            record.host.network_mode,
            NetworkMode::Container(_) | NetworkMode::Host
        );
        if shares_another {
            return Ok(());
        }
        let netns = Netns::of_process(pid).map_err(network_error)?;
        for (n, name) in self.in_order(&record).into_iter().enumerate() {
            let membership = record.networks[&name].clone();
            let is_first = n == 0;
            let request = self
                .endpoint_request(&record, &membership, netns.clone(), (n, is_first))
                .await?;
            let endpoint = self
                .shared
                .networks
                .attach(&membership.network, request)
                .await
                .map_err(network_error)?;
            self.network_event("connect", &membership.network, &name, verb);
            verb.update(|record| {
                if let Some(membership) = record.networks.get_mut(&name) {
                    membership.endpoint = Some(endpoint);
                }
            })
            .await?;
        }
        Ok(())
    }

    /// The network of the container's mode first: it carries the default route and the ports.
    fn in_order(&self, record: &Record) -> Vec<String> {
        let primary = match &record.host.network_mode {
            NetworkMode::Network(wanted) => self.find_network(wanted).map(|found| found.name).ok(),
            _ => Some("bridge".to_owned()),
        };
        let mut names: Vec<String> = record.networks.keys().cloned().collect();
        names.sort_by_key(|name| Some(name) != primary.as_ref());
        names
    }

    /// `(n, is_first)`: which interface it becomes, and whether routes and ports go through it.
    pub(in crate::engine) async fn endpoint_request(
        &self,
        record: &Record,
        membership: &Membership,
        netns: Netns,
        (n, is_first): (usize, bool),
    ) -> Result<EndpointRequest, EngineError> {
        let attachment = &membership.attachment;
        let mac_address = attachment
            .mac_address
            .as_deref()
            .filter(|text| !text.is_empty())
            .map(str::parse)
            .transpose()
            .map_err(network_error)?;
        Ok(EndpointRequest {
            container: record.id.clone(),
            container_name: record.name.to_string(),
            netns,
            interface: format!("eth{n}"),
            ipv4_address: attachment.ipv4_address,
            ipv6_address: attachment.ipv6_address,
            mac_address,
            ports: if is_first { ports(record) } else { Vec::new() },
            default_route: is_first,
            names: names(record, membership),
            resolvers: self.resolution(record).1,
        })
    }

    /// Takes the container off all its networks. Goes on past failures: what cannot be taken
    /// back now is found by the next start of the agent.
    pub(in crate::engine) async fn leave_networks(&self, verb: &mut Verb) {
        let record = verb.record();
        for (name, membership) in &record.networks {
            let Some(endpoint) = &membership.endpoint else {
                continue;
            };
            // Init is gone, and its namespace with it: the rest need not be waited for.
            self.shared.networks.detach_ended(endpoint).await;
            self.network_event("disconnect", &membership.network, name, verb);
        }
    }

    pub(in crate::engine) async fn detach(&self, endpoint: &Endpoint) {
        if let Err(error) = self.shared.networks.detach(endpoint).await {
            tracing::warn!(
                container.id = %endpoint.container,
                network = %endpoint.network,
                error = super::super::error::chain(&error),
                "detaching from the network"
            );
        }
    }

    pub(in crate::engine) fn network_event(
        &self,
        action: &str,
        network: &crate::spec::NetworkId,
        name: &str,
        verb: &Verb,
    ) {
        let driver = self
            .shared
            .networks
            .find(name)
            .map(|found| found.driver.to_string());
        let attributes = [
            ("container", verb.id().to_string()),
            ("name", name.to_owned()),
            ("type", driver.unwrap_or_default()),
        ];
        let attributes = attributes
            .map(|(key, value)| (key.to_owned(), value))
            .into();
        self.shared
            .events
            .report(EventKind::Network, action, network.to_string(), attributes);
    }
}

/// Nothing of a container that does not run is on a network.
pub(crate) fn clear_endpoints(record: &mut Record) {
    for membership in record.networks.values_mut() {
        membership.endpoint = None;
    }
}

/// What was asked to be published, and with `-P` everything exposed besides.
fn ports(record: &Record) -> Vec<PortBinding> {
    let mut ports = record.host.port_bindings.clone();
    if record.host.publish_all_ports {
        for exposed in &record.config.exposed_ports {
            if !ports.iter().any(|binding| binding.container == *exposed) {
                ports.push(PortBinding {
                    container: *exposed,
                    host_ip: None,
                    host_ports: (0, 0),
                });
            }
        }
    }
    ports
}

/// Every name under which others on the network find the container.
pub(super) fn names(record: &Record, membership: &Membership) -> Vec<String> {
    let mut names = vec![record.name.to_string()];
    names.extend(membership.attachment.aliases.iter().cloned());
    names.push(record.id.short().to_owned());
    if !record.config.hostname.is_empty() {
        names.push(record.config.hostname.clone());
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// A network's failure in the engine's kinds, its text kept.
#[expect(
    clippy::needless_pass_by_value,
    reason = "made for `map_err`, which gives the error away"
)]
pub(crate) fn network_error(error: NetworkError) -> EngineError {
    let text = error.to_string();
    match error {
        NetworkError::NotFound(_) => EngineError::NotFound(text),
        NetworkError::Invalid(_) => EngineError::InvalidParameter(text),
        NetworkError::NameInUse(_) => EngineError::Conflict(text),
        NetworkError::Predefined(_)
        | NetworkError::InUse { .. }
        | NetworkError::AddressInUse(_)
        | NetworkError::PoolOverlaps => EngineError::Forbidden(text),
        NetworkError::Unsupported { .. } => EngineError::NotImplemented(text),
        NetworkError::PoolsExhausted
        | NetworkError::AddressesExhausted { .. }
        | NetworkError::PortAllocated { .. }
        | NetworkError::PortBind { .. }
        | NetworkError::Kernel { .. }
        | NetworkError::PacketFilter(_)
        | NetworkError::Several(_) => EngineError::Internal(text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn publishing_all_adds_what_is_exposed_only() {
        let mut record = record("web");
        record.config.exposed_ports = vec!["80".parse().unwrap(), "443".parse().unwrap()];
        record.host.port_bindings = vec![PortBinding {
            container: "80".parse().unwrap(),
            host_ip: None,
            host_ports: (8080, 8080),
        }];
        assert_eq!(ports(&record).len(), 1);
        record.host.publish_all_ports = true;
        let ports = ports(&record);
        assert_eq!(ports.len(), 2);
        assert_eq!(ports[1].host_ports, (0, 0));
    }
}
