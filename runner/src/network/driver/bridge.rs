//! A bridge on this host, and a veth pair from it into each container.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use rtnetlink::packet_route::link::InfoKind;

use super::{Driver, Joining, Site, configure_inside, enter, flag, mtu, route_by_gateways};
use crate::network::link::{BridgePort, Links, Veth};
use crate::network::{
    Endpoint, MacAddress, Netns, NetworkError, NetworkSettings, NetworkSpec, sysctl,
};

/// Docker's options for the bridge driver that we honour.
const NAME: &str = "com.docker.network.bridge.name";
const ICC: &str = "com.docker.network.bridge.enable_icc";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
const DEFAULT_BRIDGE: &str = "com.docker.network.bridge.default_bridge";
/// The only gateway mode there is here.
const GATEWAY_MODES: [&str; 2] = [
    "com.docker.network.bridge.gateway_mode_ipv4",
    "com.docker.network.bridge.gateway_mode_ipv6",
];

/// Longest name of a link, without the terminating zero (`IFNAMSIZ`).
const MAX_LINK_NAME: usize = 15;

/// The bridge driver.
#[derive(Debug)]
pub(super) struct Bridge;

/// A bridge network's options, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::network) struct BridgeOptions {
    pub(in crate::network) mtu: Option<u32>,
    /// Containers on it may talk to each other.
    pub(in crate::network) between_containers: bool,
    pub(in crate::network) masquerade: bool,
    /// Where ports without a host address of their own are published.
    pub(in crate::network) host_binding: Option<IpAddr>,
}

impl BridgeOptions {
    pub(in crate::network) fn of(options: &BTreeMap<String, String>) -> Result<Self, NetworkError> {
        for mode in GATEWAY_MODES {
            if let Some(other) = options.get(mode).filter(|m| *m != "nat") {
                return Err(NetworkError::Invalid(format!(
                    "{mode}: gateway mode {other} is not supported, only nat"
                )));
            }
        }
        let host_binding = match options.get(HOST_BINDING).filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| {
                NetworkError::Invalid(format!("invalid value for {HOST_BINDING}: {text}"))
            })?),
        };
        Ok(Self {
            mtu: mtu(options)?,
            between_containers: flag(options, ICC, true)?,
            masquerade: flag(options, MASQUERADE, true)?,
            // Every address is what the absence of one means.
            host_binding: host_binding.filter(|ip: &IpAddr| !ip.is_unspecified()),
        })
    }
}

/// Name of a network's bridge: the one its options give, the agent's own for the default network,
/// else one made of the network's id.
pub(in crate::network) fn bridge_name(settings: &NetworkSettings, network: &NetworkSpec) -> String {
    if let Some(name) = network.options.get(NAME).filter(|name| !name.is_empty()) {
        return name.clone();
    }
    if network.is_predefined() {
        settings.bridge()
    } else {
        format!("br-{}", network.id.short())
    }
}

/// What we write beside a bridge to know it again as ours.
fn alias(network: &NetworkSpec) -> String {
    format!("hythe network {}", network.id)
}

/// Interface names the kernel takes, `dev_valid_name` in net/core/dev.c.
pub(in crate::network) fn is_link_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= MAX_LINK_NAME
        && name
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'"'))
}

impl Driver for Bridge {
    fn validate(&self, network: &NetworkSpec) -> Result<(), NetworkError> {
        let known = [
            NAME,
            ICC,
            MASQUERADE,
            HOST_BINDING,
            DEFAULT_BRIDGE,
            super::MTU_OPTION,
            GATEWAY_MODES[0],
            GATEWAY_MODES[1],
        ];
        if let Some(unknown) = network
            .options
            .keys()
            .find(|key| !known.contains(&key.as_str()))
        {
            return Err(NetworkError::Invalid(format!(
                "the bridge driver does not know the option {unknown}"
            )));
        }
        BridgeOptions::of(&network.options)?;
        if let Some(name) = network.options.get(NAME).filter(|n| !is_link_name(n)) {
            return Err(NetworkError::Invalid(format!(
                "invalid bridge name: {name:?}"
            )));
        }
        Ok(())
    }

    fn setup<'a>(&'a self, site: Site<'a>) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(setup(site))
    }

    fn teardown<'a>(&'a self, site: Site<'a>) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async move {
            let name = bridge_name(site.settings, site.network);
            match site.links.find(&name).await? {
                // A bridge that was there before us stays.
                Some(link) if link.alias == Some(alias(site.network)) => {
                    site.links.delete(&name).await
                }
                Some(_) | None => Ok(()),
            }
        })
    }

    fn attach<'a>(
        &'a self,
        site: Site<'a>,
        joining: Joining<'a>,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(attach(site, joining))
    }

    fn route<'a>(
        &'a self,
        _site: Site<'a>,
        inside: &'a Links,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(route_by_gateways(inside, endpoint))
    }

    fn detach<'a>(
        &'a self,
        site: Site<'a>,
        endpoint: &'a Endpoint,
        _netns: Option<&'a Netns>,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async move {
            match &endpoint.host_interface {
                Some(name) => site.links.delete(name).await,
                None => Ok(()),
            }
        })
    }
}

async fn setup(site: Site<'_>) -> Result<(), NetworkError> {
    let Site { links, network, .. } = site;
    let name = bridge_name(site.settings, network);
    let index = find_or_add(site, &name).await?;
    set_switches(&name, network)?;
    let present = links.addresses(index).await?;
    for subnet in &network.subnets {
        let Some(gateway) = subnet.gateway else {
            continue;
        };
        // An internal network's bridge has the address as well: containers may reach the host.
        let address = IpNet::new(gateway, subnet.subnet.prefix_len())
            .map_err(|error| NetworkError::Invalid(error.to_string()))?;
        if !present.contains(&address) {
            links.add_address(index, address).await?;
        }
    }
    links.set_up(index).await
}

/// Index of the network's bridge.
async fn find_or_add(site: Site<'_>, name: &str) -> Result<u32, NetworkError> {
    let Site { links, network, .. } = site;
    if let Some(link) = links.find(name).await? {
        if link.kind == Some(InfoKind::Bridge) {
            return Ok(link.index);
        }
        return Err(NetworkError::Invalid(format!(
            "link {name} exists and is no bridge"
        )));
    }
    let options = BridgeOptions::of(&network.options)?;
    let gateway = network.subnets.iter().find_map(|subnet| subnet.gateway);
    let mac = gateway.map_or_else(MacAddress::random, MacAddress::of_address);
    links.add_bridge(name, mac, options.mtu).await?;
    let index = links.index(name).await?;
    links.set_alias(index, &alias(network)).await?;
    Ok(index)
}

/// Switches of the bridge itself.
fn set_switches(name: &str, network: &NetworkSpec) -> Result<(), NetworkError> {
    // Lets this host reach ports published on 127.0.0.1; the packet filter keeps everybody else
    // from using it. Where it cannot be set the relay serves loopback.
    if let Err(error) = sysctl::write(&["ipv4", "conf", name, "route_localnet"], "1") {
        tracing::warn!(%error, "ports published on 127.0.0.1 will be relayed by the agent");
    }
    let off = if network.enable_ipv6 { "0" } else { "1" };
    sysctl::write_if_present(&["ipv6", "conf", name, "disable_ipv6"], off)?;
    // The bridge is the router of its link; a container must not be able to reconfigure it.
    sysctl::write_if_present(&["ipv6", "conf", name, "accept_ra"], "0")?;
    Ok(())
}

async fn attach(site: Site<'_>, joining: Joining<'_>) -> Result<(), NetworkError> {
    let Site { links, network, .. } = site;
    let endpoint = joining.endpoint;
    let (Some(host_interface), Some(mac)) = (&endpoint.host_interface, endpoint.mac_address) else {
        return Err(NetworkError::Invalid(
            "a bridge endpoint needs a link name and a MAC address".to_owned(),
        ));
    };
    let options = BridgeOptions::of(&network.options)?;
    let bridge_name = bridge_name(site.settings, network);
    let bridge = links.index(&bridge_name).await?;
    links
        .add_veth(Veth {
            name: host_interface,
            bridge,
            peer_name: &endpoint.interface,
            peer_mac: mac,
            mtu: options.mtu,
            netns: joining.netns,
        })
        .await?;
    sysctl::write_if_present(&["ipv6", "conf", host_interface, "disable_ipv6"], "1")?;
    let near = links.index(host_interface).await?;
    if let Some(mode) = port_mode(&options) {
        links.set_port(near, mode).await?;
    }
    links.set_up(near).await?;

    let inside = enter(joining, |endpoint| {
        let off = if endpoint.speaks_ipv6() { "0" } else { "1" };
        sysctl::write_if_present(&["ipv6", "conf", &endpoint.interface, "disable_ipv6"], off)
            .map(drop)
    })
    .await?;
    configure_inside(&inside, joining).await?;
    if joining.default_route {
        route_by_gateways(&inside, endpoint).await?;
    }
    links.wait_until_up(host_interface).await?;
    // A bridge has a carrier when one of its ports has.
    links.wait_until_up(&bridge_name).await?;
    inside.wait_until_up(&endpoint.interface).await
}

/// With `br_netfilter` the packet filter sees what passes between ports of a bridge, and a
/// packet that it sends back to where it came from (a container asking for its own published
/// port) never leaves the bridge. Without it the bridge itself must keep containers apart.
fn port_mode(options: &BridgeOptions) -> Option<BridgePort> {
    let filtered = sysctl::read(&["bridge", "bridge-nf-call-iptables"]).as_deref() == Some("1");
    if filtered {
        Some(BridgePort::Hairpin)
    } else {
        (!options.between_containers).then_some(BridgePort::Isolated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    #[test]
    fn options_are_parsed_as_docker_parses_them() {
        let default = BridgeOptions::of(&options(&[])).unwrap();
        assert_eq!(default.mtu, None);
        assert!(default.between_containers && default.masquerade);

        let given = BridgeOptions::of(&options(&[
            (ICC, "false"),
            (MASQUERADE, "0"),
            (HOST_BINDING, "127.0.0.1"),
            (super::super::MTU_OPTION, "1400"),
        ]))
        .unwrap();
        assert_eq!(given.mtu, Some(1400));
        assert!(!given.between_containers && !given.masquerade);
        assert_eq!(given.host_binding, Some("127.0.0.1".parse().unwrap()));

        let every = BridgeOptions::of(&options(&[(HOST_BINDING, "0.0.0.0")])).unwrap();
        assert_eq!(every.host_binding, None);
    }

    #[test]
    fn bad_options_are_refused() {
        for (key, value) in [
            (ICC, "yes"),
            (HOST_BINDING, "localhost"),
            (super::super::MTU_OPTION, "12"),
            (super::super::MTU_OPTION, "x"),
            (GATEWAY_MODES[0], "routed"),
        ] {
            assert!(
                BridgeOptions::of(&options(&[(key, value)])).is_err(),
                "{key}={value}"
            );
        }
    }

    #[test]
    fn link_names_are_the_kernels() {
        for good in ["br0", "a", "br-0123456789ab"] {
            assert!(is_link_name(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a b",
            "a/b",
            "a:b",
            "a\"b",
            "0123456789abcdef",
            "brü",
        ] {
            assert!(!is_link_name(bad), "{bad}");
        }
    }
}
