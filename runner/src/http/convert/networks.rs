//! Networks and a container's places on them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use super::host_config::links;
use super::{Result, bad, none_if_empty, unsupported};
use crate::engine::{CreateNetwork, EndpointView, IpamPool, NetworkView};
use crate::http::wire;
use crate::spec::NetworkAttachment;

/// The names the default network goes by in a request.
const DEFAULT_NAMES: [&str; 2] = ["default", "bridge"];

/// One entry of `EndpointsConfig`, or the body of a connect.
pub(crate) fn attachment_from_wire(
    network: &str,
    wire: &wire::EndpointSettings,
) -> Result<NetworkAttachment> {
    let ipam = wire.ipam_config.clone().unwrap_or_default();
    let user_defined = ![DEFAULT_NAMES.as_slice(), &["host", "none"]]
        .concat()
        .contains(&network);
    let aliases = wire.aliases.clone().unwrap_or_default();
    if !user_defined && !aliases.is_empty() {
        return bad("network-scoped aliases are only supported for user-defined networks");
    }
    let wants_address = !ipam.ipv4_address.is_empty() || !ipam.ipv6_address.is_empty();
    if !user_defined && wants_address {
        return bad("user specified IP address is supported on user defined networks only");
    }
    let network = if DEFAULT_NAMES.contains(&network) {
        "bridge"
    } else {
        network
    };
    Ok(NetworkAttachment {
        network: network.to_owned(),
        aliases,
        ipv4_address: address("IPv4", &ipam.ipv4_address)?,
        ipv6_address: address("IPv6", &ipam.ipv6_address)?,
        mac_address: mac_address(&wire.mac_address)?,
        links: links(wire.links.as_deref())?,
        link_local_ips: link_local_ips(&ipam.link_local_ips)?,
        driver_options: wire.driver_opts.clone().unwrap_or_default(),
        gateway_priority: wire.gw_priority,
    })
}

fn link_local_ips(texts: &[String]) -> Result<Vec<IpAddr>> {
    let texts = texts.iter();
    let parsed = texts.map(|text| match text.parse() {
        Ok(address) => Ok(address),
        Err(_) => bad(format!("invalid link-local IP address: {text}")),
    });
    parsed.collect()
}

fn address<T: FromStr>(family: &str, text: &str) -> Result<Option<T>> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(address) => Ok(Some(address)),
        Err(_) => bad(format!("invalid {family} address: {text}")),
    }
}

/// Six pairs of hexadecimal digits, in lower case.
pub(super) fn mac_address(text: &str) -> Result<Option<String>> {
    if text.is_empty() {
        return Ok(None);
    }
    let pairs: Vec<&str> = text.split([':', '-']).collect();
    let is_pair = |pair: &&str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
    if pairs.len() == 6 && pairs.iter().all(is_pair) {
        Ok(Some(pairs.join(":").to_ascii_lowercase()))
    } else {
        bad(format!("{text} is not a valid mac address"))
    }
}

pub(super) fn endpoint_to_wire(view: &EndpointView) -> wire::EndpointSettings {
    let text = |address: Option<String>| address.unwrap_or_default();
    let ipam = wire::EndpointIpam {
        ipv4_address: text(view.requested_ipv4.map(|ip| ip.to_string())),
        ipv6_address: text(view.requested_ipv6.map(|ip| ip.to_string())),
        link_local_ips: view.link_local_ips.iter().map(IpAddr::to_string).collect(),
    };
    let links = view.links.iter();
    let links = links.map(|link| format!("{}:{}", link.container, link.alias));
    wire::EndpointSettings {
        ipam_config: Some(ipam).filter(|ipam| *ipam != wire::EndpointIpam::default()),
        links: none_if_empty(links.collect()),
        aliases: none_if_empty(view.aliases.clone()),
        mac_address: view.mac_address.clone(),
        driver_opts: Some(view.driver_options.clone()).filter(|map| !map.is_empty()),
        gw_priority: view.gateway_priority,
        network_id: view.network_id.clone(),
        endpoint_id: view.endpoint_id.clone(),
        gateway: text(view.ipv4_gateway.map(|ip| ip.to_string())),
        ip_address: text(view.ipv4.map(|ip| ip.to_string())),
        ip_prefix_len: view.ipv4.map_or(0, |_| view.ipv4_prefix),
        ipv6_gateway: text(view.ipv6_gateway.map(|ip| ip.to_string())),
        global_ipv6_address: text(view.ipv6.map(|ip| ip.to_string())),
        global_ipv6_prefix_len: view.ipv6.map_or(0, |_| view.ipv6_prefix),
        dns_names: none_if_empty(view.dns_names.clone()),
    }
}

pub(crate) fn create_network_from_wire(wire: wire::CreateNetworkBody) -> Result<CreateNetwork> {
    let fields = [
        ("Ingress", wire.ingress),
        ("ConfigOnly", wire.config_only),
        ("ConfigFrom", !wire.config_from.network.is_empty()),
        ("Scope", !matches!(wire.scope.as_str(), "" | "local")),
        ("EnableIPv4", wire.enable_ipv4 == Some(false)),
        (
            "IPAM.Driver",
            !matches!(wire.ipam.driver.as_str(), "" | "default"),
        ),
        (
            "IPAM.Options",
            wire.ipam
                .options
                .as_ref()
                .is_some_and(|map| !map.is_empty()),
        ),
    ];
    if let Some((name, _)) = fields.into_iter().find(|(_, set)| *set) {
        return unsupported(format!(
            "{name} is not supported for networks of this engine"
        ));
    }
    Ok(CreateNetwork {
        name: wire.name,
        driver: wire.driver,
        internal: wire.internal,
        attachable: wire.attachable,
        enable_ipv6: wire.enable_ipv6.unwrap_or(false),
        ipam: wire
            .ipam
            .config
            .into_iter()
            .map(pool)
            .collect::<Result<_>>()?,
        options: wire.options,
        labels: wire.labels,
    })
}

fn pool(wire: wire::IpamConfig) -> Result<IpamPool> {
    let auxiliary = wire.auxiliary_addresses.into_iter();
    let auxiliary = auxiliary.map(|(name, text)| match text.parse() {
        Ok(address) => Ok((name, address)),
        Err(_) => bad(format!("invalid auxiliary address {name}: {text}")),
    });
    Ok(IpamPool {
        subnet: wire.subnet,
        ip_range: Some(wire.ip_range).filter(|text| !text.is_empty()),
        gateway: address::<IpAddr>("gateway", &wire.gateway)?,
        auxiliary: auxiliary.collect::<Result<BTreeMap<_, _>>>()?,
    })
}

fn pool_to_wire(pool: &IpamPool) -> wire::IpamConfig {
    let auxiliary = pool.auxiliary.iter();
    wire::IpamConfig {
        subnet: pool.subnet.clone(),
        ip_range: pool.ip_range.clone().unwrap_or_default(),
        gateway: pool.gateway.map_or_else(String::new, |ip| ip.to_string()),
        auxiliary_addresses: auxiliary
            .map(|(name, ip)| (name.clone(), ip.to_string()))
            .collect(),
    }
}

/// `detailed` lists the containers, which Docker does in inspect only.
pub(crate) fn network_to_wire(view: &NetworkView, detailed: bool) -> wire::Network {
    let members = view.containers.iter().filter(|_| detailed);
    let with_prefix = |address: Option<String>, prefix: u8| {
        address.map_or_else(String::new, |address| format!("{address}/{prefix}"))
    };
    let member = |(id, member): (&String, &crate::engine::NetworkMember)| {
        let endpoint = &member.endpoint;
        let container = wire::NetworkContainer {
            name: member.name.to_string(),
            endpoint_id: endpoint.endpoint_id.clone(),
            mac_address: endpoint.mac_address.clone(),
            ipv4_address: with_prefix(endpoint.ipv4.map(|ip| ip.to_string()), endpoint.ipv4_prefix),
            ipv6_address: with_prefix(endpoint.ipv6.map(|ip| ip.to_string()), endpoint.ipv6_prefix),
        };
        (id.clone(), container)
    };
    wire::Network {
        name: view.name.clone(),
        id: view.id.clone(),
        created: view.created_at.to_string(),
        scope: "local",
        driver: view.driver.clone(),
        enable_ipv4: true,
        enable_ipv6: view.enable_ipv6,
        ipam: wire::Ipam {
            driver: "default".to_owned(),
            options: None,
            config: view.ipam.iter().map(pool_to_wire).collect(),
        },
        internal: view.internal,
        attachable: view.attachable,
        ingress: false,
        config_from: wire::ConfigReference::default(),
        config_only: false,
        containers: members.map(member).collect(),
        options: view.options.clone(),
        labels: view.labels.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(change: impl FnOnce(&mut wire::EndpointSettings)) -> wire::EndpointSettings {
        let mut wire = wire::EndpointSettings::default();
        change(&mut wire);
        wire
    }

    fn ipv4(address: &str) -> wire::EndpointIpam {
        wire::EndpointIpam {
            ipv4_address: address.to_owned(),
            ..wire::EndpointIpam::default()
        }
    }

    fn link_local(address: &str) -> wire::EndpointIpam {
        wire::EndpointIpam {
            link_local_ips: vec![address.to_owned()],
            ..wire::EndpointIpam::default()
        }
    }

    #[test]
    fn addresses_and_aliases_are_for_user_networks() {
        let address = asking(|wire| wire.ipam_config = Some(ipv4("172.30.0.5")));
        let alias = asking(|wire| wire.aliases = Some(vec!["db".to_owned()]));
        for network in ["default", "bridge", "host", "none"] {
            assert!(
                attachment_from_wire(network, &address).is_err(),
                "{network}"
            );
            assert!(attachment_from_wire(network, &alias).is_err(), "{network}");
        }
        let attachment = attachment_from_wire("mine", &address).unwrap();
        assert_eq!(attachment.ipv4_address, "172.30.0.5".parse().ok());
        assert_eq!(
            attachment_from_wire("mine", &alias).unwrap().aliases,
            ["db"]
        );
        let default = attachment_from_wire("default", &asking(|_| {})).unwrap();
        assert_eq!(default.network, "bridge");
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        let cases = [
            asking(|wire| wire.links = Some(vec!["a:".to_owned()])),
            asking(|wire| wire.ipam_config = Some(link_local("169.254.7"))),
            asking(|wire| wire.ipam_config = Some(ipv4("172.30.0"))),
            asking(|wire| wire.mac_address = "02:42".to_owned()),
        ];
        for wire in cases {
            assert!(attachment_from_wire("mine", &wire).is_err(), "{wire:?}");
        }
    }

    #[test]
    fn mac_addresses_have_six_pairs() {
        let good = mac_address("02-42-AC-11-00-02").unwrap();
        assert_eq!(good.as_deref(), Some("02:42:ac:11:00:02"));
        for bad in [
            "1",
            "02:42:ac:11:00",
            "02:42:ac:11:00:0g",
            "+2:42:ac:11:00:02",
        ] {
            assert!(mac_address(bad).is_err(), "{bad}");
        }
    }
}
