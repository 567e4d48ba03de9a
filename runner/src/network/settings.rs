//! What the agent's configuration says about networks, resolved.

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

/// Addresses from which networks without a subnet of their own are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressPool {
    pub base: IpNet,
    /// Prefix length of each network cut from `base`.
    pub size: u8,
}

/// Settings of one agent's networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSettings {
    /// Names everything this agent makes in the kernel: the bridge `<instance>0` and the nft
    /// table `<instance>`. Agents with different names share a machine without meeting.
    pub instance: String,
    /// Address and prefix of the default bridge (`--bip`); `None` takes the first free pool.
    pub bridge_address: Option<Ipv4Net>,
    /// Pools in the order they are tried (`--default-address-pool`).
    pub address_pools: Vec<AddressPool>,
    /// MTU of the default bridge; `None` leaves the kernel's 1500.
    pub mtu: Option<u32>,
}

impl NetworkSettings {
    /// What an agent does that was told nothing but its name.
    pub fn new(instance: impl Into<String>) -> Self {
        Self {
            instance: instance.into(),
            bridge_address: None,
            address_pools: super::ipam::default_pools(),
            mtu: None,
        }
    }
}
