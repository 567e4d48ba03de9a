//! One container's place on one network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{LinkSwitch, NetworkError};
use crate::spec::{ContainerId, EndpointId, NetworkId, PortBinding, PortSpec};

/// A network namespace held open; the namespace lives as long as the handle.
#[derive(Debug, Clone)]
pub struct Netns(Arc<OwnedFd>);

impl Netns {
    /// The namespace of a live process, `/proc/<pid>/ns/net`.
    pub fn of_process(pid: i32) -> Result<Self, NetworkError> {
        let path = format!("/proc/{pid}/ns/net");
        let file = std::fs::File::open(&path).map_err(|reason| NetworkError::Kernel {
            step: format!("opening {path}"),
            reason,
        })?;
        Ok(Self(Arc::new(file.into())))
    }
}

impl From<OwnedFd> for Netns {
    /// Takes a descriptor of a namespace, wherever it comes from.
    fn from(netns: OwnedFd) -> Self {
        Self(Arc::new(netns))
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// Locally administered, unicast: Docker's prefix.
    const PREFIX: [u8; 2] = [0x02, 0x42];

    /// The address made from an interface's IP address, so that neighbours who remember the
    /// pair stay right when the next container gets the same IP.
    pub fn of_address(address: IpAddr) -> Self {
        let host_part = match address {
            IpAddr::V4(address) => address.octets(),
            IpAddr::V6(address) => {
                let low = u32::try_from(address.to_bits() & u128::from(u32::MAX));
                low.unwrap_or_default().to_be_bytes()
            }
        };
        Self::with_prefix(host_part)
    }

    /// One that nobody else is likely to have.
    pub fn random() -> Self {
        Self::with_prefix(rand::random())
    }

    fn with_prefix(rest: [u8; 4]) -> Self {
        let mut octets = [0; 6];
        octets[..2].copy_from_slice(&Self::PREFIX);
        octets[2..].copy_from_slice(&rest);
        Self(octets)
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.map(|octet| format!("{octet:02x}")).join(":"))
    }
}

impl FromStr for MacAddress {
    type Err = NetworkError;

    /// Takes `02:42:ac:11:00:02`, colons or dashes, either case.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let invalid = || NetworkError::Invalid(format!("invalid MAC address: {text}"));
        let mut octets = [0_u8; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().ok_or_else(invalid)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(invalid());
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| invalid())?;
        }
        match parts.next() {
            None => Ok(Self(octets)),
            Some(_) => Err(invalid()),
        }
    }
}

impl TryFrom<String> for MacAddress {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<MacAddress> for String {
    fn from(mac: MacAddress) -> Self {
        mac.to_string()
    }
}

/// What a container asks of a network when it is attached.
#[derive(Debug, Clone)]
pub struct EndpointRequest {
    pub container: ContainerId,
    /// For messages only, such as Docker's "endpoint web (4f…)".
    pub container_name: String,
    pub netns: Netns,
    /// Name of the link inside, such as `eth0`.
    pub interface: String,
    pub ipv4_address: Option<Ipv4Addr>,
    pub ipv6_address: Option<Ipv6Addr>,
    pub mac_address: Option<MacAddress>,
    /// Addresses besides, outside the network's subnets.
    pub link_local_ips: Vec<IpAddr>,
    /// Switches of the link inside.
    pub switches: Vec<LinkSwitch>,
    /// Ports to publish. Docker publishes through one of a container's networks only.
    pub ports: Vec<PortBinding>,
    /// Whether the container's default route goes through this network.
    pub default_route: bool,
    /// Names under which others on the network find it: container name, aliases, short id.
    pub names: Vec<String>,
    /// Where the container's DNS forwards what it does not know; empty means the host's.
    pub resolvers: Vec<IpAddr>,
}

/// One address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceAddress<A> {
    pub address: A,
    /// Bits of the network part.
    pub prefix: u8,
    /// `None` on internal networks.
    pub gateway: Option<A>,
}

/// A port of the container that answers on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    pub container: PortSpec,
    /// `0.0.0.0` and `::` are every address.
    pub host_ip: IpAddr,
    pub host_port: u16,
}

/// An attached container; `engine` records it as it is, and gives it back to detach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub id: EndpointId,
    pub network: NetworkId,
    pub container: ContainerId,
    /// Name of the link inside the container; empty on `host` and `none`.
    pub interface: String,
    /// Name of the other end on this host, where the driver has one.
    pub host_interface: Option<String>,
    pub mac_address: Option<MacAddress>,
    pub ipv4: Option<InterfaceAddress<Ipv4Addr>>,
    pub ipv6: Option<InterfaceAddress<Ipv6Addr>>,
    #[serde(default)]
    pub link_local_ips: Vec<IpAddr>,
    /// Whether the container's way to elsewhere goes through this endpoint.
    #[serde(default)]
    pub default_route: bool,
    pub ports: Vec<PublishedPort>,
    pub names: Vec<String>,
    pub resolvers: Vec<IpAddr>,
}

impl Endpoint {
    /// The interface's addresses with their prefix lengths.
    pub(super) fn interface_nets(&self) -> Vec<IpNet> {
        let ipv4 = self
            .ipv4
            .and_then(|a| IpNet::new(a.address.into(), a.prefix).ok());
        let ipv6 = self
            .ipv6
            .and_then(|a| IpNet::new(a.address.into(), a.prefix).ok());
        ipv4.into_iter().chain(ipv6).collect()
    }

    /// The addresses outside the network's subnets, with the prefix lengths of their families
    /// (RFC 3927, RFC 4291 section 2.5.6), as docker gives them.
    pub(super) fn link_local_nets(&self) -> Vec<IpNet> {
        let net = |ip: &IpAddr| IpNet::new(*ip, if ip.is_ipv4() { 16 } else { 64 }).ok();
        self.link_local_ips.iter().filter_map(net).collect()
    }

    /// Whether the link has any IPv6 address.
    pub(super) fn speaks_ipv6(&self) -> bool {
        self.ipv6.is_some() || self.link_local_ips.iter().any(IpAddr::is_ipv6)
    }

    /// The next hop of each family.
    pub(super) fn gateways(&self) -> Vec<IpAddr> {
        let ipv4 = self.ipv4.and_then(|a| a.gateway).map(IpAddr::V4);
        let ipv6 = self.ipv6.and_then(|a| a.gateway).map(IpAddr::V6);
        ipv4.into_iter().chain(ipv6).collect()
    }

    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.interface_nets().iter().map(IpNet::addr).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mac_addresses_are_read_in_both_forms() {
        for (text, shown) in [
            ("02:42:ac:11:00:02", "02:42:ac:11:00:02"),
            ("02-42-AC-11-00-02", "02:42:ac:11:00:02"),
        ] {
            assert_eq!(text.parse::<MacAddress>().unwrap().to_string(), shown);
        }
        for bad in [
            "",
            "02:42",
            "02:42:ac:11:00:02:03",
            "0x:42:ac:11:00:02",
            "+2:42:ac:11:00:02",
        ] {
            assert!(bad.parse::<MacAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn mac_addresses_follow_the_ip_address() {
        for (ip, mac) in [
            ("172.17.0.2", "02:42:ac:11:00:02"),
            ("fd00::1:2", "02:42:00:01:00:02"),
        ] {
            assert_eq!(MacAddress::of_address(ip.parse().unwrap()).to_string(), mac);
        }
    }

    proptest! {
        #[test]
        fn any_mac_address_survives_its_text(octets: [u8; 6]) {
            let mac = MacAddress(octets);
            prop_assert_eq!(mac.to_string().parse::<MacAddress>().unwrap(), mac);
        }

        #[test]
        fn any_text_is_a_mac_address_or_an_error(text in ".*") {
            drop(text.parse::<MacAddress>());
        }
    }
}
