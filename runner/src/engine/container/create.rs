//! Making a container: everything that can be settled before it runs.

use std::collections::BTreeMap;

use hythe_oci::Platform;
use jiff::Timestamp;

use super::cell::Container;
use super::endpoints::options_of;
use super::record::{Membership, Record, ResolvedMount, Restarts};
use super::request::CreateRequest;
use super::surroundings::hostname;
use super::view::{CreatedContainer, MountKind};
use super::{merge, name, validate};
use crate::engine::{Engine, EngineError};
use crate::image::Image;
use crate::network::{DriverName, NetworkSpec};
use crate::spec::{
    ContainerConfig, ContainerId, ContainerName, ContainerRef, ContainerState, HostConfig,
    LogConfig, MountSource, NetworkAttachment, NetworkMode,
};
use crate::sys::tree;

/// Enough for a machine with every two-word name taken.
const NAME_ATTEMPTS: usize = 64;

impl Engine {
    /// Makes a container that can be started. The image must be there already.
    pub async fn create_container(
        &self,
        request: CreateRequest,
    ) -> Result<CreatedContainer, EngineError> {
        let engine = self.clone();
        self.carry_out(async move {
            let id = ContainerId::random();
            let name = engine.reserve_name(request.name.clone(), &id)?;
            let made = engine.create_named(&id, &name, request).await;
            if made.is_err() {
                engine.undo_create(&id, &name).await;
            }
            made
        })
        .await
    }

    fn reserve_name(
        &self,
        asked: Option<ContainerName>,
        id: &ContainerId,
    ) -> Result<ContainerName, EngineError> {
        let containers = &self.shared.containers;
        if let Some(name) = asked {
            containers.reserve_name(&name, id)?;
            return Ok(name);
        }
        (0..NAME_ATTEMPTS)
            .filter_map(name::invent)
            .find(|name| containers.reserve_name(name, id).is_ok())
            .ok_or_else(|| EngineError::Internal("no name is free".to_owned()))
    }

    async fn create_named(
        &self,
        id: &ContainerId,
        name: &ContainerName,
        request: CreateRequest,
    ) -> Result<CreatedContainer, EngineError> {
        let CreateRequest {
            mut config,
            mut host,
            platform,
            ..
        } = request;
        let image = self.image_for(&config.image, platform.as_deref())?;
        merge::merge(&mut config, &image.config.config);
        self.fill_defaults(&mut host);
        validate::validate(&config, &host)?;
        self.id_mappings_for(&host)?;
        self.share_name(&mut config, &host)?;
        let argv = merge::argv(&config)?;
        let networks = self.memberships(&host)?;
        let mounts = self.resolve_mounts(id, &config, &host).await?;
        let record = Record {
            id: id.clone(),
            name: name.clone(),
            created_at: Timestamp::now(),
            image_id: image.id.to_string(),
            platform: image.config.platform.to_string(),
            config,
            host,
            argv,
            mounts,
            networks,
            state: ContainerState::Created,
            started_at: None,
            finished_at: None,
            restarts: Restarts::default(),
        };
        self.check_links(&record)?;
        self.make_directories(&record, &image).await?;
        self.fill_volumes(&record).await?;
        let mut warnings = validate::warnings(&record.host);
        warnings.extend(self.check_launch(&record).await?);
        self.keep_new(record).await?;
        Ok(CreatedContainer {
            id: id.clone(),
            warnings,
        })
    }

    async fn keep_new(&self, record: Record) -> Result<(), EngineError> {
        let shared = &self.shared;
        let records = shared.records.that(record.survives()).clone();
        records
            .put(record.id.as_str(), &record)
            .await
            .map_err(|error| EngineError::internal("keeping the container's record", &error))?;
        let container = Container::new(record, records);
        shared.containers.insert(container.clone());
        self.container_event(&container, "create", &[]);
        Ok(())
    }

    /// Takes back what a failed creation has made, in reverse.
    async fn undo_create(&self, id: &ContainerId, name: &ContainerName) {
        let shared = &self.shared;
        drop(tree::remove(&shared.paths.bundle(id)).await);
        drop(tree::remove(&shared.paths.container(id)).await);
        if let Err(error) = shared.images.remove_snapshot(id).await {
            tracing::warn!(container.id = %id, %error, "a snapshot was left behind");
        }
        self.release_unused_volumes(id).await;
        shared.containers.free_name(name, id);
    }

    /// The image, which must be there and of the wanted platform.
    fn image_for(&self, text: &str, platform: Option<&str>) -> Result<Image, EngineError> {
        let image = self.resolve_image(text)?;
        let Some(wanted) = platform else {
            return Ok(image);
        };
        let unknown = || EngineError::InvalidParameter(format!("unknown platform {wanted:?}"));
        let platform = Platform::parse(wanted).ok_or_else(unknown)?;
        if image.config.platform.satisfies(&platform) {
            return Ok(image);
        }
        Err(EngineError::NotFound(format!(
            "image with reference {text} was found but does not match the specified platform: \
             wanted {wanted}, actual: {}",
            image.config.platform
        )))
    }

    /// What the caller left to the engine.
    fn fill_defaults(&self, host: &mut HostConfig) {
        let settings = &self.shared.settings;
        if host.log == LogConfig::default() {
            host.log = settings.log.clone();
        }
        host.init |= settings.init;
        host.shm_size_bytes.get_or_insert(settings.shm_size_bytes);
    }

    /// Containers that share a network share its name for them.
    fn share_name(
        &self,
        config: &mut ContainerConfig,
        host: &HostConfig,
    ) -> Result<(), EngineError> {
        if let NetworkMode::Container(other) = &host.network_mode {
            let other = self.find_container(&ContainerRef::new(other))?.record();
            config.hostname = hostname(&other.id, &other.config);
            config.domainname = other.config.domainname;
        }
        Ok(())
    }

    /// The networks the container is to be on: that of its mode, and those named besides.
    fn memberships(&self, host: &HostConfig) -> Result<BTreeMap<String, Membership>, EngineError> {
        let primary = match &host.network_mode {
            NetworkMode::Default => "bridge",
            NetworkMode::None => "none",
            NetworkMode::Host => "host",
            NetworkMode::Network(name) => name,
            NetworkMode::Container(other) => {
                self.find_container(&ContainerRef::new(other))?;
                return Ok(BTreeMap::new());
            }
        };
        let mut memberships = BTreeMap::new();
        let default = NetworkAttachment {
            network: primary.to_owned(),
            ..NetworkAttachment::default()
        };
        for attachment in std::iter::once(&default).chain(&host.networks) {
            let wanted = match attachment.network.as_str() {
                "default" => "bridge",
                other => other,
            };
            let network = self.find_network(wanted)?;
            check_attachment(&network, attachment)?;
            let membership = Membership {
                network: network.id,
                attachment: attachment.clone(),
                endpoint: None,
            };
            // What was said about the primary network replaces the bare default.
            memberships.insert(network.name, membership);
        }
        Ok(memberships)
    }

    async fn make_directories(&self, record: &Record, image: &Image) -> Result<(), EngineError> {
        let shared = &self.shared;
        let id = &record.id;
        shared
            .images
            .create_snapshot(id, &image.id, record.survives())
            .await
            .map_err(|error| EngineError::internal("making the container's layer", &error))?;
        tokio::fs::create_dir_all(shared.paths.container(id))
            .await
            .map_err(|error| EngineError::internal("making the container's directory", &error))
    }

    /// Gives fresh volumes what the image has at their places.
    async fn fill_volumes(&self, record: &Record) -> Result<(), EngineError> {
        let no_copy = |mount: &ResolvedMount| {
            let target = &mount.view.destination;
            record.host.mounts.iter().any(|asked| {
                asked.target == *target
                    && matches!(asked.source, MountSource::Volume { no_copy: true, .. })
            })
        };
        for mount in &record.mounts {
            if mount.view.kind == MountKind::Volume && !no_copy(mount) {
                let (volumes, name) = (&self.shared.volumes, &mount.view.name);
                volumes.mount(name, &record.id).await?;
                let filled = self.fill_volume(&record.id, mount).await;
                volumes.unmount(name, &record.id).await;
                filled?;
            }
        }
        Ok(())
    }
}

/// Clients may not choose addresses of a subnet that they did not choose, nor options that nobody
/// knows.
pub(in crate::engine) fn check_attachment(
    network: &NetworkSpec,
    attachment: &NetworkAttachment,
) -> Result<(), EngineError> {
    let chosen = attachment.ipv4_address.is_some() || attachment.ipv6_address.is_some();
    if chosen && network.is_predefined() {
        return Err(EngineError::InvalidParameter(
            "user specified IP address is supported on user defined networks only".to_owned(),
        ));
    }
    let has_links = !matches!(network.driver, DriverName::Host | DriverName::Null);
    let asks_nothing = attachment.link_local_ips.is_empty()
        && attachment.driver_options.is_empty()
        && attachment.gateway_priority == 0;
    if !has_links && !asks_nothing {
        return Err(EngineError::InvalidParameter(format!(
            "network {} gives containers no link to set options of",
            network.name
        )));
    }
    options_of(attachment).map(drop)
}
