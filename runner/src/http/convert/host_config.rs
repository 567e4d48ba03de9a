//! `HostConfig`: how a container is tied to this host.

use std::net::IpAddr;

use super::log::{log_from_wire, log_to_wire};
use super::modes::{
    cgroupns_mode, cgroupns_mode_text, ipc_mode, ipc_mode_text, network_mode, network_mode_text,
    pid_mode, pid_mode_text, restart_policy_from_wire, restart_policy_to_wire, userns_host,
    uts_mode,
};
use super::mounts::{mounts_from_wire, mounts_to_wire};
use super::networks::{attachment_from_wire, mac_address};
use super::ports::{bindings_from_wire, bindings_to_wire};
use super::resources::{resources_from_wire, write_resources};
use super::security::{read_security_options, security_options};
use super::{Result, bad, none_if_empty, unsupported};
use crate::http::error::ApiError;
use crate::http::target::ApiVersion;
use crate::http::wire;
use crate::spec::{HostConfig, Link, NamespaceMode, NetworkAttachment, NetworkMode};

/// `/dev/shm` unless told otherwise.
const DEFAULT_SHM_BYTES: i64 = 64 << 20;

/// From `HostConfig`, `NetworkingConfig` and the few fields of `Config` that belong here.
pub(crate) fn host_config_from_wire(
    body: &wire::CreateBody,
    version: ApiVersion,
) -> Result<HostConfig> {
    let wire = &body.host_config;
    refuse_unsupported(wire)?;
    let config = body.config.clone().unwrap_or_default();
    let network_mode = if config.network_disabled {
        NetworkMode::None
    } else {
        network_mode(&wire.network_mode)?
    };
    let mut resources = resources_from_wire(wire)?;
    // Zero and below are "no limit" here; in an update they lift one.
    resources.pids_limit = resources.pids_limit.filter(|limit| *limit > 0);
    let mut host = HostConfig {
        mounts: mounts_from_wire(wire)?,
        volumes_from: wire.volumes_from.clone().unwrap_or_default(),
        networks: attachments(body, &network_mode, version)?,
        network_mode,
        port_bindings: bindings_from_wire(&wire.port_bindings)?,
        publish_all_ports: wire.publish_all_ports,
        restart_policy: restart_policy_from_wire(&wire.restart_policy)?,
        auto_remove: wire.auto_remove,
        log: log_from_wire(&wire.log_config)?,
        resources,
        privileged: wire.privileged,
        cap_add: wire.cap_add.clone().unwrap_or_default(),
        cap_drop: wire.cap_drop.clone().unwrap_or_default(),
        group_add: wire.group_add.clone().unwrap_or_default(),
        read_only_rootfs: wire.readonly_rootfs,
        masked_paths: wire.masked_paths.clone(),
        readonly_paths: wire.readonly_paths.clone(),
        init: wire.init.unwrap_or(false),
        pid_mode: pid_mode(&wire.pid_mode)?,
        ipc_mode: ipc_mode(&wire.ipc_mode)?,
        uts_mode: uts_mode(&wire.uts_mode)?,
        cgroupns_mode: cgroupns_mode(&wire.cgroupns_mode)?,
        userns_host: userns_host(&wire.userns_mode)?,
        cgroup_parent: wire.cgroup_parent.clone(),
        shm_size_bytes: shm_size(wire.shm_size)?,
        sysctls: wire.sysctls.clone(),
        dns: wire
            .dns
            .iter()
            .map(|text| dns_server(text))
            .collect::<Result<_>>()?,
        dns_search: wire.dns_search.clone(),
        dns_options: wire.dns_options.clone(),
        extra_hosts: extra_hosts(wire)?,
        links: links(wire.links.as_deref())?,
        oom_score_adj: oom_score_adj(wire.oom_score_adj)?,
        console_size: console_size(Some(&wire.console_size)),
        annotations: wire.annotations.clone(),
        container_id_file: wire.container_id_file.clone(),
        ..HostConfig::default()
    };
    read_security_options(wire.security_opt.as_deref().unwrap_or_default(), &mut host)?;
    check_conflicts(&config, &host)?;
    Ok(host)
}

/// Fields that this engine has no meaning for: to drop them would be to lie.
pub(crate) fn refuse_unsupported(wire: &wire::HostConfig) -> Result<()> {
    if let Some(request) = wire.device_requests.iter().flatten().next() {
        let capabilities: Vec<String> = request
            .capabilities
            .iter()
            .map(|list| format!("[{}]", list.join(" ")))
            .collect();
        return unsupported(format!(
            "could not select device driver {:?} with capabilities: [{}]",
            request.driver,
            capabilities.join(" ")
        ));
    }
    let windows_only = [
        ("CpuCount", wire.cpu_count != 0),
        ("CpuPercent", wire.cpu_percent != 0),
        ("IOMaximumIOps", wire.io_maximum_iops != 0),
        ("IOMaximumBandwidth", wire.io_maximum_bandwidth != 0),
    ];
    if let Some((name, _)) = windows_only.into_iter().find(|(_, set)| *set) {
        return bad(format!("HostConfig.{name} is supported on Windows only"));
    }
    let nowhere = [
        ("Cgroup", !wire.cgroup.is_empty()),
        ("StorageOpt", !wire.storage_opt.is_empty()),
        ("CpuRealtimePeriod", wire.cpu_realtime_period != 0),
        ("CpuRealtimeRuntime", wire.cpu_realtime_runtime != 0),
        ("KernelMemory", wire.kernel_memory != 0),
        ("KernelMemoryTCP", wire.kernel_memory_tcp != 0),
    ];
    if let Some((name, _)) = nowhere.into_iter().find(|(_, set)| *set) {
        return unsupported(format!("HostConfig.{name} is not supported by this engine"));
    }
    match wire.isolation.as_str() {
        "" | "default" => {}
        other => {
            return bad(format!(
                "invalid isolation {other:?}: only default is supported"
            ));
        }
    }
    match wire.runtime.as_str() {
        "" | "runc" | "hythe" | "io.containerd.runc.v2" => Ok(()),
        other => bad(format!("unknown or invalid runtime name: {other}")),
    }
}

/// The endpoints asked for. Clients before 1.44 give at most one, and the MAC address elsewhere.
fn attachments(
    body: &wire::CreateBody,
    mode: &NetworkMode,
    version: ApiVersion,
) -> Result<Vec<NetworkAttachment>> {
    let endpoints = &body.networking_config.endpoints_config;
    if version < ApiVersion::new(1, 44) && endpoints.len() > 1 {
        let names: Vec<&str> = endpoints.keys().map(String::as_str).collect();
        return bad(format!(
            "Container cannot be connected to network endpoints: {}",
            names.join(", ")
        ));
    }
    let mut attachments = endpoints
        .iter()
        .map(|(name, endpoint)| attachment_from_wire(name, &endpoint.clone().unwrap_or_default()))
        .collect::<Result<Vec<_>>>()?;
    let config = body.config.as_ref();
    let Some(mac) = mac_address(config.map_or("", |config| &config.mac_address))? else {
        return Ok(attachments);
    };
    let main = network_mode_text(mode);
    match attachments
        .iter_mut()
        .find(|attachment| attachment.network == main)
    {
        Some(attachment) => {
            attachment.mac_address.get_or_insert(mac);
        }
        None => attachments.push(NetworkAttachment {
            network: main,
            mac_address: Some(mac),
            ..NetworkAttachment::default()
        }),
    }
    Ok(attachments)
}

fn shm_size(bytes: i64) -> Result<Option<u64>> {
    match u64::try_from(bytes) {
        Ok(bytes) => Ok(Some(bytes).filter(|bytes| *bytes != 0)),
        Err(_) => bad("SHM size can not be less than 0"),
    }
}

fn dns_server(text: &str) -> Result<IpAddr> {
    text.parse()
        .map_err(|_| ApiError::bad_parameter(format!("bad nameserver address: {text}")))
}

/// `NAME`, `NAME:ALIAS`, or as inspect shows them, `/NAME:/OWN-NAME/ALIAS`.
pub(super) fn links(texts: Option<&[String]>) -> Result<Vec<Link>> {
    let texts = texts.unwrap_or_default().iter();
    texts
        .map(|text| {
            let (container, alias) = match text.split_once(':') {
                None => (text.as_str(), text.as_str()),
                Some((container, alias)) => (container, alias),
            };
            let container = container.trim_start_matches('/');
            let alias = alias.rsplit('/').next().unwrap_or_default();
            let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            if container.is_empty() || alias.is_empty() || !alias.bytes().all(is_name) {
                return bad(format!("bad format for links: {text}"));
            }
            Ok(Link {
                container: container.to_owned(),
                alias: alias.to_owned(),
            })
        })
        .collect()
}

/// As inspect shows them, which includes the name of the container they belong to.
pub(super) fn links_to_wire(host: &HostConfig, own_name: &str) -> Option<Vec<String>> {
    let links = host.links.iter();
    let texts = links.map(|link| format!("/{}:/{own_name}/{}", link.container, link.alias));
    none_if_empty(texts.collect())
}

fn extra_hosts(wire: &wire::HostConfig) -> Result<Vec<String>> {
    let hosts = wire.extra_hosts.clone().unwrap_or_default();
    for host in &hosts {
        let address = host
            .split_once([':', '='])
            .map_or("", |(_, address)| address);
        let bare = address.trim_start_matches('[').trim_end_matches(']');
        if address.is_empty() {
            return bad(format!("bad format for add-host: {host:?}"));
        }
        if address != "host-gateway" && bare.parse::<IpAddr>().is_err() {
            return bad(format!("invalid IP address in add-host: {address:?}"));
        }
    }
    Ok(hosts)
}

fn oom_score_adj(value: i64) -> Result<i32> {
    i32::try_from(value).or_else(|_| {
        bad(format!(
            "Invalid value {value}, range for oom score adj is [-1000, 1000]"
        ))
    })
}

/// Rows and columns; Docker's zero size is none.
pub(crate) fn console_size(size: Option<&[u16]>) -> Option<(u16, u16)> {
    match size {
        Some([rows, columns]) if *rows != 0 || *columns != 0 => Some((*rows, *columns)),
        _ => None,
    }
}

/// Options of the request that contradict each other, in Docker's words. The engine checks what
/// holds for a container; here is what holds only before the image's own settings are merged in.
fn check_conflicts(config: &wire::Config, host: &HostConfig) -> Result<()> {
    let in_container = matches!(host.network_mode, NetworkMode::Container(_));
    let host_uts = host.uts_mode == NamespaceMode::Host;
    let conflicts = [
        (
            in_container && !config.hostname.is_empty(),
            "conflicting options: hostname and the network mode",
        ),
        (
            in_container && !config.exposed_ports.is_empty(),
            "conflicting options: port exposing and the container type network mode",
        ),
        (
            host_uts && !config.hostname.is_empty(),
            "conflicting options: hostname and the UTS mode",
        ),
        (
            host_uts && !config.domainname.is_empty(),
            "conflicting options: domainname and the UTS mode",
        ),
    ];
    match conflicts.into_iter().find(|(holds, _)| *holds) {
        Some((_, why)) => bad(why),
        None => Ok(()),
    }
}

pub(super) fn host_config_to_wire(host: &HostConfig) -> wire::HostConfig {
    let mounts = mounts_to_wire(&host.mounts);
    let (rows, columns) = host.console_size.unwrap_or((0, 0));
    let shm_size = host
        .shm_size_bytes
        .and_then(|size| i64::try_from(size).ok());
    let mut wire = wire::HostConfig {
        binds: none_if_empty(mounts.binds),
        container_id_file: host.container_id_file.clone(),
        log_config: log_to_wire(&host.log),
        network_mode: network_mode_text(&host.network_mode),
        port_bindings: bindings_to_wire(&host.port_bindings),
        restart_policy: restart_policy_to_wire(host.restart_policy),
        auto_remove: host.auto_remove,
        volumes_from: none_if_empty(host.volumes_from.clone()),
        console_size: vec![rows, columns],
        annotations: host.annotations.clone(),
        cap_add: none_if_empty(host.cap_add.clone()),
        cap_drop: none_if_empty(host.cap_drop.clone()),
        cgroupns_mode: cgroupns_mode_text(&host.cgroupns_mode).to_owned(),
        dns: host.dns.iter().map(ToString::to_string).collect(),
        dns_options: host.dns_options.clone(),
        dns_search: host.dns_search.clone(),
        extra_hosts: none_if_empty(host.extra_hosts.clone()),
        group_add: none_if_empty(host.group_add.clone()),
        ipc_mode: ipc_mode_text(&host.ipc_mode),
        oom_score_adj: host.oom_score_adj.into(),
        pid_mode: pid_mode_text(&host.pid_mode),
        privileged: host.privileged,
        publish_all_ports: host.publish_all_ports,
        readonly_rootfs: host.read_only_rootfs,
        security_opt: none_if_empty(security_options(host)),
        tmpfs: mounts.tmpfs,
        uts_mode: pid_mode_text(&host.uts_mode),
        userns_mode: if host.userns_host { "host" } else { "" }.to_owned(),
        shm_size: shm_size.unwrap_or(DEFAULT_SHM_BYTES),
        sysctls: host.sysctls.clone(),
        runtime: "runc".to_owned(),
        cgroup_parent: host.cgroup_parent.clone(),
        mounts: mounts.mounts,
        masked_paths: host.masked_paths.clone(),
        readonly_paths: host.readonly_paths.clone(),
        init: host.init.then_some(true),
        ..wire::HostConfig::default()
    };
    write_resources(&host.resources, &mut wire);
    wire
}
