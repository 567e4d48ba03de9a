//! Keeps the packet filter equal to the state.

use std::io;
use std::net::SocketAddr;

use super::super::driver::{BridgeOptions, bridge_name};
use super::super::firewall::{BridgeRules, Firewall, ForeignForward, Mapping, Ruleset};
use super::super::{DriverName, NetworkError, NetworkSettings, NetworkSpec, conntrack, sysctl};
use super::Networks;
use crate::spec::PortProtocol;

/// What is known about this host's packet filter.
#[derive(Debug)]
pub(super) struct Rules {
    firewall: Firewall,
    foreign: ForeignForward,
    /// We turned forwarding on, so we keep this host from becoming everybody's router.
    guard_forwarding: bool,
    /// Whether the table could be written last time; without it the relay serves.
    works: bool,
}

impl Rules {
    pub(super) fn new(firewall: Firewall) -> Self {
        Self {
            firewall,
            foreign: ForeignForward::default(),
            guard_forwarding: false,
            works: false,
        }
    }
}

impl Networks {
    /// Looks at what the host's packet filter holds already. Once, at the start.
    pub(super) async fn survey_rules(&self) {
        let mut rules = self.inner.rules.lock().await;
        rules.foreign = ForeignForward::detect().await;
        rules.guard_forwarding |= rules.firewall.guards_forwarding().await;
        for chain in rules.foreign.unchangeable() {
            tracing::warn!(
                chain,
                "this chain drops forwarded packets by default; containers will not reach other \
                 hosts unless it accepts the bridges of this agent"
            );
        }
    }

    /// Turns forwarding on for the families that `network` needs.
    pub(super) async fn enable_forwarding(
        &self,
        network: &NetworkSpec,
    ) -> Result<(), NetworkError> {
        if network.driver != DriverName::Bridge || network.internal {
            return Ok(());
        }
        let mut changed = sysctl::write(&["ipv4", "ip_forward"], "1")?;
        if network.enable_ipv6 {
            keep_router_advertisements()?;
            changed |= sysctl::write(&["ipv6", "conf", "all", "forwarding"], "1")?;
        }
        if changed {
            self.inner.rules.lock().await.guard_forwarding = true;
        }
        Ok(())
    }

    /// Lets a network's bridge through other firewalls.
    pub(super) async fn admit(&self, network: &NetworkSpec) {
        if network.driver == DriverName::Bridge {
            let rules = self.inner.rules.lock().await;
            let bridge = bridge_name(&self.inner.settings, network);
            rules.foreign.admit(&bridge).await;
        }
    }

    /// Takes back what [`admit`](Self::admit) did.
    pub(super) async fn dismiss(&self, network: &NetworkSpec) {
        if network.driver == DriverName::Bridge {
            let rules = self.inner.rules.lock().await;
            let bridge = bridge_name(&self.inner.settings, network);
            rules.foreign.dismiss(&bridge).await;
        }
    }

    /// Replaces our whole table by what the state says.
    pub(super) async fn apply_rules(&self) -> Result<(), NetworkError> {
        let mut rules = self.inner.rules.lock().await;
        self.apply_locked(&mut rules).await
    }

    async fn apply_locked(&self, rules: &mut Rules) -> Result<(), NetworkError> {
        let ruleset = self.ruleset(rules.guard_forwarding)?;
        let applied = rules.firewall.apply(&ruleset).await;
        rules.works = applied.is_ok();
        applied
    }

    /// Whether our table is gone although it could be written.
    pub(super) async fn has_lost_rules(&self) -> bool {
        // A rewrite in progress deletes the table as well; it is over when the lock is ours.
        let rules = self.inner.rules.lock().await;
        rules.works && !rules.firewall.is_present().await
    }

    /// Lets the packet filter translate ports that the state holds already.
    ///
    /// On a host without a working packet filter the relay serves alone, with a warning.
    pub(super) async fn publish(&self, mappings: &[Mapping]) -> Result<(), NetworkError> {
        if mappings.is_empty() {
            return Ok(());
        }
        let mut rules = self.inner.rules.lock().await;
        let worked = rules.works;
        if !worked || rules.firewall.publish(mappings).await.is_err() {
            // The table is gone or never was: write all of it.
            match self.apply_locked(&mut rules).await {
                Err(error) if worked => return Err(error),
                Err(error) => tracing::warn!(%error, "published ports are relayed by the agent"),
                Ok(()) => {}
            }
        }
        drop(rules);
        self.forget_flows(mappings).await;
        Ok(())
    }

    /// Stops translating ports that the state no longer holds.
    pub(super) async fn withdraw(&self, mappings: &[Mapping]) -> Result<(), NetworkError> {
        if mappings.is_empty() {
            return Ok(());
        }
        let mut rules = self.inner.rules.lock().await;
        let withdrawn = if !rules.works || rules.firewall.withdraw(mappings).await.is_ok() {
            Ok(())
        } else {
            self.apply_locked(&mut rules).await
        };
        drop(rules);
        self.forget_flows(mappings).await;
        withdrawn
    }

    /// Makes the kernel decide anew about UDP flows to ports that have just changed hands.
    async fn forget_flows(&self, mappings: &[Mapping]) {
        let ports: Vec<SocketAddr> = mappings
            .iter()
            .filter(|mapping| mapping.protocol == PortProtocol::Udp)
            .map(|mapping| mapping.host)
            .collect();
        if ports.is_empty() {
            return;
        }
        let forgotten = async {
            let local = self.inner.links.local_addresses().await?;
            let is_stale = move |to: SocketAddr| {
                let names = |host: &SocketAddr| {
                    host.port() == to.port() && (host.ip().is_unspecified() || host.ip() == to.ip())
                };
                local.contains(&to.ip()) && ports.iter().any(names)
            };
            tokio::task::spawn_blocking(move || conntrack::forget_udp(is_stale))
                .await
                .map_err(io::Error::other)
                .flatten()
                .map_err(|reason| NetworkError::Kernel {
                    step: "forgetting UDP flows".to_owned(),
                    reason,
                })
        };
        if let Err(error) = forgotten.await {
            tracing::debug!(%error, "clients of a published UDP port may have to start again");
        }
    }

    fn ruleset(&self, guard_forwarding: bool) -> Result<Ruleset, NetworkError> {
        let state = self.state();
        let settings = &self.inner.settings;
        let bridges = state
            .networks
            .values()
            .filter(|network| network.driver == DriverName::Bridge)
            .map(|network| bridge_rules(settings, network))
            .collect::<Result<_, _>>()?;
        let held = state.joined.values().flat_map(|joined| &joined.held);
        Ok(Ruleset {
            table: settings.table(),
            bridges,
            mappings: held.filter_map(|port| port.mapping).collect(),
            guard_forwarding,
        })
    }
}

fn bridge_rules(
    settings: &NetworkSettings,
    network: &NetworkSpec,
) -> Result<BridgeRules, NetworkError> {
    let options = BridgeOptions::of(&network.options)?;
    Ok(BridgeRules {
        bridge: bridge_name(settings, network),
        subnets: network.subnets.iter().map(|s| s.subnet.trunc()).collect(),
        internal: network.internal,
        between_containers: options.between_containers,
        masquerade: options.masquerade,
    })
}

/// A router ignores router advertisements unless told otherwise, and with them this host would
/// lose its own default route: links that listen now go on listening (`accept_ra` 2).
fn keep_router_advertisements() -> Result<(), NetworkError> {
    let links =
        std::fs::read_dir("/proc/sys/net/ipv6/conf").map_err(|reason| NetworkError::Kernel {
            step: "listing IPv6 links".to_owned(),
            reason,
        })?;
    for link in links.flatten() {
        let name = link.file_name();
        let Some(name) = name.to_str() else { continue };
        let switch = ["ipv6", "conf", name, "accept_ra"];
        if sysctl::read(&switch).as_deref() == Some("1") {
            sysctl::write(&switch, "2")?;
        }
    }
    Ok(())
}
