//! One container's place on one network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::NetworkError;
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

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
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
    pub ports: Vec<PublishedPort>,
    pub names: Vec<String>,
    pub resolvers: Vec<IpAddr>,
}
