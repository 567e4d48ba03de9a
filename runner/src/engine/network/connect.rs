//! Putting an existing container on a network, and taking it off.

use super::{DriverName, NetworkSpec};
use crate::engine::container::{Membership, Record, Verb, check_addresses, network_error};
use crate::engine::{Engine, EngineError};
use crate::network::Netns;
use crate::spec::{ContainerRef, NetworkAttachment, NetworkMode};

impl Engine {
    /// `attachment.network` is ignored: `network` says which.
    pub async fn connect_network(
        &self,
        network: &str,
        container: &ContainerRef,
        mut attachment: NetworkAttachment,
    ) -> Result<(), EngineError> {
        let network = self.find_network(network)?;
        let container = self.find_container(container)?;
        attachment.network.clone_from(&network.name);
        let engine = self.clone();
        self.carry_out(async move {
            let mut verb = container.verb().await;
            engine.connect(&mut verb, network, attachment).await
        })
        .await
    }

    async fn connect(
        &self,
        verb: &mut Verb,
        network: NetworkSpec,
        attachment: NetworkAttachment,
    ) -> Result<(), EngineError> {
        let record = verb.record();
        let name = network.name.clone();
        let refuse = |text: String| Err(EngineError::Forbidden(text));
        if matches!(
            record.host.network_mode,
            NetworkMode::Container(_) | NetworkMode::Host
        ) {
            return refuse(
                "container sharing network namespace with another container or host cannot be \
                 connected to any other network"
                    .to_owned(),
            );
        }
        if matches!(network.driver, DriverName::Host | DriverName::Null) {
            return refuse(format!("container cannot be connected to network {name}"));
        }
        check_addresses(&network, &attachment)?;
        if record.networks.contains_key(&name) {
            return refuse(format!(
                "endpoint with name {} already exists in network {name}",
                record.name
            ));
        }
        let mut membership = Membership {
            network: network.id.clone(),
            attachment,
            endpoint: None,
        };
        if let Some(shim) = verb.shim() {
            let netns = Netns::of_process(shim.init_pid()).map_err(network_error)?;
            let n_used = record.endpoints().count();
            let place = (free_interface(&record), n_used == 0);
            let request = self
                .endpoint_request(&record, &membership, netns, place)
                .await?;
            let endpoint = self.shared.networks.attach(&network.id, request).await;
            membership.endpoint = Some(endpoint.map_err(network_error)?);
        }
        let endpoint = membership.endpoint.clone();
        let kept = verb.update(|record| {
            // `none` is left by whoever joins a real network.
            record.networks.retain(|other, _| other != "none");
            record.networks.insert(name.clone(), membership);
        });
        if let Err(error) = kept.await {
            if let Some(endpoint) = endpoint {
                self.detach(&endpoint).await;
            }
            return Err(error);
        }
        self.write_etc_files(&verb.record()).await?;
        self.network_event("connect", &network.id, &name, verb);
        Ok(())
    }

    pub async fn disconnect_network(
        &self,
        network: &str,
        container: &ContainerRef,
    ) -> Result<(), EngineError> {
        let network = self.find_network(network)?;
        let container = self.find_container(container)?;
        let engine = self.clone();
        self.carry_out(async move {
            let mut verb = container.verb().await;
            let found = verb.read(|record| record.networks.get(&network.name).cloned());
            let Some(membership) = found else {
                return Err(EngineError::Forbidden(format!(
                    "container {} is not connected to network {}",
                    verb.id(),
                    network.name
                )));
            };
            if let Some(endpoint) = &membership.endpoint {
                engine.detach(endpoint).await;
            }
            verb.update(|record| {
                record.networks.remove(&network.name);
            })
            .await?;
            engine.write_etc_files(&verb.record()).await?;
            engine.network_event("disconnect", &network.id, &network.name, &verb);
            Ok(())
        })
        .await
    }
}

/// The lowest `ethN` that the container does not have.
fn free_interface(record: &Record) -> usize {
    let is_used = |n: &usize| {
        let name = format!("eth{n}");
        record
            .endpoints()
            .any(|endpoint| endpoint.interface == name)
    };
    // One more than there are endpoints always holds a free one.
    (0..=record.endpoints().count())
        .find(|n| !is_used(n))
        .unwrap_or(0)
}
