//! Joining a container that is being started to its networks, and taking it off again.

use std::collections::{BTreeMap, BTreeSet};

use super::cell::Verb;
use super::record::{Membership, Record};
use crate::engine::{Engine, EngineError, EventKind};
use crate::network::{Endpoint, EndpointOptions, EndpointRequest, LinkSwitch, Netns, NetworkError};
use crate::spec::{NetworkAttachment, NetworkMode, PortBinding};

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
        let gateway = self.gateway_of(&record);
        let mut options = BTreeMap::new();
        for (name, membership) in &record.networks {
            options.insert(name, options_of(&membership.attachment)?);
        }
        // Names that somebody chose are not given to another link.
        let chosen = options.values().filter_map(|it| it.interface.clone());
        let mut interfaces = Interfaces::taken_by(chosen);
        for name in self.in_order(&record) {
            let membership = record.networks[&name].clone();
            let options = options.remove(&name).unwrap_or_default();
            let place = Place {
                netns: netns.clone(),
                interface: interfaces.choose(options.interface),
                switches: options.switches,
                is_gateway: gateway.as_ref() == Some(&name),
            };
            let request = self.endpoint_request(&record, &membership, place)?;
            let endpoint = self
                .shared
                .networks
                .attach(&membership.network, request)
                .await
                .map_err(network_error)?;
            self.network_event("connect", &membership.network, &name, verb);
            let has_links = !endpoint.interface.is_empty();
            let keep = |record: &mut Record| {
                if let Some(membership) = record.networks.get_mut(&name) {
                    membership.endpoint = Some(endpoint);
                }
            };
            if has_links {
                verb.update(keep).await?;
            } else {
                // Nothing was made that a crash could leave behind.
                verb.note(keep);
            }
        }
        Ok(())
    }

    /// The network of the container's mode first: its link is `eth0`.
    fn in_order(&self, record: &Record) -> Vec<String> {
        let primary = match &record.host.network_mode {
            NetworkMode::Network(wanted) => self.find_network(wanted).map(|found| found.name).ok(),
            _ => Some("bridge".to_owned()),
        };
        let mut names: Vec<String> = record.networks.keys().cloned().collect();
        names.sort_by_key(|name| Some(name) != primary.as_ref());
        names
    }

    /// What the membership asks of its network.
    pub(in crate::engine) fn endpoint_request(
        &self,
        record: &Record,
        membership: &Membership,
        place: Place,
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
            netns: place.netns,
            interface: place.interface,
            ipv4_address: attachment.ipv4_address,
            ipv6_address: attachment.ipv6_address,
            mac_address,
            link_local_ips: attachment.link_local_ips.clone(),
            switches: place.switches,
            ports: if place.is_gateway {
                ports(record)
            } else {
                Vec::new()
            },
            default_route: place.is_gateway,
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

/// Where in the container an endpoint is to be.
#[derive(Debug)]
pub(in crate::engine) struct Place {
    pub(in crate::engine) netns: Netns,
    /// Name of the link inside.
    pub(in crate::engine) interface: String,
    pub(in crate::engine) switches: Vec<LinkSwitch>,
    /// Whether the default route and the published ports go through it.
    pub(in crate::engine) is_gateway: bool,
}

/// Names of the links of one container.
#[derive(Debug)]
pub(in crate::engine) struct Interfaces {
    taken: BTreeSet<String>,
}

impl Interfaces {
    fn taken_by(names: impl Iterator<Item = String>) -> Self {
        Self {
            taken: names.collect(),
        }
    }

    /// Those of the links that the container has.
    pub(in crate::engine) fn of(record: &Record) -> Self {
        Self::taken_by(record.endpoints().map(|it| it.interface.clone()))
    }

    /// The name that was asked for, else the lowest `ethN` that is free.
    pub(in crate::engine) fn choose(&mut self, wished: Option<String>) -> String {
        if let Some(wished) = wished {
            return wished;
        }
        let mut n = 0;
        while !self.taken.insert(format!("eth{n}")) {
            n += 1;
        }
        format!("eth{n}")
    }
}

pub(in crate::engine) fn options_of(
    attachment: &NetworkAttachment,
) -> Result<EndpointOptions, EngineError> {
    EndpointOptions::parse(&attachment.driver_options).map_err(network_error)
}

/// Nothing of a container that does not run is on a network.
pub(crate) fn clear_endpoints(record: &mut Record) {
    for membership in record.networks.values_mut() {
        membership.endpoint = None;
    }
}

/// What was asked to be published, and with `-P` everything exposed besides.
pub(super) fn ports(record: &Record) -> Vec<PortBinding> {
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

    #[test]
    fn links_are_numbered_around_the_names_that_were_chosen() {
        let taken = ["eth0", "eth2"].map(str::to_owned);
        let mut interfaces = Interfaces::taken_by(taken.into_iter());
        assert_eq!(interfaces.choose(None), "eth1");
        assert_eq!(interfaces.choose(Some("eth0".to_owned())), "eth0");
        assert_eq!(interfaces.choose(None), "eth3");
    }
}
