//! `--link NAME:ALIAS`, the way containers of the default bridge find each other: a line in
//! `/etc/hosts`, kept right while the other comes and goes, and variables that describe it.
//! Links of an endpoint, which compose makes, are such lines for one network and no more: the
//! other need not run, or even exist.

use std::net::IpAddr;
use std::sync::Arc;

use super::cell::Container;
use super::record::Record;
use crate::engine::{Engine, EngineError};
use crate::spec::{ContainerRef, Link, NetworkId, NetworkMode};

/// A linked container as it is now.
#[derive(Debug, Clone)]
struct Linked {
    alias: String,
    record: Record,
    address: IpAddr,
}

impl Engine {
    /// What a creation has to refuse.
    pub(super) fn check_links(&self, record: &Record) -> Result<(), EngineError> {
        if record.host.links.is_empty() {
            return Ok(());
        }
        let kind = match &record.host.network_mode {
            NetworkMode::Host => Some("host"),
            NetworkMode::Container(_) => Some("container"),
            NetworkMode::Default | NetworkMode::None | NetworkMode::Network(_) => None,
        };
        if let Some(kind) = kind {
            return Err(EngineError::InvalidParameter(format!(
                "conflicting options: {kind} type networking can't be used with links. This would \
                 result in undefined behavior"
            )));
        }
        for link in &record.host.links {
            // Not a 404: the client would take that for a missing image.
            self.linked_container(link).map_err(|error| {
                EngineError::InvalidParameter(format!(
                    "could not get container for {}: {error}",
                    link.container
                ))
            })?;
        }
        Ok(())
    }

    fn linked_container(&self, link: &Link) -> Result<Arc<Container>, EngineError> {
        self.find_container(&ContainerRef::new(&link.container))
    }

    /// The containers it is linked to, which all have to run and to share a network with it.
    fn links_for_start(&self, record: &Record) -> Result<Vec<Linked>, EngineError> {
        let links = record.host.links.iter();
        links
            .map(|link| {
                let other = self.linked_container(link)?.record();
                if other.state.live().is_none() {
                    return Err(EngineError::Conflict(format!(
                        "Cannot link to a non running container: /{} AS /{}/{}",
                        other.name, record.name, link.alias
                    )));
                }
                linked(record, link, other, None).ok_or_else(|| {
                    EngineError::Conflict(format!(
                        "Cannot link to /{}, as it does not belong to a network of /{}",
                        link.container, record.name
                    ))
                })
            })
            .collect()
    }

    /// What a start tells the program about its links.
    pub(super) fn link_variables(&self, record: &Record) -> Result<Vec<String>, EngineError> {
        let links = self.links_for_start(record)?;
        // On networks with names docker leaves the variables out.
        if record.host.network_mode != NetworkMode::Default {
            return Ok(Vec::new());
        }
        let variables = links.iter();
        let variables = variables.flat_map(|link| link.variables(record.name.as_str()));
        Ok(variables.collect())
    }

    /// Those of the containers it is linked to that can be reached now.
    fn links_now(&self, record: &Record) -> Vec<Linked> {
        all_links(record)
            .filter_map(|(link, network)| {
                let other = self.linked_container(link).ok()?;
                linked(record, link, other.record(), network)
            })
            .collect()
    }

    /// Lines for its `/etc/hosts`.
    pub(super) fn link_lines(&self, record: &Record) -> Vec<String> {
        let links = self.links_now(record);
        links.iter().map(Linked::hosts_line).collect()
    }

    /// Tells running containers that are linked to this one where it is now.
    pub(super) async fn tell_linked(&self, record: &Record) {
        for container in self.shared.containers.all() {
            let other = container.record();
            let is_linked = other.state.live().is_some()
                && all_links(&other).any(|(link, _)| {
                    self.linked_container(link)
                        .is_ok_and(|found| *found.id() == record.id)
                });
            if !is_linked {
                continue;
            }
            if let Err(error) = self.write_etc_files(&other).await {
                tracing::warn!(container.id = %other.id, %error, "telling a linked container");
            }
        }
    }
}

/// Links of the container, then those of its endpoints with the id of their network.
fn all_links(record: &Record) -> impl Iterator<Item = (&Link, Option<&NetworkId>)> {
    let own = record.host.links.iter().map(|link| (link, None));
    let of_endpoints = record.networks.values().flat_map(|membership| {
        let links = membership.attachment.links.iter();
        links.map(|link| (link, Some(&membership.network)))
    });
    own.chain(of_endpoints)
}

/// `None` while they have no network in common, or not the one that is meant.
fn linked(
    record: &Record,
    link: &Link,
    other: Record,
    network: Option<&NetworkId>,
) -> Option<Linked> {
    let networks = record.networks.values();
    let address = networks
        .filter(|membership| network.is_none_or(|network| membership.network == *network))
        .filter_map(|membership| {
            let mut theirs = other.networks.values();
            theirs.find(|their| their.network == membership.network)
        })
        .filter_map(|membership| membership.endpoint.as_ref())
        .find_map(|endpoint| endpoint.addresses().first().copied())?;
    Some(Linked {
        alias: link.alias.clone(),
        address,
        record: other,
    })
}

impl Linked {
    fn hosts_line(&self) -> String {
        let (id, name) = (self.record.id.short(), &self.record.name);
        if self.alias == name.as_str() {
            format!("{}\t{} {id}", self.address, self.alias)
        } else {
            format!("{}\t{} {id} {name}", self.address, self.alias)
        }
    }

    /// Docker's variables: where the other's ports are, and its own variables.
    fn variables(&self, own_name: &str) -> Vec<String> {
        let prefix = self.alias.replace('-', "_").to_uppercase();
        let mut variables = Vec::new();
        let mut ports = self.record.config.exposed_ports.clone();
        ports.sort_by_key(|port| (port.port, port.protocol));
        if let Some(first) = ports.first() {
            let (ip, port, protocol) = (self.address, first.port, first.protocol);
            variables.push(format!("{prefix}_PORT={protocol}://{ip}:{port}"));
        }
        for spec in ports {
            let (ip, port, protocol) = (self.address, spec.port, spec.protocol);
            let name = format!(
                "{prefix}_PORT_{port}_{}",
                protocol.to_string().to_uppercase()
            );
            variables.extend([
                format!("{name}={protocol}://{ip}:{port}"),
                format!("{name}_ADDR={ip}"),
                format!("{name}_PORT={port}"),
                format!("{name}_PROTO={protocol}"),
            ]);
        }
        variables.push(format!("{prefix}_NAME=/{own_name}/{}", self.alias));
        let theirs = self.record.config.env.iter();
        let told = theirs.filter(|entry| !entry.starts_with("PATH=") && entry.contains('='));
        variables.extend(told.map(|entry| format!("{prefix}_ENV_{entry}")));
        variables
    }
}
