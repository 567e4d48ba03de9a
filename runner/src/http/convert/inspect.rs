//! One container in full.

use std::collections::BTreeMap;
use std::path::Path;

use super::config::config_to_wire;
use super::host_config::{host_config_to_wire, links_to_wire};
use super::modes::network_mode_text;
use super::mounts::propagation_text;
use super::networks::endpoint_to_wire;
use super::none_if_empty;
use super::ports::settings_ports;
use crate::engine::{ContainerView, Health, HealthProbe, MountKind, MountView};
use crate::http::wire;
use crate::spec::{ContainerState, HostConfig, MountForm, MountSource, NetworkMode, PortSpec};

pub(crate) fn container_to_wire(view: &ContainerView) -> wire::ContainerInspect {
    let exec_ids = view.exec_ids.iter().map(ToString::to_string).collect();
    wire::ContainerInspect {
        id: view.id.to_string(),
        created: view.created_at.to_string(),
        path: view.path.clone(),
        args: view.args.clone(),
        state: state_to_wire(view),
        image: view.image_id.clone(),
        resolv_conf_path: path_text(&view.resolv_conf_path),
        hostname_path: path_text(&view.hostname_path),
        hosts_path: path_text(&view.hosts_path),
        log_path: path_text(&view.log_path),
        name: format!("/{}", view.name),
        restart_count: view.restart_count,
        driver: "overlay2",
        platform: view.platform.split('/').next().unwrap_or("").to_owned(),
        mount_label: "",
        process_label: "",
        app_armor_profile: view.host.apparmor_profile.clone().unwrap_or_default(),
        exec_ids: none_if_empty(exec_ids),
        host_config: wire::HostConfig {
            links: links_to_wire(&view.host, view.name.as_str()),
            ..host_config_to_wire(&view.host)
        },
        graph_driver: wire::GraphDriver {
            data: BTreeMap::new(),
            name: "overlay2",
        },
        size_rw: view.size.map(|size| size.writable_bytes),
        size_root_fs: view.size.map(|size| size.rootfs_bytes),
        mounts: mounts_to_wire(view),
        config: config_to_wire(&view.config),
        network_settings: network_settings(view),
    }
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}

fn state_to_wire(view: &ContainerView) -> wire::State {
    let state = &view.state;
    let exit = state.exit();
    wire::State {
        status: state.name(),
        // Docker counts a paused and a restarting container as running too.
        running: state.live().is_some() || matches!(state, ContainerState::Restarting(_)),
        paused: matches!(state, ContainerState::Paused(_)),
        restarting: matches!(state, ContainerState::Restarting(_)),
        oom_killed: exit.is_some_and(|exit| exit.oom_killed),
        dead: matches!(state, ContainerState::Dead),
        pid: state.live().map_or(0, |running| running.pid),
        exit_code: exit.map_or(0, |exit| exit.code),
        error: exit.map_or_else(String::new, |exit| exit.error.clone()),
        started_at: wire::time(view.started_at),
        finished_at: wire::time(view.finished_at),
        health: view.health.as_ref().map(health_to_wire),
    }
}

fn health_to_wire(health: &Health) -> wire::Health {
    let probe = |probe: &HealthProbe| wire::HealthResult {
        start: probe.started_at.to_string(),
        end: probe.ended_at.to_string(),
        exit_code: probe.exit_code,
        output: probe.output.clone(),
    };
    wire::Health {
        status: health.status.name(),
        failing_streak: health.failing_streak,
        log: health.log.iter().map(probe).collect(),
    }
}

/// `Mounts`: what is mounted. A tmpfs of `--tmpfs` is left out, as in Docker.
pub(super) fn mounts_to_wire(view: &ContainerView) -> Vec<wire::MountPoint> {
    let shown = view
        .mounts
        .iter()
        .filter(|mount| mount.kind != MountKind::Tmpfs || is_long(&view.host, &mount.destination));
    shown.map(mount_to_wire).collect()
}

fn is_long(host: &HostConfig, target: &str) -> bool {
    let mut mounts = host.mounts.iter();
    mounts.any(|mount| {
        mount.target == target
            && mount.form == MountForm::Long
            && matches!(mount.source, MountSource::Tmpfs { .. })
    })
}

fn mount_to_wire(mount: &MountView) -> wire::MountPoint {
    let propagation = match (mount.propagation, mount.kind) {
        (Some(propagation), _) => propagation_text(propagation),
        (None, MountKind::Bind) => "rprivate",
        (None, MountKind::Volume | MountKind::Tmpfs) => "",
    };
    wire::MountPoint {
        r#type: mount.kind.name(),
        name: mount.name.clone(),
        source: path_text(&mount.source),
        destination: mount.destination.clone(),
        driver: mount.driver.clone(),
        mode: if mount.read_write { "" } else { "ro" }.to_owned(),
        rw: mount.read_write,
        propagation,
    }
}

fn network_settings(view: &ContainerView) -> wire::NetworkSettings {
    let endpoints = view.networks.iter();
    let networks: BTreeMap<_, _> = endpoints
        .map(|(name, endpoint)| (name.clone(), endpoint_to_wire(endpoint)))
        .collect();
    // The fields at the top are those of the default bridge.
    let bridge = networks.get("bridge").cloned().unwrap_or_default();
    let live = view.state.live();
    wire::NetworkSettings {
        sandbox_id: live.map_or_else(String::new, |_| view.id.to_string()),
        sandbox_key: live.map_or_else(String::new, |live| format!("/proc/{}/ns/net", live.pid)),
        ports: if live.is_some() {
            settings_ports(&exposed_ports(view), &view.published_ports)
        } else {
            wire::PortMap::new()
        },
        endpoint_id: bridge.endpoint_id,
        gateway: bridge.gateway,
        global_ipv6_address: bridge.global_ipv6_address,
        global_ipv6_prefix_len: bridge.global_ipv6_prefix_len,
        ip_address: bridge.ip_address,
        ip_prefix_len: bridge.ip_prefix_len,
        ipv6_gateway: bridge.ipv6_gateway,
        mac_address: bridge.mac_address,
        networks,
        ..wire::NetworkSettings::default()
    }
}

/// Ports that the image or the caller exposes, and those that are published. A container
/// without a network of its own has none.
pub(super) fn exposed_ports(view: &ContainerView) -> Vec<PortSpec> {
    if matches!(
        view.host.network_mode,
        NetworkMode::Host | NetworkMode::None | NetworkMode::Container(_)
    ) {
        return Vec::new();
    }
    let bindings = view
        .host
        .port_bindings
        .iter()
        .map(|binding| binding.container);
    let mut ports: Vec<_> = bindings
        .chain(view.config.exposed_ports.iter().copied())
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// `HostConfig.NetworkMode`, which a list shows as well.
pub(super) fn network_mode_of(view: &ContainerView) -> String {
    network_mode_text(&view.host.network_mode)
}
