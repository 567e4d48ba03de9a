//! Putting an existing container on a network, and taking it off.

use super::{DriverName, NetworkSpec};
use crate::engine::container::{
    Interfaces, Membership, Place, Record, Verb, check_attachment, network_error, options_of,
    published,
};
use crate::engine::{Engine, EngineError};
use crate::network::Netns;
use crate::spec::{ContainerRef, NetworkAttachment, NetworkMode, PortBinding};

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
        check_connection(&record, &network, &attachment)?;
        let mut membership = Membership {
            network: network.id.clone(),
            attachment,
            endpoint: None,
        };
        if let Some(shim) = verb.shim() {
            let options = options_of(&membership.attachment)?;
            let place = Place {
                netns: Netns::of_process(shim.init_pid()).map_err(network_error)?,
                interface: Interfaces::of(&record).choose(options.interface),
                switches: options.switches,
                is_gateway: false,
            };
            let request = self.endpoint_request(&record, &membership, place)?;
            let endpoint = self.shared.networks.attach(&network.id, request).await;
            membership.endpoint = Some(endpoint.map_err(network_error)?);
        }
        let endpoint = membership.endpoint.clone();
        let ports = published(&record);
        let kept = verb.update(|record| {
            // `none` is left by whoever joins a real network.
            record.networks.retain(|other, _| other != "none");
            record.networks.insert(name.clone(), membership);
        });
        let kept = kept.await;
        let settled = match kept {
            Ok(()) => self.settle_gateway(verb, &ports).await,
            Err(error) => Err(error),
        };
        if let Err(error) = settled {
            if let Some(endpoint) = endpoint {
                self.detach(&endpoint).await;
            }
            self.forget_network(verb, &name, &ports).await;
            return Err(error);
        }
        self.write_etc_files(&verb.record()).await?;
        self.network_event("connect", &network.id, &name, verb);
        Ok(())
    }

    /// Takes a failed connection back.
    async fn forget_network(&self, verb: &mut Verb, name: &str, ports: &[PortBinding]) {
        let forgotten = verb.update(|record| {
            record.networks.remove(name);
        });
        let forgotten = forgotten.await;
        let settled = self.settle_gateway(verb, ports).await;
        if let Err(error) = forgotten.and(settled) {
            tracing::warn!(container.id = %verb.id(), %error, "undoing a connection");
        }
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
            let ports = verb.read(published);
            if let Some(endpoint) = &membership.endpoint {
                engine.detach(endpoint).await;
            }
            verb.update(|record| {
                record.networks.remove(&network.name);
            })
            .await?;
            engine.settle_gateway(&mut verb, &ports).await?;
            engine.write_etc_files(&verb.record()).await?;
            engine.network_event("disconnect", &network.id, &network.name, &verb);
            Ok(())
        })
        .await
    }
}

/// Refuses what cannot be connected, before anything is touched.
fn check_connection(
    record: &Record,
    network: &NetworkSpec,
    attachment: &NetworkAttachment,
) -> Result<(), EngineError> {
    let name = &network.name;
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
    check_attachment(network, attachment)?;
    if record.networks.contains_key(name) {
        return refuse(format!(
            "endpoint with name {} already exists in network {name}",
            record.name
        ));
    }
    Ok(())
}
