//! The networks of one agent, and the only door to this folder.
//!
//! One verb per file: [`open`], `create` (and remove), `attach` (and detach), `gateway`;
//! `rules` and `names` keep the packet filter and the name servers equal to what the state says. The state is locked only
//! between two awaits, never across one.

mod attach;
mod create;
mod gateway;
mod names;
mod open;
mod rules;
mod watcher;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::dns::NameServer;
use super::driver::{Driver, Site, driver};
use super::firewall::Firewall;
use super::ipam::Ipam;
use super::link::Links;
use super::ports::{HeldPort, Ports};
use super::{Endpoint, Netns, NetworkError, NetworkSettings, NetworkSpec};
use crate::spec::{ContainerId, EndpointId, NetworkId};

/// An endpoint of a container that outlived the agent.
#[derive(Debug, Clone)]
pub struct RestoredEndpoint {
    pub endpoint: Endpoint,
    pub netns: Netns,
}

/// Every network of this agent. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Networks {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: NetworkSettings,
    links: Links,
    ports: Ports,
    state: Mutex<State>,
    /// Held while the packet filter is being changed.
    rules: tokio::sync::Mutex<rules::Rules>,
    /// Links of ended containers on their way out.
    removals: watch::Sender<usize>,
    /// Held while a network is made or removed, so that two never get the same addresses.
    changing: tokio::sync::Mutex<()>,
    /// The task that notices changes of the packet filter; ends with this value.
    watcher: OnceLock<AbortOnDropHandle<()>>,
}

/// What is known, in memory.
#[derive(Debug, Default)]
struct State {
    networks: BTreeMap<NetworkId, NetworkSpec>,
    ipam: Ipam,
    joined: BTreeMap<EndpointId, Joined>,
    /// Of every container that is on a network with names.
    name_servers: BTreeMap<ContainerId, NameServer>,
}

/// An attached container.
#[derive(Debug)]
struct Joined {
    endpoint: Endpoint,
    /// Keeps the namespace alive until the endpoint is detached.
    netns: Netns,
    held: Vec<HeldPort>,
}

impl Networks {
    fn new(settings: NetworkSettings, links: Links) -> Self {
        let firewall = Firewall::new(settings.table());
        Self {
            inner: Arc::new(Inner {
                settings,
                links,
                ports: Ports::default(),
                state: Mutex::default(),
                removals: watch::Sender::new(0),
                rules: tokio::sync::Mutex::new(rules::Rules::new(firewall)),
                changing: tokio::sync::Mutex::default(),
                watcher: OnceLock::new(),
            }),
        }
    }

    /// All networks, by name.
    pub fn list(&self) -> Vec<NetworkSpec> {
        let mut networks: Vec<_> = self.state().networks.values().cloned().collect();
        networks.sort_by(|a, b| a.name.cmp(&b.name));
        networks
    }

    /// The network with this id or name, or whose id alone begins so.
    pub fn find(&self, name_or_id: &str) -> Result<NetworkSpec, NetworkError> {
        let state = self.state();
        let networks = || state.networks.values();
        let exact = networks()
            .find(|network| network.id.as_str() == name_or_id)
            .or_else(|| networks().find(|network| network.name == name_or_id));
        if let Some(network) = exact {
            return Ok(network.clone());
        }
        let mut begun = networks().filter(|network| network.id.as_str().starts_with(name_or_id));
        match (begun.next(), begun.next()) {
            (Some(network), None) if !name_or_id.is_empty() => Ok(network.clone()),
            (Some(_), Some(_)) if !name_or_id.is_empty() => Err(NetworkError::Invalid(format!(
                "network {name_or_id} is ambiguous ({} matches found based on ID prefix)",
                begun.count() + 2
            ))),
            _ => Err(NetworkError::NotFound(name_or_id.to_owned())),
        }
    }

    /// The endpoints of a network, in the order of their ids.
    pub fn endpoints(&self, network: &NetworkId) -> Vec<Endpoint> {
        self.state()
            .joined
            .values()
            .map(|joined| &joined.endpoint)
            .filter(|endpoint| endpoint.network == *network)
            .cloned()
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change to the state is a single insert or remove: a panic while it was locked
        // left nothing half done.
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: &NetworkId) -> Result<NetworkSpec, NetworkError> {
        let state = self.state();
        let found = state.networks.get(id).cloned();
        found.ok_or_else(|| NetworkError::NotFound(id.to_string()))
    }

    fn site<'a>(&'a self, network: &'a NetworkSpec) -> Site<'a> {
        Site {
            links: &self.inner.links,
            settings: &self.inner.settings,
            network,
        }
    }
}

fn driver_of(network: &NetworkSpec) -> &'static dyn Driver {
    driver(network.driver)
}
