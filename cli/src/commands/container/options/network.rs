//! How the container is reached: networks, names, ports.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use bollard_stubs::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, NetworkingConfig,
};
use clap::Args;

use super::given;
use crate::values::{self, NetworkAttachment};

#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkOptions {
    /// Publish a port: `[ADDRESS:][HOST:]CONTAINER[/PROTOCOL]`, or ranges of them
    #[arg(long, short, value_name = "PORTS")]
    publish: Vec<String>,
    /// Publish all exposed ports to free ones
    #[arg(long, short = 'P')]
    publish_all: bool,
    /// Expose a port or a range of ports
    #[arg(long, value_name = "PORTS")]
    expose: Vec<String>,
    /// Connect to a network; also `name=…,alias=…,ip=…`
    #[arg(long, visible_alias = "net", value_name = "NETWORK", value_parser = values::parse_network)]
    network: Vec<NetworkAttachment>,
    /// Name of the container on its first network
    #[arg(long, visible_alias = "net-alias", value_name = "NAME")]
    network_alias: Vec<String>,
    /// IPv4 address on the first network
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<Ipv4Addr>,
    /// IPv6 address on the first network
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<Ipv6Addr>,
    /// Link-local address on the first network
    #[arg(long, value_name = "ADDRESS")]
    link_local_ip: Vec<String>,
    /// MAC address on the first network
    #[arg(long, value_name = "ADDRESS")]
    mac_address: Option<String>,
    /// Add a link to another container
    #[arg(long, value_name = "CONTAINER[:ALIAS]")]
    link: Vec<String>,
    /// Host name
    #[arg(long, short = 'h', value_name = "NAME")]
    hostname: Option<String>,
    /// NIS domain name
    #[arg(long, value_name = "NAME")]
    domainname: Option<String>,
    /// DNS server
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<String>,
    /// DNS search domain
    #[arg(long, value_name = "DOMAIN")]
    dns_search: Vec<String>,
    /// DNS option
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION")]
    dns_option: Vec<String>,
    /// Add a name to /etc/hosts: NAME:ADDRESS, or NAME=ADDRESS
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = host_entry)]
    add_host: Vec<String>,
}

/// `name:address`, the form that the API has; `[::1]` loses its brackets.
fn host_entry(text: &str) -> Result<String, values::InvalidValue> {
    let invalid = || values::InvalidValue::new(format!("bad format for add-host: \"{text}\""));
    let (name, address) = text
        .split_once('=')
        .or_else(|| text.split_once(':'))
        .ok_or_else(invalid)?;
    let address = address
        .strip_prefix('[')
        .and_then(|address| address.strip_suffix(']'))
        .unwrap_or(address);
    if name.is_empty() {
        return Err(invalid());
    }
    // The agent knows what its host's address is.
    if address != "host-gateway" && address.parse::<std::net::IpAddr>().is_err() {
        return Err(values::InvalidValue::new(format!(
            "invalid IP address in add-host: \"{address}\""
        )));
    }
    Ok(format!("{name}:{address}"))
}

impl NetworkOptions {
    pub(super) fn apply(
        &self,
        body: &mut ContainerCreateBody,
        host: &mut HostConfig,
    ) -> anyhow::Result<()> {
        let mut ports = values::publish_ports(&self.publish)?;
        values::expose_ports(&self.expose, &mut ports)?;
        body.exposed_ports = given(&ports.exposed);
        host.port_bindings = (!ports.bindings.is_empty()).then_some(ports.bindings);
        host.publish_all_ports = self.publish_all.then_some(true);
        body.hostname.clone_from(&self.hostname);
        body.domainname.clone_from(&self.domainname);
        host.dns = given(&self.dns);
        host.dns_search = given(&self.dns_search);
        host.dns_options = given(&self.dns_option);
        host.extra_hosts = given(&self.add_host);
        host.links = given(&self.link);
        let networks = self.networks();
        host.network_mode = networks.first().map(|network| network.name.clone());
        let plain = matches!(&networks[..], [only] if is_plain(only));
        if !networks.is_empty() && !plain {
            let endpoints: HashMap<String, EndpointSettings> = networks
                .into_iter()
                .map(|network| (network.name.clone(), endpoint(network)))
                .collect();
            body.networking_config = Some(NetworkingConfig {
                endpoints_config: Some(endpoints),
            });
        }
        Ok(())
    }

    /// The networks, with what the flags of their own say added to the first.
    fn networks(&self) -> Vec<NetworkAttachment> {
        let mut networks = self.network.clone();
        let has_settings = !self.network_alias.is_empty()
            || self.ip.is_some()
            || self.ip6.is_some()
            || self.mac_address.is_some()
            || !self.link_local_ip.is_empty();
        if networks.is_empty() && has_settings {
            networks.push(NetworkAttachment {
                name: "default".to_owned(),
                ..NetworkAttachment::default()
            });
        }
        if let Some(first) = networks.first_mut() {
            first.aliases.extend(self.network_alias.iter().cloned());
            first.ipv4 = first.ipv4.or(self.ip);
            first.ipv6 = first.ipv6.or(self.ip6);
            first.mac_address = first
                .mac_address
                .take()
                .or_else(|| self.mac_address.clone());
            first
                .link_local_ips
                .extend(self.link_local_ip.iter().cloned());
        }
        networks
    }
}

fn is_plain(network: &NetworkAttachment) -> bool {
    *network
        == NetworkAttachment {
            name: network.name.clone(),
            ..NetworkAttachment::default()
        }
}

fn endpoint(network: NetworkAttachment) -> EndpointSettings {
    let has_addresses =
        network.ipv4.is_some() || network.ipv6.is_some() || !network.link_local_ips.is_empty();
    let options: HashMap<String, String> = network.driver_options.into_iter().collect();
    EndpointSettings {
        aliases: given(&network.aliases),
        mac_address: network.mac_address,
        gw_priority: network.gateway_priority,
        driver_opts: (!options.is_empty()).then_some(options),
        ipam_config: has_addresses.then(|| EndpointIpamConfig {
            ipv4_address: network.ipv4.map(|address| address.to_string()),
            ipv6_address: network.ipv6.map(|address| address.to_string()),
            link_local_ips: given(&network.link_local_ips),
        }),
        ..EndpointSettings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_entries() {
        let cases = [
            ("a:10.0.0.1", "a:10.0.0.1"),
            ("a=10.0.0.1", "a:10.0.0.1"),
            ("a:::1", "a:::1"),
            ("a=[::1]", "a:::1"),
            (
                "host.docker.internal:host-gateway",
                "host.docker.internal:host-gateway",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(host_entry(text).as_deref(), Ok(expected));
        }
        for text in ["a", ":10.0.0.1", "a:b"] {
            assert!(host_entry(text).is_err(), "{text}");
        }
    }
}
