//! Through which of its networks a running container's way to elsewhere goes, and its published
//! ports with it.

use super::super::link::Links;
use super::super::{Endpoint, Netns, NetworkError, ports};
use super::attach::{mappings, undo};
use super::{Networks, driver_of};
use crate::spec::{EndpointId, PortBinding};

impl Networks {
    /// Sends the container's traffic to elsewhere through this endpoint from now on, and
    /// publishes `ports` there unless it has ports already. Returns what it has become.
    ///
    /// On failure the endpoint publishes nothing that it did not before.
    pub async fn make_gateway(
        &self,
        id: &EndpointId,
        container_name: &str,
        ports: &[PortBinding],
    ) -> Result<Endpoint, NetworkError> {
        let (endpoint, netns, has_ports) = self.joined(id)?;
        let network = self.get(&endpoint.network)?;
        let mut held = if has_ports {
            Vec::new()
        } else {
            self.hold_ports(&network, container_name, ports, &endpoint)
                .await?
        };
        let routed = async {
            let inside = Links::inside(&netns, || Ok(())).await?;
            let driver = driver_of(&network);
            driver.route(self.site(&network), &inside, &endpoint).await
        };
        if let Err(error) = routed.await {
            ports::close(&mut held).await;
            return Err(error);
        }
        let mappings = mappings(&held);
        let endpoint = self.change(id, |joined| {
            joined.endpoint.default_route = true;
            let published = held.iter().map(|port| port.published);
            joined.endpoint.ports.extend(published);
            joined.held.extend(held);
        })?;
        if let Err(error) = self.publish(&mappings).await {
            undo(self.resign_gateway(id).await.map(drop));
            return Err(error);
        }
        Ok(endpoint)
    }

    /// Stops publishing at this endpoint; its default route goes when another takes its place.
    pub async fn resign_gateway(&self, id: &EndpointId) -> Result<Endpoint, NetworkError> {
        let mut held = Vec::new();
        let endpoint = self.change(id, |joined| {
            joined.endpoint.default_route = false;
            joined.endpoint.ports.clear();
            held = std::mem::take(&mut joined.held);
        })?;
        ports::close(&mut held).await;
        self.withdraw(&mappings(&held)).await?;
        Ok(endpoint)
    }

    fn joined(&self, id: &EndpointId) -> Result<(Endpoint, Netns, bool), NetworkError> {
        let state = self.state();
        let joined = state.joined.get(id);
        let joined = joined.ok_or_else(|| NetworkError::NotFound(id.to_string()))?;
        let has_ports = !joined.held.is_empty();
        Ok((joined.endpoint.clone(), joined.netns.clone(), has_ports))
    }

    fn change(
        &self,
        id: &EndpointId,
        change: impl FnOnce(&mut super::Joined),
    ) -> Result<Endpoint, NetworkError> {
        let mut state = self.state();
        let joined = state.joined.get_mut(id);
        let joined = joined.ok_or_else(|| NetworkError::NotFound(id.to_string()))?;
        change(joined);
        Ok(joined.endpoint.clone())
    }
}
