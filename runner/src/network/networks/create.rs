//! Making and removing networks: everything is checked before anything is touched, and a
//! failure half-way takes back what was done.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use super::super::driver::bridge_name;
use super::super::{
    DriverName, NetworkError, NetworkRequest, NetworkSpec, Subnet, files, ipam, settings,
};
use super::{Networks, driver_of};
use crate::spec::NetworkId;

impl Networks {
    /// Makes a network that nothing is to know of after a restart.
    pub async fn create(&self, request: NetworkRequest) -> Result<NetworkSpec, NetworkError> {
        let network = self.reserve(request).await?;
        self.set_up(&network).await?;
        Ok(network)
    }

    /// Keeps name and addresses for a network. The caller records it, and then has it set up: a
    /// record without a bridge makes it at the next start, a bridge without a record would stay
    /// for ever.
    pub async fn reserve(&self, request: NetworkRequest) -> Result<NetworkSpec, NetworkError> {
        let _changing = self.inner.changing.lock().await;
        let network = self.plan(request).await?;
        driver_of(&network).validate(&network)?;
        self.check_bridge_name(&network)?;
        self.remember(network.clone());
        Ok(network)
    }

    /// Makes what a reserved network needs; forgets it when that fails.
    pub async fn set_up(&self, network: &NetworkSpec) -> Result<(), NetworkError> {
        let _changing = self.inner.changing.lock().await;
        // Somebody may have removed it meanwhile.
        let network = self.get(&network.id)?;
        let made = async {
            driver_of(&network).setup(self.site(&network)).await?;
            self.enable_forwarding(&network).await?;
            self.admit(&network).await;
            match network.driver {
                DriverName::Bridge => self.apply_rules().await,
                DriverName::Host | DriverName::Null | DriverName::Macvlan | DriverName::Ipvlan => {
                    Ok(())
                }
            }
        };
        if let Err(error) = made.await {
            if let Err(also) = self.take_down(&network).await {
                tracing::warn!(network = network.name, error = %also, "undoing a network");
            }
            return Err(error);
        }
        tracing::info!(network = network.name, driver = %network.driver, "network created");
        Ok(())
    }

    /// Removes a network nobody is attached to.
    pub async fn remove(&self, id: &NetworkId) -> Result<(), NetworkError> {
        let _changing = self.inner.changing.lock().await;
        let network = self.get(id)?;
        if network.is_predefined() {
            return Err(NetworkError::Predefined(network.name));
        }
        if !self.endpoints(id).is_empty() {
            return Err(NetworkError::InUse {
                network: network.name,
            });
        }
        self.settle().await;
        self.take_down(&network).await?;
        tracing::info!(network = network.name, "network removed");
        Ok(())
    }

    /// Forgets the network and takes its links and rules away; goes on past failures.
    async fn take_down(&self, network: &NetworkSpec) -> Result<(), NetworkError> {
        {
            let mut state = self.state();
            state.networks.remove(&network.id);
            state.ipam.remove_network(&network.id);
        }
        let mut failures = Vec::new();
        if network.driver == DriverName::Bridge {
            failures.extend(self.apply_rules().await.err());
        }
        self.dismiss(network).await;
        let torn = driver_of(network).teardown(self.site(network)).await;
        failures.extend(torn.err());
        NetworkError::all(failures)
    }

    /// The network that the request means, with every address chosen.
    async fn plan(&self, request: NetworkRequest) -> Result<NetworkSpec, NetworkError> {
        check_name(&request.name)?;
        if self.list().iter().any(|other| other.name == request.name) {
            return Err(NetworkError::NameInUse(request.name));
        }
        let mut network = NetworkSpec {
            id: NetworkId::random(),
            name: request.name,
            driver: request.driver,
            created_at: Timestamp::now(),
            enable_ipv4: request.enable_ipv4,
            enable_ipv6: request.enable_ipv6,
            subnets: request.subnets,
            internal: request.internal,
            attachable: request.attachable,
            options: request.options,
            labels: request.labels,
        };
        if !matches!(network.driver, DriverName::Host | DriverName::Null) {
            self.choose_subnets(&mut network).await?;
        }
        Ok(network)
    }

    /// Checks the subnets asked for and adds those that are missing.
    async fn choose_subnets(&self, network: &mut NetworkSpec) -> Result<(), NetworkError> {
        let mut taken = self.network_ranges();
        for subnet in &mut network.subnets {
            complete(subnet)?;
            if ipam::overlaps_any(&subnet.subnet, &taken) {
                return Err(NetworkError::PoolOverlaps);
            }
            taken.push(subnet.subnet);
        }
        let has = |network: &NetworkSpec, ipv6: bool| {
            let mut subnets = network.subnets.iter();
            subnets.any(|s| s.subnet.addr().is_ipv6() == ipv6)
        };
        if has(network, true) && !network.enable_ipv6 {
            return Err(NetworkError::Invalid(
                "an IPv6 subnet needs IPv6 to be enabled for the network".to_owned(),
            ));
        }
        let (ipv4, ipv6) = (
            network.enable_ipv4 && !has(network, false),
            network.enable_ipv6 && !has(network, true),
        );
        if !ipv4 && !ipv6 {
            return Ok(());
        }
        let pools = &self.inner.settings.address_pools;
        taken.extend(self.taken_ranges().await?);
        if ipv4 {
            let found = ipam::choose_ipv4(pools, &taken).ok_or(NetworkError::PoolsExhausted)?;
            network.subnets.insert(0, whole(found));
        }
        if ipv6 {
            let seed = seed_of(&self.inner.settings.instance);
            let found =
                ipam::choose_ipv6(pools, &taken, seed).ok_or(NetworkError::PoolsExhausted)?;
            network.subnets.push(whole(found));
        }
        network.subnets.iter_mut().try_for_each(complete)
    }

    /// Ranges of the networks there are.
    fn network_ranges(&self) -> Vec<IpNet> {
        let state = self.state();
        let subnets = state.networks.values().flat_map(|n| &n.subnets);
        subnets.map(|s| s.subnet.trunc()).collect()
    }

    /// Ranges a network without a wish of its own must not get: those of other networks, those
    /// this host has routes for, and its nameservers.
    pub(super) async fn taken_ranges(&self) -> Result<Vec<IpNet>, NetworkError> {
        let mut taken = self.network_ranges();
        taken.extend(self.inner.links.routed().await?);
        let resolv_conf = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        taken.extend(files::host_nameservers(&resolv_conf).map(IpNet::from));
        Ok(taken)
    }

    fn check_bridge_name(&self, network: &NetworkSpec) -> Result<(), NetworkError> {
        if network.driver != DriverName::Bridge {
            return Ok(());
        }
        let own = &self.inner.settings;
        let name = bridge_name(own, network);
        let other = self
            .list()
            .into_iter()
            .find(|other| other.driver == DriverName::Bridge && bridge_name(own, other) == name);
        match other {
            None => Ok(()),
            Some(other) => Err(NetworkError::Invalid(format!(
                "bridge name {name} is already in use by network {}",
                other.name
            ))),
        }
    }
}

/// Docker's rule for names of networks.
fn check_name(name: &str) -> Result<(), NetworkError> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let bytes = name.as_bytes();
    if bytes.first().is_some_and(u8::is_ascii_alphanumeric) && bytes.iter().all(|&b| inner(b)) {
        return Ok(());
    }
    Err(NetworkError::Invalid(format!(
        "invalid network name {name:?}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )))
}

fn whole(subnet: IpNet) -> Subnet {
    Subnet {
        subnet,
        gateway: None,
        ip_range: None,
        auxiliary: std::collections::BTreeMap::new(),
    }
}

/// Checks one subnet and fills in its gateway.
fn complete(subnet: &mut Subnet) -> Result<(), NetworkError> {
    let net = subnet.subnet.trunc();
    let inside = |address: IpAddr, what: &str| {
        if net.contains(&address) {
            return Ok(());
        }
        Err(NetworkError::Invalid(format!(
            "invalid {what} {address}: no matching subnet ({net} given)"
        )))
    };
    if let Some(range) = subnet.ip_range {
        inside(range.network(), "ip-range")?;
        inside(range.broadcast(), "ip-range")?;
    }
    for &address in subnet.auxiliary.values() {
        inside(address, "auxiliary address")?;
    }
    subnet.subnet = net;
    if let Some(gateway) = subnet.gateway {
        return inside(gateway, "gateway");
    }
    let auxiliary: Vec<IpAddr> = subnet.auxiliary.values().copied().collect();
    // The first address of an IPv6 range is the anycast address of its routers.
    let skip = usize::from(net.addr().is_ipv6() && net.prefix_len() < 127);
    subnet.gateway = net.hosts().skip(skip).find(|ip| !auxiliary.contains(ip));
    Ok(())
}

/// Stable for this machine and agent, and different from other hosts'.
fn seed_of(instance: &str) -> u64 {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    settings::fnv1a(machine.bytes().chain(instance.bytes()))
}
