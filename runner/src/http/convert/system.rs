//! The engine about itself: version, info, disk usage, volumes.

use std::collections::HashMap;

use bollard_stubs::models::{
    Commit, IndexInfo, LocalNodeState, PluginsInfo, RegistryServiceConfig, Runtime, SwarmInfo,
    SystemInfo, SystemInfoCgroupDriverEnum, SystemInfoCgroupVersionEnum,
    SystemInfoDefaultAddressPools, SystemVersion, SystemVersionComponents, SystemVersionPlatform,
};
use hythe_oci::login_file::HUB_SERVER;
use jiff::Timestamp;

use super::image::image_summary_to_wire;
use super::summary::summary_to_wire;
use crate::engine::{DiskUsage, Info, Version, VolumeView};
use crate::http::target::ApiVersion;
use crate::http::wire;

pub(crate) fn version_to_wire(version: Version) -> SystemVersion {
    let details = [
        ("ApiVersion", ApiVersion::MAX.to_string()),
        ("MinAPIVersion", ApiVersion::MIN.to_string()),
        ("Os", "linux".to_owned()),
        ("Arch", version.architecture.to_owned()),
        ("KernelVersion", version.kernel_version.clone()),
        ("Experimental", "false".to_owned()),
    ];
    let details = details
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    SystemVersion {
        platform: Some(SystemVersionPlatform {
            name: "Hythe".to_owned(),
        }),
        components: Some(vec![SystemVersionComponents {
            name: "Engine".to_owned(),
            version: version.version.to_owned(),
            details: Some(details.collect()),
        }]),
        version: Some(version.version.to_owned()),
        api_version: Some(ApiVersion::MAX.to_string()),
        min_api_version: Some(ApiVersion::MIN.to_string()),
        git_commit: Some(String::new()),
        go_version: Some(String::new()),
        os: Some("linux".to_owned()),
        arch: Some(version.architecture.to_owned()),
        kernel_version: Some(version.kernel_version),
        experimental: Some(false),
        build_time: Some(String::new()),
    }
}

pub(crate) fn info_to_wire(info: Info) -> SystemInfo {
    let constant = constant_info();
    let proxy = |kind: &str| Some(info.proxies.get(kind).cloned().unwrap_or_default());
    let (http_proxy, https_proxy, no_proxy) = (proxy("http"), proxy("https"), proxy("no"));
    SystemInfo {
        id: Some(info.id),
        containers: Some(info.n_containers),
        containers_running: Some(info.n_running),
        containers_paused: Some(info.n_paused),
        containers_stopped: Some(info.n_stopped),
        images: Some(info.n_images),
        docker_root_dir: Some(info.data_root.display().to_string()),
        memory_limit: Some(info.memory_limit),
        swap_limit: Some(info.swap_limit),
        cpu_cfs_period: Some(info.cpu_cfs),
        cpu_cfs_quota: Some(info.cpu_cfs),
        cpu_shares: Some(info.cpu_shares),
        cpu_set: Some(info.cpuset),
        pids_limit: Some(info.pids_limit),
        oom_kill_disable: Some(info.oom_kill_disable),
        ipv4_forwarding: Some(info.ipv4_forwarding),
        debug: Some(info.debug),
        nfd: Some(info.n_fds),
        system_time: Some(info.system_time.to_string()),
        logging_driver: Some(info.default_log_driver),
        cgroup_version: Some(match info.cgroup_version {
            2 => SystemInfoCgroupVersionEnum::_2,
            _ => SystemInfoCgroupVersionEnum::_1,
        }),
        n_events_listener: Some(info.n_event_listeners),
        kernel_version: Some(info.kernel_version),
        operating_system: Some(info.operating_system),
        os_version: Some(info.os_version),
        architecture: Some(info.machine),
        ncpu: Some(info.n_cpus),
        mem_total: Some(info.memory_bytes),
        registry_config: Some(registries(info.registry_mirrors, info.insecure_registries)),
        http_proxy,
        https_proxy,
        no_proxy,
        name: Some(info.hostname),
        labels: Some(info.labels),
        server_version: Some(info.version.to_owned()),
        security_options: Some(info.security_options),
        default_address_pools: Some(info.address_pools.into_iter().map(pool).collect()),
        warnings: Some(info.warnings),
        ..constant
    }
}

/// What is the same for every engine of this kind, and what clients expect to find.
fn constant_info() -> SystemInfo {
    SystemInfo {
        driver: Some("overlay2".to_owned()),
        driver_status: Some(Vec::new()),
        plugins: Some(plugins()),
        n_goroutines: Some(0),
        cgroup_driver: Some(SystemInfoCgroupDriverEnum::CGROUPFS),
        os_type: Some("linux".to_owned()),
        index_server_address: Some(HUB_SERVER.to_owned()),
        experimental_build: Some(false),
        runtimes: Some(HashMap::from([("runc".to_owned(), runtime())])),
        default_runtime: Some("runc".to_owned()),
        swarm: Some(no_swarm()),
        live_restore_enabled: Some(true),
        init_binary: Some(String::new()),
        containerd_commit: Some(no_commit()),
        runc_commit: Some(no_commit()),
        init_commit: Some(no_commit()),
        ..SystemInfo::default()
    }
}

fn pool((base, size): (String, u8)) -> SystemInfoDefaultAddressPools {
    SystemInfoDefaultAddressPools {
        base: Some(base),
        size: Some(i64::from(size)),
    }
}

fn plugins() -> PluginsInfo {
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    PluginsInfo {
        volume: names(&["local"]),
        network: names(&["bridge", "host", "none"]),
        authorization: None,
        log: names(&["journald", "json-file", "local", "none"]),
    }
}

fn runtime() -> Runtime {
    Runtime {
        path: Some("hythe".to_owned()),
        ..Runtime::default()
    }
}

fn registries(mirrors: Vec<String>, insecure: Vec<String>) -> RegistryServiceConfig {
    let (cidrs, hosts): (Vec<_>, Vec<_>) =
        insecure.into_iter().partition(|name| name.contains('/'));
    let index = |name: &str, mirrors: Vec<String>, secure: bool, official: bool| IndexInfo {
        name: Some(name.to_owned()),
        mirrors: Some(mirrors),
        secure: Some(secure),
        official: Some(official),
    };
    let mut indices: HashMap<_, _> = hosts
        .iter()
        .map(|host| (host.clone(), index(host, Vec::new(), false, false)))
        .collect();
    let hub = "docker.io";
    indices.insert(hub.to_owned(), index(hub, mirrors.clone(), true, true));
    RegistryServiceConfig {
        insecure_registry_cidrs: Some(cidrs),
        index_configs: Some(indices),
        mirrors: Some(mirrors),
    }
}

fn no_swarm() -> SwarmInfo {
    SwarmInfo {
        node_id: Some(String::new()),
        node_addr: Some(String::new()),
        local_node_state: Some(LocalNodeState::INACTIVE),
        control_available: Some(false),
        error: Some(String::new()),
        ..SwarmInfo::default()
    }
}

fn no_commit() -> Commit {
    Commit {
        id: Some(String::new()),
    }
}

pub(crate) fn disk_usage_to_wire(
    usage: DiskUsage,
    version: ApiVersion,
    now: Timestamp,
) -> wire::DiskUsage {
    let images = usage.images.map(|images| {
        let images = images.iter();
        images
            .map(|image| image_summary_to_wire(image, version))
            .collect()
    });
    let containers = usage.containers.map(|containers| {
        let containers = containers.iter();
        containers
            .map(|container| summary_to_wire(container, now))
            .collect()
    });
    let volumes = usage
        .volumes
        .map(|volumes| volumes.into_iter().map(volume_to_wire).collect());
    wire::DiskUsage {
        layers_size: usage.layers_size_bytes,
        images,
        containers,
        volumes,
        build_cache: Some(Vec::new()),
    }
}

pub(crate) fn volume_to_wire(view: VolumeView) -> wire::Volume {
    wire::Volume {
        created_at: view.created_at.to_string(),
        driver: view.driver,
        labels: Some(view.labels).filter(|labels| !labels.is_empty()),
        mountpoint: view.mountpoint.display().to_string(),
        name: view.name,
        options: Some(view.options).filter(|options| !options.is_empty()),
        scope: "local",
        usage_data: view.usage.map(|usage| wire::UsageData {
            ref_count: usage.n_containers,
            size: usage.size_bytes,
        }),
    }
}
