//! Attaching a container to a network, and taking it off again.

use std::net::IpAddr;

use super::super::driver::{BridgeOptions, Joining};
use super::super::firewall::Mapping;
use super::super::ipam::{Addresses, Requested};
use super::super::ports::{self, HeldPort};
use super::super::{
    DriverName, Endpoint, EndpointRequest, MacAddress, Netns, NetworkError, NetworkSpec,
};
use super::open::target;
use super::{Joined, Networks, driver_of};
use crate::spec::{EndpointId, NetworkId, PortBinding};

impl Networks {
    /// Gives the container its link, addresses, routes, published ports and names.
    ///
    /// On failure everything done so far is undone. Loopback is init's. Run it to its end:
    /// dropping the future half-way leaves a link and an address taken until the agent starts
    /// again.
    pub async fn attach(
        &self,
        network: &NetworkId,
        request: EndpointRequest,
    ) -> Result<Endpoint, NetworkError> {
        let network = self.get(network)?;
        // A container that is restarted gets its old address; and the kernel, which makes and
        // removes links under one lock, would make us wait anyhow.
        self.settle().await;
        let mut endpoint = self.plan_endpoint(&network, &request)?;
        let label = &request.container_name;
        let published = self.hold_ports(&network, label, &request.ports, &endpoint);
        let attached = match published.await {
            Ok(held) => self.join(&network, &request, &mut endpoint, held).await,
            Err(error) => Err(error),
        };
        if let Err(error) = attached {
            self.state().ipam.release(&endpoint);
            return Err(error);
        }
        Ok(endpoint)
    }

    /// Takes an ended container off: its sockets and names go at once, rules, link and address a
    /// moment later, beside whatever the caller does next. The kernel waits for every CPU when it
    /// removes a veth pair or a rule, and that is nearly all of what detaching costs.
    /// [`settle`](Self::settle) waits for it, and so does the next [`attach`](Self::attach).
    ///
    /// What is already gone (the namespace died with its container) is no failure; real ones go
    /// to the log, since by then the container's end has been told.
    pub async fn detach_ended(&self, endpoint: &Endpoint) {
        let joined = self.part(endpoint).await;
        let held = joined.map(|joined| joined.held).unwrap_or_default();
        let this = self.clone();
        let endpoint = endpoint.clone();
        self.inner.removals.send_modify(|pending| *pending += 1);
        tokio::spawn(async move {
            if let Err(error) = this.remove_traces(&endpoint, held, None).await {
                tracing::warn!(container.id = %endpoint.container, %error, "detaching");
            }
            this.inner.removals.send_modify(|pending| *pending -= 1);
        });
    }

    /// Takes a running container off; everything is gone when this returns.
    ///
    /// Goes on past failures and reports every one.
    pub async fn detach(&self, endpoint: &Endpoint) -> Result<(), NetworkError> {
        let (held, netns) = match self.part(endpoint).await {
            Some(joined) => (joined.held, Some(joined.netns)),
            None => (Vec::new(), None),
        };
        self.remove_traces(endpoint, held, netns.as_ref()).await
    }

    /// Waits until the links of detached containers are gone.
    pub async fn settle(&self) {
        let mut pending = self.inner.removals.subscribe();
        // The sender lives as long as `self`.
        drop(pending.wait_for(|pending| *pending == 0).await);
    }

    /// Forgets the endpoint and gives its ports back to this host's programs.
    async fn part(&self, endpoint: &Endpoint) -> Option<Joined> {
        // From here on a rewrite of the rules leaves its ports out.
        let mut joined = {
            let mut state = self.state();
            let joined = state.joined.remove(&endpoint.id)?;
            if !state.sees_names(&endpoint.container) {
                state.name_servers.remove(&endpoint.container);
            }
            joined
        };
        ports::close(&mut joined.held).await;
        Some(joined)
    }

    /// Removes rules and link; only then may another container get the ports and the address.
    async fn remove_traces(
        &self,
        endpoint: &Endpoint,
        held: Vec<HeldPort>,
        netns: Option<&Netns>,
    ) -> Result<(), NetworkError> {
        let unlink = async {
            match self.get(&endpoint.network) {
                Ok(network) => {
                    let driver = driver_of(&network);
                    driver.detach(self.site(&network), endpoint, netns).await
                }
                // The network went first, and all its links with it.
                Err(_) => Ok(()),
            }
        };
        let mappings = mappings(&held);
        let (withdrawn, unlinked) = tokio::join!(self.withdraw(&mappings), unlink);
        drop(held);
        self.state().ipam.release(endpoint);
        NetworkError::all([withdrawn, unlinked].into_iter().filter_map(Result::err))
    }

    /// Chooses the endpoint's addresses and names; nothing but the list of addresses changes.
    fn plan_endpoint(
        &self,
        network: &NetworkSpec,
        request: &EndpointRequest,
    ) -> Result<Endpoint, NetworkError> {
        let id = EndpointId::random();
        let has_links = !matches!(network.driver, DriverName::Host | DriverName::Null);
        let addresses = if has_links {
            let requested = Requested {
                ipv4: request.ipv4_address,
                ipv6: request.ipv6_address,
            };
            self.state().ipam.reserve(network, requested)?
        } else {
            Addresses::default()
        };
        let first = addresses
            .ipv4
            .map(|a| IpAddr::V4(a.address))
            .or(addresses.ipv6.map(|a| IpAddr::V6(a.address)));
        Ok(Endpoint {
            network: network.id.clone(),
            container: request.container.clone(),
            interface: if has_links {
                request.interface.clone()
            } else {
                String::new()
            },
            host_interface: (network.driver == DriverName::Bridge)
                .then(|| format!("veth{}", &id.as_str()[..11])),
            mac_address: request
                .mac_address
                .or_else(|| first.map(MacAddress::of_address)),
            ipv4: addresses.ipv4,
            ipv6: addresses.ipv6,
            link_local_ips: request.link_local_ips.clone(),
            default_route: request.default_route,
            ports: Vec::new(),
            names: request.names.clone(),
            resolvers: request.resolvers.clone(),
            id,
        })
    }

    /// Takes the ports. Only bridges that lead somewhere publish any.
    pub(super) async fn hold_ports(
        &self,
        network: &NetworkSpec,
        container_name: &str,
        ports: &[PortBinding],
        endpoint: &Endpoint,
    ) -> Result<Vec<HeldPort>, NetworkError> {
        if network.driver != DriverName::Bridge || network.internal {
            return Ok(Vec::new());
        }
        let host_binding = BridgeOptions::of(&network.options)?.host_binding;
        let bindings: Vec<PortBinding> = ports
            .iter()
            .cloned()
            .map(|mut binding| {
                binding.host_ip = binding.host_ip.or(host_binding);
                binding
            })
            .collect();
        let label = format!("{container_name} ({})", endpoint.id);
        self.inner
            .ports
            .publish(&label, &bindings, target(endpoint))
            .await
    }

    /// Makes the link and then lets traffic in; undoes both on failure.
    async fn join(
        &self,
        network: &NetworkSpec,
        request: &EndpointRequest,
        endpoint: &mut Endpoint,
        mut held: Vec<HeldPort>,
    ) -> Result<(), NetworkError> {
        endpoint.ports = held.iter().map(|port| port.published).collect();
        let site = self.site(network);
        let joining = Joining {
            endpoint,
            netns: &request.netns,
            switches: &request.switches,
            default_route: request.default_route,
        };
        let driver = driver_of(network);
        if let Err(error) = driver.attach(site, joining).await {
            undo(driver.detach(site, endpoint, Some(&request.netns)).await);
            ports::close(&mut held).await;
            return Err(error);
        }
        let mappings = mappings(&held);
        let joined = Joined {
            endpoint: endpoint.clone(),
            netns: request.netns.clone(),
            held,
        };
        self.state().joined.insert(endpoint.id.clone(), joined);
        let served = async {
            self.publish(&mappings).await?;
            self.serve_names(endpoint, &request.netns).await
        };
        if let Err(error) = served.await {
            undo(self.detach(endpoint).await);
            return Err(error);
        }
        Ok(())
    }
}

pub(super) fn mappings(held: &[HeldPort]) -> Vec<Mapping> {
    held.iter().filter_map(|port| port.mapping).collect()
}

/// A failure while undoing is worth a line; the caller hears of the first failure.
pub(super) fn undo(done: Result<(), NetworkError>) {
    if let Err(error) = done {
        tracing::warn!(%error, "undoing an attachment");
    }
}
