//! One container as a line of a list.

use super::inspect::{exposed_ports, mounts_to_wire, network_mode_of};
use super::networks::endpoint_to_wire;
use super::ports::summary_ports;
use crate::engine::ContainerView;
use crate::http::wire;

pub(crate) fn summary_to_wire(
    view: &ContainerView,
    now: jiff::Timestamp,
) -> wire::ContainerSummary {
    let exposed = if view.state.live().is_some() {
        exposed_ports(view)
    } else {
        Vec::new()
    };
    let endpoints = view.networks.iter();
    wire::ContainerSummary {
        id: view.id.to_string(),
        names: vec![format!("/{}", view.name)],
        image: view.config.image.clone(),
        image_id: view.image_id.clone(),
        command: command(view),
        created: view.created_at.as_second(),
        ports: summary_ports(&exposed, &view.published_ports),
        size_rw: view.size.map(|size| size.writable_bytes),
        size_root_fs: view.size.map(|size| size.rootfs_bytes),
        labels: view.config.labels.clone(),
        state: view.state.name(),
        status: view.status_text(now),
        host_config: wire::SummaryHostConfig {
            network_mode: network_mode_of(view),
            annotations: view.host.annotations.clone(),
        },
        network_settings: wire::SummaryNetworks {
            networks: endpoints
                .map(|(name, endpoint)| (name.clone(), endpoint_to_wire(endpoint)))
                .collect(),
        },
        mounts: mounts_to_wire(view),
    }
}

/// The program and its arguments; those with spaces in quotes.
fn command(view: &ContainerView) -> String {
    let arguments = view.args.iter().map(|argument| {
        if argument.contains(' ') {
            format!("'{argument}'")
        } else {
            argument.clone()
        }
    });
    let words: Vec<String> = std::iter::once(view.path.clone())
        .chain(arguments)
        .collect();
    words.join(" ")
}
