//! Which addresses are whose: pools for networks, addresses for endpoints.
//!
//! Pure bookkeeping in memory. It is rebuilt at start from the records `engine` hands over, so
//! nothing here is ever written down. It never asks the kernel: routes of this host arrive as
//! arguments.

mod lease;
mod pool;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) use lease::SubnetLease;
pub(super) use pool::{choose_ipv4, choose_ipv6, default_pools, overlaps_any};

use super::{Endpoint, InterfaceAddress, NetworkError, NetworkSpec};
use crate::spec::NetworkId;

/// Every address this agent has handed out.
#[derive(Debug, Default)]
pub(super) struct Ipam {
    leases: HashMap<NetworkId, Vec<SubnetLease>>,
}

/// What one endpoint was given; either may be absent on a single-family network.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Addresses {
    pub(super) ipv4: Option<InterfaceAddress<Ipv4Addr>>,
    pub(super) ipv6: Option<InterfaceAddress<Ipv6Addr>>,
}

/// Fixed addresses an endpoint asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Requested {
    pub(super) ipv4: Option<Ipv4Addr>,
    pub(super) ipv6: Option<Ipv6Addr>,
}

impl Ipam {
    pub(super) fn add_network(&mut self, network: &NetworkSpec) {
        let leases = network.subnets.iter().map(SubnetLease::new).collect();
        self.leases.insert(network.id.clone(), leases);
    }

    pub(super) fn remove_network(&mut self, id: &NetworkId) {
        self.leases.remove(id);
    }

    /// Takes one address of each family the network has.
    ///
    /// Either both are taken or neither.
    pub(super) fn reserve(
        &mut self,
        network: &NetworkSpec,
        requested: Requested,
    ) -> Result<Addresses, NetworkError> {
        let ipv4 = self.reserve_family(network, false, requested.ipv4.map(IpAddr::V4))?;
        let ipv6 = match self.reserve_family(network, true, requested.ipv6.map(IpAddr::V6)) {
            Ok(ipv6) => ipv6,
            Err(error) => {
                if let Some(taken) = ipv4 {
                    self.release_address(&network.id, taken.address);
                }
                return Err(error);
            }
        };
        Ok(Addresses {
            ipv4: ipv4.and_then(as_ipv4),
            ipv6: ipv6.and_then(as_ipv6),
        })
    }

    /// Marks the addresses of an endpoint that lived through a restart of the agent.
    pub(super) fn restore(&mut self, endpoint: &Endpoint) {
        for address in endpoint_addresses(endpoint) {
            for lease in self.leases.get_mut(&endpoint.network).into_iter().flatten() {
                lease.mark(address);
            }
        }
    }

    pub(super) fn release(&mut self, endpoint: &Endpoint) {
        for address in endpoint_addresses(endpoint) {
            self.release_address(&endpoint.network, address);
        }
    }

    fn release_address(&mut self, network: &NetworkId, address: IpAddr) {
        for lease in self.leases.get_mut(network).into_iter().flatten() {
            lease.release(address);
        }
    }

    fn reserve_family(
        &mut self,
        network: &NetworkSpec,
        ipv6: bool,
        requested: Option<IpAddr>,
    ) -> Result<Option<InterfaceAddress<IpAddr>>, NetworkError> {
        let leases = self.leases.entry(network.id.clone()).or_default();
        let mut of_family = leases
            .iter_mut()
            .filter(|lease| lease.is_ipv6() == ipv6)
            .peekable();
        if of_family.peek().is_none() && requested.is_none() {
            return Ok(None);
        }
        if let Some(address) = requested {
            let lease = of_family
                .find(|lease| lease.contains(address))
                .ok_or_else(|| {
                    NetworkError::Invalid(format!(
                        "no configured subnet or ip-range contain the IP address {address}"
                    ))
                })?;
            lease.take(address)?;
            return Ok(Some(lease.interface_address(address, network.internal)));
        }
        for lease in of_family {
            if let Some(address) = lease.take_lowest() {
                return Ok(Some(lease.interface_address(address, network.internal)));
            }
        }
        Err(NetworkError::AddressesExhausted {
            version: if ipv6 { 6 } else { 4 },
            network: network.name.clone(),
        })
    }
}

fn endpoint_addresses(endpoint: &Endpoint) -> impl Iterator<Item = IpAddr> {
    let ipv4 = endpoint.ipv4.map(|a| IpAddr::V4(a.address));
    let ipv6 = endpoint.ipv6.map(|a| IpAddr::V6(a.address));
    ipv4.into_iter().chain(ipv6)
}

fn as_ipv4(found: InterfaceAddress<IpAddr>) -> Option<InterfaceAddress<Ipv4Addr>> {
    let IpAddr::V4(address) = found.address else {
        return None;
    };
    let gateway = match found.gateway {
        Some(IpAddr::V4(gateway)) => Some(gateway),
        Some(IpAddr::V6(_)) | None => None,
    };
    Some(InterfaceAddress {
        address,
        prefix: found.prefix,
        gateway,
    })
}

fn as_ipv6(found: InterfaceAddress<IpAddr>) -> Option<InterfaceAddress<Ipv6Addr>> {
    let IpAddr::V6(address) = found.address else {
        return None;
    };
    let gateway = match found.gateway {
        Some(IpAddr::V6(gateway)) => Some(gateway),
        Some(IpAddr::V4(_)) | None => None,
    };
    Some(InterfaceAddress {
        address,
        prefix: found.prefix,
        gateway,
    })
}
