//! Published ports: who has which, and the sockets that hold them.
//!
//! A published port is three things: an entry in the [`table`], so that two containers never get
//! the same one; a socket bound to it, so that no other program of this host can take it; and an
//! element in the packet filter's maps ([`Mapping`]), which carries nearly all the traffic. What
//! the packet filter does not carry arrives at the socket and is relayed ([`relay`]): IPv6
//! clients of a container that has only IPv4 (`[::1]` among them, which the kernel cannot
//! translate), and everything on a host without nftables or whose rules were flushed.
//!
//! The sockets die with the agent; translation goes on without it, and the next agent takes the
//! ports again.

mod relay;
mod socket;
mod table;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use self::socket::Holder;
use self::table::PortTable;
use super::firewall::Mapping;
use super::{NetworkError, PublishedPort, sysctl};
use crate::spec::{PortBinding, PortProtocol};

/// The ports of one agent. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Ports {
    table: Arc<Mutex<PortTable>>,
}

/// A port that is ours until this value is dropped; its socket is freed in time only by
/// [`close`].
#[derive(Debug)]
pub(super) struct HeldPort {
    pub(super) published: PublishedPort,
    /// What the packet filter shall do; `None` where only the relay can.
    pub(super) mapping: Option<Mapping>,
    /// `None` when the port could not be bound again after a restart of the agent.
    holder: Option<Holder>,
    _entry: Entry,
}

/// A line in the table, crossed out on drop.
#[derive(Debug)]
struct Entry {
    ports: Ports,
    protocol: PortProtocol,
    host: SocketAddr,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.ports
            .with_table(|t| t.release(self.protocol, self.host));
    }
}

/// Where the container answers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Target {
    pub(super) ipv4: Option<Ipv4Addr>,
    pub(super) ipv6: Option<Ipv6Addr>,
}

/// Why one candidate could not be had.
#[derive(Debug)]
enum Refusal {
    Allocated(SocketAddr),
    Bind(SocketAddr, io::Error),
}

impl Target {
    /// The container's address for clients of `host`'s family, else of the other family.
    fn for_host(self, host: IpAddr) -> Option<IpAddr> {
        let (ipv4, ipv6) = (self.ipv4.map(IpAddr::V4), self.ipv6.map(IpAddr::V6));
        if host.is_ipv4() {
            ipv4.or(ipv6)
        } else {
            ipv6.or(ipv4)
        }
    }
}

impl Ports {
    /// Takes every port of `bindings`, or none. `endpoint` is for messages.
    pub(super) async fn publish(
        &self,
        endpoint: &str,
        bindings: &[PortBinding],
        target: Target,
    ) -> Result<Vec<HeldPort>, NetworkError> {
        let mut held = Vec::new();
        for binding in bindings {
            match self.publish_one(endpoint, binding, target) {
                Ok(ports) => held.extend(ports),
                Err(error) => {
                    close(&mut held).await;
                    return Err(error);
                }
            }
        }
        Ok(held)
    }

    /// Takes ports again that an endpoint had before the agent restarted. A port that another
    /// program has bound meanwhile stays published by the packet filter alone.
    pub(super) fn restore(&self, ports: &[PublishedPort], target: Target) -> Vec<HeldPort> {
        let mut held = Vec::new();
        for &published in ports {
            let host = SocketAddr::new(published.host_ip, published.host_port);
            let protocol = published.container.protocol;
            let Some(address) = target.for_host(host.ip()) else {
                continue;
            };
            if !self.with_table(|t| t.reserve(protocol, host)) {
                tracing::warn!(%host, %protocol, "two restored containers publish the same port");
                continue;
            }
            let entry = self.entry(protocol, host);
            let container = SocketAddr::new(address, published.container.port);
            let holder = Holder::bind(protocol, host, container)
                .inspect_err(|error| {
                    tracing::warn!(%host, %protocol, %error, "another program holds a published port");
                })
                .ok();
            held.push(HeldPort::new(published, container, holder, entry));
        }
        held
    }

    fn publish_one(
        &self,
        endpoint: &str,
        binding: &PortBinding,
        target: Target,
    ) -> Result<Vec<HeldPort>, NetworkError> {
        let candidates = self.candidates(binding);
        let mut refusal = None;
        for port in candidates {
            match self.try_port(binding, port, target) {
                Ok(held) => return Ok(held),
                Err(error) => refusal = Some(error),
            }
        }
        let endpoint = endpoint.to_owned();
        Err(match refusal {
            Some(Refusal::Allocated(host)) => NetworkError::PortAllocated {
                endpoint,
                host: host.to_string(),
            },
            Some(Refusal::Bind(host, reason)) => NetworkError::PortBind {
                endpoint,
                host: host.to_string(),
                protocol: binding.container.protocol,
                reason,
            },
            None => NetworkError::Invalid("invalid port range: its end is before its start".into()),
        })
    }

    /// The host ports that would do, in the order they are tried.
    fn candidates(&self, binding: &PortBinding) -> Vec<u16> {
        match binding.host_ports {
            (0, _) => {
                let range = sysctl::read(&["ipv4", "ip_local_port_range"]);
                let range = table::ephemeral_range(range.as_deref());
                self.with_table(|t| t.ephemeral(range))
            }
            (first, last) => (first..=last).collect(),
        }
    }

    /// Takes one port number on every address that the binding means.
    fn try_port(
        &self,
        binding: &PortBinding,
        port: u16,
        target: Target,
    ) -> Result<Vec<HeldPort>, Refusal> {
        let protocol = binding.container.protocol;
        let mut held = Vec::new();
        for ip in host_addresses(binding.host_ip) {
            let Some(address) = target.for_host(ip) else {
                continue;
            };
            let host = SocketAddr::new(ip, port);
            if !self.with_table(|t| t.reserve(protocol, host)) {
                return Err(Refusal::Allocated(host));
            }
            let entry = self.entry(protocol, host);
            let container = SocketAddr::new(address, binding.container.port);
            let holder = match Holder::bind(protocol, host, container) {
                Ok(holder) => Some(holder),
                Err(error) if binding.host_ip.is_none() && lacks_family(&error) => continue,
                Err(error) => return Err(Refusal::Bind(host, error)),
            };
            let published = PublishedPort {
                container: binding.container,
                host_ip: ip,
                host_port: port,
            };
            held.push(HeldPort::new(published, container, holder, entry));
        }
        Ok(held)
    }

    fn entry(&self, protocol: PortProtocol, host: SocketAddr) -> Entry {
        Entry {
            ports: self.clone(),
            protocol,
            host,
        }
    }

    fn with_table<T>(&self, work: impl FnOnce(&mut PortTable) -> T) -> T {
        // The table is consistent between any two of its methods, so a panic elsewhere while it
        // was locked has left nothing half done.
        work(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl HeldPort {
    fn new(
        published: PublishedPort,
        container: SocketAddr,
        holder: Option<Holder>,
        entry: Entry,
    ) -> Self {
        let same_family = entry.host.is_ipv4() == container.is_ipv4();
        Self {
            published,
            mapping: same_family.then_some(Mapping {
                protocol: entry.protocol,
                host: entry.host,
                container,
            }),
            holder,
            _entry: entry,
        }
    }
}

/// Lets this host's programs have the ports, now. Other containers get them when `held` is
/// dropped, which must not be before the packet filter has forgotten them.
pub(super) async fn close(held: &mut [HeldPort]) {
    for port in held {
        if let Some(holder) = port.holder.take() {
            holder.close().await;
        }
    }
}

/// No address means every address, IPv4 and IPv6.
fn host_addresses(host_ip: Option<IpAddr>) -> Vec<IpAddr> {
    host_ip.map_or_else(
        || vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        |ip| vec![ip],
    )
}

/// Whether this host does not speak the address family at all.
fn lacks_family(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
    )
}
