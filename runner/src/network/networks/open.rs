//! At the start of the agent, and whenever the host has changed under it: the kernel is brought
//! in line with the records.

use std::collections::{BTreeMap, HashMap, HashSet};

use ipnet::IpNet;
use jiff::Timestamp;
use rtnetlink::packet_route::link::InfoKind;

use super::super::driver::bridge_name;
use super::super::link::Links;
use super::super::ports::Target;
use super::super::{
    DriverName, Endpoint, Netns, NetworkError, NetworkSettings, NetworkSpec, Subnet, ipam,
};
use super::{Joined, Networks, RestoredEndpoint, driver_of};
use crate::spec::NetworkId;

impl Networks {
    /// Brings the kernel in line with the records: bridges, rules, held ports, name servers.
    ///
    /// Makes the predefined networks that `networks` lacks; the caller records what [`list`]
    /// says afterwards. Links of endpoints not among `endpoints` are removed. One broken network
    /// is no reason to fail: such failures come back beside the value.
    ///
    /// [`list`]: Self::list
    pub async fn open(
        settings: NetworkSettings,
        networks: Vec<NetworkSpec>,
        endpoints: Vec<RestoredEndpoint>,
    ) -> Result<(Self, Vec<NetworkError>), NetworkError> {
        settings.check()?;
        let this = Self::new(settings, Links::here()?);
        let mut failures = Vec::new();
        for network in networks {
            this.remember(network);
        }
        if let Err(error) = this.add_predefined().await {
            failures.push(error);
        }
        this.restore_endpoints(endpoints);
        this.survey_rules().await;
        failures.extend(this.repair().await);
        failures.extend(this.restore_names().await);
        if let Err(error) = this.remove_stale_links().await {
            failures.push(error);
        }
        this.watch_rules();
        Ok((this, failures))
    }

    /// Puts back whatever someone else took away: bridges, addresses, switches, rules.
    pub async fn reconcile(&self) -> Result<(), NetworkError> {
        self.survey_rules().await;
        NetworkError::all(self.repair().await)
    }

    pub(super) fn remember(&self, network: NetworkSpec) {
        let mut state = self.state();
        state.ipam.add_network(&network);
        state.networks.insert(network.id.clone(), network);
    }

    /// Sets every network up again and writes the rules; reports each failure.
    async fn repair(&self) -> Vec<NetworkError> {
        let mut failures = Vec::new();
        for network in self.list() {
            let done = async {
                driver_of(&network).setup(self.site(&network)).await?;
                self.enable_forwarding(&network).await?;
                self.reconnect_ports(&network).await
            };
            failures.extend(done.await.err());
            self.admit(&network).await;
        }
        failures.extend(self.apply_rules().await.err());
        failures
    }

    /// Makes the near ends of a network's veth pairs ports of its bridge again, as they stop
    /// being when somebody deletes the bridge.
    async fn reconnect_ports(&self, network: &NetworkSpec) -> Result<(), NetworkError> {
        if network.driver != DriverName::Bridge {
            return Ok(());
        }
        let links = &self.inner.links;
        let bridge = links
            .index(&bridge_name(&self.inner.settings, network))
            .await?;
        for endpoint in self.endpoints(&network.id) {
            let Some(name) = &endpoint.host_interface else {
                continue;
            };
            if let Some(link) = links.find(name).await?
                && link.controller != Some(bridge)
            {
                links.set_bridge(link.index, bridge).await?;
            }
        }
        Ok(())
    }

    fn restore_endpoints(&self, endpoints: Vec<RestoredEndpoint>) {
        for RestoredEndpoint { endpoint, netns } in endpoints {
            let held = self.inner.ports.restore(&endpoint.ports, target(&endpoint));
            let mut state = self.state();
            state.ipam.restore(&endpoint);
            let joined = Joined {
                endpoint,
                netns,
                held,
            };
            state.joined.insert(joined.endpoint.id.clone(), joined);
        }
    }

    async fn restore_names(&self) -> Vec<NetworkError> {
        let joined: Vec<(Endpoint, Netns)> = {
            let state = self.state();
            let joined = state.joined.values();
            joined
                .map(|joined| (joined.endpoint.clone(), joined.netns.clone()))
                .collect()
        };
        let mut failures = Vec::new();
        for (endpoint, netns) in joined {
            failures.extend(self.serve_names(&endpoint, &netns).await.err());
        }
        failures
    }

    /// Removes veth links on our bridges that belong to nobody: what a crash between making a
    /// link and recording its endpoint leaves behind.
    async fn remove_stale_links(&self) -> Result<(), NetworkError> {
        let settings = &self.inner.settings;
        let (bridges, known): (HashSet<String>, HashSet<String>) = {
            let state = self.state();
            let bridges = state.networks.values();
            let joined = state.joined.values();
            (
                bridges
                    .filter(|network| network.driver == DriverName::Bridge)
                    .map(|network| bridge_name(settings, network))
                    .collect(),
                joined
                    .filter_map(|joined| joined.endpoint.host_interface.clone())
                    .collect(),
            )
        };
        let links = self.inner.links.list().await?;
        let ours: HashMap<u32, &str> = links
            .iter()
            .filter(|link| bridges.contains(&link.name))
            .map(|link| (link.index, link.name.as_str()))
            .collect();
        for link in &links {
            let on_ours = link.controller.is_some_and(|c| ours.contains_key(&c));
            if on_ours && link.kind == Some(InfoKind::Veth) && !known.contains(&link.name) {
                tracing::info!(link = link.name, "removing a link that no container has");
                self.inner.links.delete(&link.name).await?;
            }
        }
        Ok(())
    }

    /// `bridge`, `host` and `none`.
    async fn add_predefined(&self) -> Result<(), NetworkError> {
        for (name, driver) in [("host", DriverName::Host), ("none", DriverName::Null)] {
            if self.find(name).is_err() {
                self.remember(predefined(name, driver, Vec::new()));
            }
        }
        let existing = self.find("bridge").ok();
        let subnet = match (self.inner.settings.bridge_address, &existing) {
            (Some(address), Some(existing)) if gives(existing, IpNet::V4(address)) => return Ok(()),
            (None, Some(_)) => return Ok(()),
            (Some(address), _) => Subnet {
                subnet: IpNet::V4(address.trunc()),
                gateway: Some(address.addr().into()),
                ip_range: None,
                auxiliary: BTreeMap::new(),
            },
            (None, None) => {
                let taken = self.taken_ranges().await?;
                let subnet = ipam::choose_ipv4(&self.inner.settings.address_pools, &taken)
                    .ok_or(NetworkError::PoolsExhausted)?;
                Subnet {
                    subnet,
                    gateway: subnet.hosts().next(),
                    ip_range: None,
                    auxiliary: BTreeMap::new(),
                }
            }
        };
        let mut network = predefined("bridge", DriverName::Bridge, vec![subnet]);
        if let Some(mtu) = self.inner.settings.mtu {
            network
                .options
                .insert("com.docker.network.driver.mtu".to_owned(), mtu.to_string());
        }
        if let Some(existing) = existing {
            // `--bip` has changed since the last run: same network, other addresses. The bridge
            // is made anew, or it would keep the old ones as well.
            driver_of(&existing).teardown(self.site(&existing)).await?;
            network.id = existing.id;
        }
        self.remember(network);
        Ok(())
    }
}

/// Whether the network's gateway and subnet are what `address` says.
fn gives(network: &NetworkSpec, address: IpNet) -> bool {
    network
        .subnets
        .iter()
        .any(|s| s.gateway == Some(address.addr()) && s.subnet == address.trunc())
}

fn predefined(name: &str, driver: DriverName, subnets: Vec<Subnet>) -> NetworkSpec {
    NetworkSpec {
        id: NetworkId::random(),
        name: name.to_owned(),
        driver,
        created_at: Timestamp::now(),
        enable_ipv4: true,
        enable_ipv6: false,
        subnets,
        internal: false,
        attachable: false,
        options: BTreeMap::new(),
        labels: BTreeMap::new(),
    }
}

/// Where an endpoint answers.
pub(super) fn target(endpoint: &Endpoint) -> Target {
    Target {
        ipv4: endpoint.ipv4.map(|a| a.address),
        ipv6: endpoint.ipv6.map(|a| a.address),
    }
}
