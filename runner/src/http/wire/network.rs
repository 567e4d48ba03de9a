//! Networks and a container's place on them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A container's place on a network: asked for in create and connect, shown in inspect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct EndpointSettings {
    #[serde(rename = "IPAMConfig")]
    pub(crate) ipam_config: Option<EndpointIpam>,
    pub(crate) links: Option<Vec<String>>,
    pub(crate) aliases: Option<Vec<String>>,
    pub(crate) mac_address: String,
    pub(crate) driver_opts: Option<BTreeMap<String, String>>,
    pub(crate) gw_priority: i64,
    #[serde(rename = "NetworkID")]
    pub(crate) network_id: String,
    #[serde(rename = "EndpointID")]
    pub(crate) endpoint_id: String,
    pub(crate) gateway: String,
    #[serde(rename = "IPAddress")]
    pub(crate) ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    pub(crate) ip_prefix_len: u8,
    #[serde(rename = "IPv6Gateway")]
    pub(crate) ipv6_gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    pub(crate) global_ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub(crate) global_ipv6_prefix_len: u8,
    #[serde(rename = "DNSNames")]
    pub(crate) dns_names: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct EndpointIpam {
    #[serde(rename = "IPv4Address", skip_serializing_if = "String::is_empty")]
    pub(crate) ipv4_address: String,
    #[serde(rename = "IPv6Address", skip_serializing_if = "String::is_empty")]
    pub(crate) ipv6_address: String,
    #[serde(rename = "LinkLocalIPs", skip_serializing_if = "Vec::is_empty")]
    pub(crate) link_local_ips: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct CreateNetworkBody {
    pub(crate) name: String,
    pub(crate) driver: String,
    pub(crate) scope: String,
    #[serde(rename = "EnableIPv4")]
    pub(crate) enable_ipv4: Option<bool>,
    #[serde(rename = "EnableIPv6")]
    pub(crate) enable_ipv6: Option<bool>,
    #[serde(rename = "IPAM")]
    pub(crate) ipam: Ipam,
    pub(crate) internal: bool,
    pub(crate) attachable: bool,
    pub(crate) ingress: bool,
    pub(crate) config_only: bool,
    pub(crate) config_from: ConfigReference,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct ConfigReference {
    pub(crate) network: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Ipam {
    pub(crate) driver: String,
    pub(crate) options: Option<BTreeMap<String, String>>,
    pub(crate) config: Vec<IpamConfig>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct IpamConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) subnet: String,
    #[serde(rename = "IPRange", skip_serializing_if = "String::is_empty")]
    pub(crate) ip_range: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) gateway: String,
    #[serde(
        rename = "AuxiliaryAddresses",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub(crate) auxiliary_addresses: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CreatedNetwork {
    #[serde(rename = "Id")]
    pub(crate) id: String,
    #[serde(rename = "Warning")]
    pub(crate) warning: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Network {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) created: String,
    pub(crate) scope: &'static str,
    pub(crate) driver: String,
    #[serde(rename = "EnableIPv4")]
    pub(crate) enable_ipv4: bool,
    #[serde(rename = "EnableIPv6")]
    pub(crate) enable_ipv6: bool,
    #[serde(rename = "IPAM")]
    pub(crate) ipam: Ipam,
    pub(crate) internal: bool,
    pub(crate) attachable: bool,
    pub(crate) ingress: bool,
    pub(crate) config_from: ConfigReference,
    pub(crate) config_only: bool,
    pub(crate) containers: BTreeMap<String, NetworkContainer>,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NetworkContainer {
    pub(crate) name: String,
    #[serde(rename = "EndpointID")]
    pub(crate) endpoint_id: String,
    pub(crate) mac_address: String,
    #[serde(rename = "IPv4Address")]
    pub(crate) ipv4_address: String,
    #[serde(rename = "IPv6Address")]
    pub(crate) ipv6_address: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct ConnectBody {
    pub(crate) container: String,
    pub(crate) endpoint_config: EndpointSettings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct DisconnectBody {
    pub(crate) container: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PrunedNetworks {
    pub(crate) networks_deleted: Option<Vec<String>>,
}
