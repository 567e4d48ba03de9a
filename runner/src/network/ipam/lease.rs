//! One subnet and who has which address of it.
//!
//! Addresses are handed out lowest first, as Docker does: `.1` is the gateway, `.2` goes to the
//! first container, and a freed address is the next one given.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::super::{InterfaceAddress, NetworkError, Subnet};

/// Addresses of one subnet, counted as 128-bit numbers so that both families share the code.
#[derive(Debug)]
pub(in crate::network) struct SubnetLease {
    subnet: IpNet,
    gateway: Option<IpAddr>,
    /// First and last address handed out unasked.
    range: (u128, u128),
    /// Gateway, auxiliary, network and broadcast addresses.
    reserved: BTreeSet<u128>,
    taken: BTreeSet<u128>,
}

impl SubnetLease {
    pub(in crate::network) fn new(spec: &Subnet) -> Self {
        let mut reserved: BTreeSet<u128> = spec
            .auxiliary
            .values()
            .chain(&spec.gateway)
            .map(|&address| number(address))
            .collect();
        // RFC 3021: a /31 has neither network nor broadcast address; IPv6 has no broadcast, but
        // its first address is the subnet-router anycast address (RFC 4291, 2.6.1).
        let host_bits = spec.subnet.max_prefix_len() - spec.subnet.prefix_len();
        if host_bits > 1 {
            reserved.insert(number(spec.subnet.network()));
            if spec.subnet.addr().is_ipv4() {
                reserved.insert(number(spec.subnet.broadcast()));
            }
        }
        let range = spec.ip_range.unwrap_or(spec.subnet);
        Self {
            subnet: spec.subnet,
            gateway: spec.gateway,
            range: (number(range.network()), number(range.broadcast())),
            reserved,
            taken: BTreeSet::new(),
        }
    }

    pub(super) fn is_ipv6(&self) -> bool {
        self.subnet.addr().is_ipv6()
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.subnet.contains(&address)
    }

    /// The lowest free address, now taken; `None` when the range is used up.
    pub(super) fn take_lowest(&mut self) -> Option<IpAddr> {
        let (first, last) = self.range;
        let mut candidate = first;
        loop {
            if !self.reserved.contains(&candidate) && self.taken.insert(candidate) {
                return Some(self.address(candidate));
            }
            if candidate == last {
                return None;
            }
            candidate += 1;
        }
    }

    /// Takes one address that was asked for.
    pub(super) fn take(&mut self, address: IpAddr) -> Result<(), NetworkError> {
        let number = number(address);
        if self.reserved.contains(&number) || !self.taken.insert(number) {
            return Err(NetworkError::AddressInUse(address));
        }
        Ok(())
    }

    /// Notes that somebody has the address already.
    pub(super) fn mark(&mut self, address: IpAddr) {
        if self.contains(address) {
            self.taken.insert(number(address));
        }
    }

    pub(super) fn release(&mut self, address: IpAddr) {
        if self.contains(address) {
            self.taken.remove(&number(address));
        }
    }

    pub(super) fn interface_address(
        &self,
        address: IpAddr,
        internal: bool,
    ) -> InterfaceAddress<IpAddr> {
        InterfaceAddress {
            address,
            prefix: self.subnet.prefix_len(),
            gateway: self.gateway.filter(|_| !internal),
        }
    }

    fn address(&self, number: u128) -> IpAddr {
        match u32::try_from(number) {
            Ok(number) if !self.is_ipv6() => IpAddr::V4(Ipv4Addr::from_bits(number)),
            _ => IpAddr::V6(Ipv6Addr::from_bits(number)),
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn lease(subnet: &str, gateway: Option<&str>, range: Option<&str>) -> SubnetLease {
        SubnetLease::new(&Subnet {
            subnet: subnet.parse().unwrap(),
            gateway: gateway.map(|g| g.parse().unwrap()),
            ip_range: range.map(|r| r.parse().unwrap()),
            auxiliary: BTreeMap::new(),
        })
    }

    fn handed_out(lease: &mut SubnetLease) -> Vec<String> {
        std::iter::from_fn(|| lease.take_lowest())
            .map(|a| a.to_string())
            .collect()
    }

    #[test]
    fn addresses_come_lowest_first_and_skip_what_is_reserved() {
        for (subnet, gateway, range, expected) in [
            (
                "10.0.0.0/29",
                Some("10.0.0.1"),
                None,
                vec!["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"],
            ),
            (
                "10.0.0.0/24",
                Some("10.0.0.1"),
                Some("10.0.0.4/31"),
                vec!["10.0.0.4", "10.0.0.5"],
            ),
            ("10.0.0.0/30", None, None, vec!["10.0.0.1", "10.0.0.2"]),
            ("10.0.0.0/31", Some("10.0.0.0"), None, vec!["10.0.0.1"]),
            (
                "fd00::/126",
                Some("fd00::1"),
                None,
                vec!["fd00::2", "fd00::3"],
            ),
            (
                "255.255.255.252/30",
                None,
                None,
                vec!["255.255.255.253", "255.255.255.254"],
            ),
        ] {
            assert_eq!(
                handed_out(&mut lease(subnet, gateway, range)),
                expected,
                "{subnet}"
            );
        }
    }

    #[test]
    fn a_freed_address_is_the_next_one_given() {
        let mut lease = lease("172.17.0.0/16", Some("172.17.0.1"), None);
        let first = lease.take_lowest().unwrap();
        lease.take_lowest().unwrap();
        lease.release(first);
        assert_eq!(lease.take_lowest(), Some(first));
    }

    #[test]
    fn a_taken_or_reserved_address_is_refused() {
        let mut lease = lease("10.0.0.0/24", Some("10.0.0.1"), None);
        let wanted = "10.0.0.9".parse().unwrap();
        lease.take(wanted).unwrap();
        for refused in ["10.0.0.9", "10.0.0.1", "10.0.0.0", "10.0.0.255"] {
            assert!(lease.take(refused.parse().unwrap()).is_err(), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn no_address_is_given_twice_and_none_lies_outside(
            base in any::<u32>(), prefix in 22_u8..=32, releases in proptest::collection::vec(any::<prop::sample::Index>(), 0..20)
        ) {
            let net = IpNet::new(Ipv4Addr::from_bits(base).into(), prefix).unwrap().trunc();
            let mut lease = lease(&net.to_string(), None, None);
            let mut held = BTreeSet::new();
            for release in releases {
                for _ in 0..3 {
                    if let Some(address) = lease.take_lowest() {
                        prop_assert!(net.contains(&address));
                        prop_assert!(held.insert(address));
                    }
                }
                if !held.is_empty() {
                    let gone = *held.iter().nth(release.index(held.len())).unwrap();
                    held.remove(&gone);
                    lease.release(gone);
                }
            }
        }
    }
}
