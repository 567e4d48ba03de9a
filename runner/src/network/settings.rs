//! What the agent's configuration says about networks, resolved.

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use super::NetworkError;

/// Name of the agent on a machine that has only one.
pub const DEFAULT_INSTANCE: &str = "hythe";

/// Longest name of a link, without the terminating zero (`IFNAMSIZ`).
const MAX_LINK_NAME: usize = 15;

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
    /// Names everything this agent makes in the kernel. Agents with different names share a
    /// machine without meeting. Letters, digits, `-` and `_`; usually [`DEFAULT_INSTANCE`].
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

    /// Refuses names that would not be one word in a rule or a link's name.
    pub(super) fn check(&self) -> Result<(), NetworkError> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if !self.instance.is_empty() && self.instance.len() <= 64 && self.instance.bytes().all(fits)
        {
            return Ok(());
        }
        Err(NetworkError::Invalid(format!(
            "invalid instance name {:?}: expected up to 64 letters, digits, - and _",
            self.instance
        )))
    }

    /// Name of our nft table: never one that somebody else may have, such as `filter`.
    pub(super) fn table(&self) -> String {
        if self.instance == DEFAULT_INSTANCE {
            DEFAULT_INSTANCE.to_owned()
        } else {
            format!("{DEFAULT_INSTANCE}-{}", self.instance)
        }
    }

    /// Name of the default network's bridge: `<instance>0`, or one made of a hash where that is
    /// longer than the kernel takes.
    pub(super) fn bridge(&self) -> String {
        let name = format!("{}0", self.instance);
        if name.len() <= MAX_LINK_NAME {
            return name;
        }
        format!(
            "br-{:011x}0",
            fnv1a(self.instance.bytes()) & 0xfff_ffff_ffff
        )
    }
}

/// The 64-bit FNV-1a hash: small, stable, and no secret.
pub(super) fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_kernel_come_from_the_instance() {
        for (instance, table, bridge) in [
            ("hythe", "hythe", "hythe0"),
            ("filter", "hythe-filter", "filter0"),
            ("0123456789abcd", "hythe-0123456789abcd", "0123456789abcd0"),
        ] {
            let settings = NetworkSettings::new(instance);
            assert!(settings.check().is_ok());
            assert_eq!(
                (settings.table(), settings.bridge()),
                (table.into(), bridge.into())
            );
        }
        let long = |n: u8| NetworkSettings::new(format!("a-very-long-instance-name-{n}")).bridge();
        assert_eq!(long(1).len(), MAX_LINK_NAME);
        assert_ne!(long(1), long(2));
    }

    #[test]
    fn other_names_are_refused() {
        for bad in ["", "a b", "a;b", "a\"b", "ä", "x\n"] {
            assert!(NetworkSettings::new(bad).check().is_err(), "{bad:?}");
        }
    }
}
