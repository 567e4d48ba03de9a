//! A network as it is asked for and as it is recorded.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::NetworkError;
use crate::spec::NetworkId;

/// Who makes the links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriverName {
    Bridge,
    /// The host's own namespace.
    Host,
    /// A namespace with loopback only; Docker calls the driver `null`.
    Null,
    Macvlan,
    Ipvlan,
}

impl DriverName {
    /// Docker's name of the driver.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::Null => "null",
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
        }
    }
}

impl fmt::Display for DriverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DriverName {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        Ok(match text {
            "bridge" | "" | "default" => Self::Bridge,
            "host" => Self::Host,
            "null" | "none" => Self::Null,
            "macvlan" => Self::Macvlan,
            "ipvlan" => Self::Ipvlan,
            other => {
                return Err(NetworkError::Invalid(format!(
                    "could not find plugin {other} in v1 plugin registry: plugin not found"
                )));
            }
        })
    }
}

/// One address range of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    pub subnet: IpNet,
    /// The host's own address in it; `None` in a request means the first.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
    /// Part of `subnet` from which containers get theirs; `None` means all of it.
    #[serde(default)]
    pub ip_range: Option<IpNet>,
    /// Addresses never handed out, by name (`--aux-address`).
    #[serde(default)]
    pub auxiliary: BTreeMap<String, IpAddr>,
}

/// What `network create` asks for.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the independent switches of Docker's API"
)]
pub struct NetworkRequest {
    pub name: String,
    pub driver: DriverName,
    pub enable_ipv4: bool,
    pub enable_ipv6: bool,
    /// May be empty: IPv4 then comes from the pools, IPv6 from a unique local prefix.
    pub subnets: Vec<Subnet>,
    pub internal: bool,
    pub attachable: bool,
    /// Driver options by Docker's names, such as `com.docker.network.driver.mtu`.
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

/// A network that exists; `engine` records it as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the independent switches of Docker's API"
)]
pub struct NetworkSpec {
    pub id: NetworkId,
    pub name: String,
    pub driver: DriverName,
    pub created_at: Timestamp,
    pub enable_ipv4: bool,
    pub enable_ipv6: bool,
    /// Resolved: each has its gateway when the driver needs one.
    pub subnets: Vec<Subnet>,
    pub internal: bool,
    pub attachable: bool,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

impl NetworkSpec {
    /// `bridge`, `host` and `none` exist always and cannot be removed.
    pub fn is_predefined(&self) -> bool {
        matches!(self.name.as_str(), "bridge" | "host" | "none")
    }

    /// Containers on it find each other by name: every network but the predefined ones.
    pub fn has_names(&self) -> bool {
        !self.is_predefined()
    }
}
