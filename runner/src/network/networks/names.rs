//! Who sees whose names: the link between the state and the containers' name servers.

use std::sync::Arc;

use super::super::dns::{NameServer, View, Zone, ZoneEntry};
use super::super::{Endpoint, Netns, NetworkError, files};
use super::{Networks, State};
use crate::spec::ContainerId;

impl Networks {
    /// Starts a container's name server when its first network with names needs one.
    pub(super) async fn serve_names(
        &self,
        endpoint: &Endpoint,
        netns: &Netns,
    ) -> Result<(), NetworkError> {
        let container = &endpoint.container;
        let wanted = {
            let state = self.state();
            state.sees_names(container) && !state.name_servers.contains_key(container)
        };
        if !wanted {
            return Ok(());
        }
        let resolvers = if endpoint.resolvers.is_empty() {
            let host = files::host_resolv_conf();
            let conf = files::ResolvConf {
                host: &host,
                ..files::ResolvConf::default()
            };
            conf.upstream()
        } else {
            endpoint.resolvers.clone()
        };
        let table = format!("{}-dns", self.inner.settings.table());
        let server =
            NameServer::start(netns, &table, resolvers, self.view_of(container.clone())).await?;
        let mut state = self.state();
        state.name_servers.insert(container.clone(), server);
        Ok(())
    }

    /// Does not keep the networks alive: it ends with them.
    fn view_of(&self, container: ContainerId) -> View {
        let inner = Arc::downgrade(&self.inner);
        Arc::new(move || {
            let networks = Self {
                inner: inner.upgrade()?,
            };
            let zone = networks.state().zone_of(&container);
            Some(zone)
        })
    }
}

impl State {
    /// Whether the container is on a network with names.
    pub(super) fn sees_names(&self, container: &ContainerId) -> bool {
        self.endpoints_of(container)
            .filter_map(|endpoint| self.networks.get(&endpoint.network))
            .any(super::super::NetworkSpec::has_names)
    }

    fn endpoints_of(&self, container: &ContainerId) -> impl Iterator<Item = &Endpoint> {
        self.joined
            .values()
            .map(|joined| &joined.endpoint)
            .filter(move |endpoint| endpoint.container == *container)
    }

    fn zone_of(&self, container: &ContainerId) -> Zone {
        let mut zone = Zone::default();
        for own in self.endpoints_of(container) {
            let Some(network) = self.networks.get(&own.network) else {
                continue;
            };
            zone.may_forward |= !network.internal;
            if !network.has_names() {
                continue;
            }
            let neighbours = self
                .joined
                .values()
                .map(|joined| &joined.endpoint)
                .filter(|other| other.network == network.id);
            zone.entries.extend(neighbours.map(|other| ZoneEntry {
                network: network.name.clone(),
                names: other.names.clone(),
                addresses: other.addresses(),
            }));
        }
        zone
    }
}
