//! One container as callers see it.

use std::sync::Arc;

use super::cell::Container;
use super::endpoints;
use super::record::{Membership, Record};
use super::view::{ContainerSize, ContainerView, EndpointView};
use crate::engine::{Engine, EngineError};
use crate::spec::ContainerRef;

impl Engine {
    /// `size` measures the layers on disk, which takes time.
    pub async fn inspect_container(
        &self,
        container: &ContainerRef,
        size: bool,
    ) -> Result<ContainerView, EngineError> {
        let container = self.find_container(container)?;
        let mut view = self.view(&container);
        if size {
            view.size = Some(self.container_size(&view).await);
        }
        Ok(view)
    }

    pub(in crate::engine) async fn container_size(&self, view: &ContainerView) -> ContainerSize {
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let writable_bytes = signed(self.writable_size(&view.id).await);
        let image_bytes = self.image_size(&view.image_id);
        ContainerSize {
            writable_bytes,
            rootfs_bytes: writable_bytes.saturating_add(signed(image_bytes)),
        }
    }

    pub(in crate::engine) fn view(&self, container: &Arc<Container>) -> ContainerView {
        let record = container.record();
        let paths = &self.shared.paths;
        let id = record.id.clone();
        let (path, args) = match record.argv.split_first() {
            Some((path, args)) => (path.clone(), args.to_vec()),
            None => (String::new(), Vec::new()),
        };
        let mut config = record.config.clone();
        config.hostname = super::surroundings::hostname(&id, &config);
        ContainerView {
            networks: record
                .networks
                .iter()
                .map(|(name, membership)| (name.clone(), endpoint_view(&record, membership)))
                .collect(),
            published_ports: record
                .endpoints()
                .flat_map(|endpoint| endpoint.ports.iter().copied())
                .collect(),
            mounts: record
                .mounts
                .iter()
                .map(|mount| mount.view.clone())
                .collect(),
            health: container.health(),
            exec_ids: self.shared.execs.running_in(&id),
            log_path: paths.log(&id),
            hostname_path: paths.hostname(&id),
            hosts_path: paths.hosts(&id),
            resolv_conf_path: paths.resolv_conf(&id),
            name: record.name,
            created_at: record.created_at,
            state: record.state,
            started_at: record.started_at,
            finished_at: record.finished_at,
            config,
            host: record.host,
            image_id: record.image_id,
            path,
            args,
            platform: record.platform,
            restart_count: record.restarts.count,
            size: None,
            id,
        }
    }
}

pub(crate) fn endpoint_view(record: &Record, membership: &Membership) -> EndpointView {
    let attachment = &membership.attachment;
    let mut view = EndpointView {
        network_id: membership.network.to_string(),
        aliases: attachment.aliases.clone(),
        links: attachment.links.clone(),
        dns_names: endpoints::names(record, membership),
        requested_ipv4: attachment.ipv4_address,
        requested_ipv6: attachment.ipv6_address,
        link_local_ips: attachment.link_local_ips.clone(),
        driver_options: attachment.driver_options.clone(),
        gateway_priority: attachment.gateway_priority,
        mac_address: attachment.mac_address.clone().unwrap_or_default(),
        ..EndpointView::default()
    };
    if let Some(endpoint) = &membership.endpoint {
        view.endpoint_id = endpoint.id.to_string();
        if let Some(mac_address) = endpoint.mac_address {
            view.mac_address = mac_address.to_string();
        }
        if let Some(ipv4) = endpoint.ipv4 {
            view.ipv4 = Some(ipv4.address);
            view.ipv4_prefix = ipv4.prefix;
            view.ipv4_gateway = ipv4.gateway;
        }
        if let Some(ipv6) = endpoint.ipv6 {
            view.ipv6 = Some(ipv6.address);
            view.ipv6_prefix = ipv6.prefix;
            view.ipv6_gateway = ipv6.gateway;
        }
    }
    view
}
