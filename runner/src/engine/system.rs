//! The engine about itself and its machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;

use super::container::{ContainerView, ListContainers, launch_error, total_memory};
use super::image::{ImageView, ListImages};
use super::volume::VolumeView;
use super::{Engine, EngineError};
use crate::launch::{Cgroup, CgroupVersion};
use crate::spec::ContainerState;

/// `GET /version`, without what is constant on the wire.
#[derive(Debug, Clone)]
pub struct Version {
    pub version: &'static str,
    pub kernel_version: String,
    /// Go's word, such as `amd64`.
    pub architecture: &'static str,
}

/// `GET /info`.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the independent switches of Docker's API"
)]
pub struct Info {
    /// Stable id of this engine.
    pub id: String,
    pub n_containers: i64,
    pub n_running: i64,
    pub n_paused: i64,
    pub n_stopped: i64,
    pub n_images: i64,
    pub data_root: PathBuf,
    pub hostname: String,
    pub version: &'static str,
    pub kernel_version: String,
    pub operating_system: String,
    pub os_version: String,
    /// uname's word, such as `x86_64`.
    pub machine: String,
    pub n_cpus: i64,
    pub memory_bytes: i64,
    /// `1` or `2`.
    pub cgroup_version: u8,
    pub security_options: Vec<String>,
    pub labels: Vec<String>,
    pub registry_mirrors: Vec<String>,
    pub insecure_registries: Vec<String>,
    pub default_log_driver: String,
    pub memory_limit: bool,
    pub swap_limit: bool,
    pub cpu_cfs: bool,
    pub cpu_shares: bool,
    pub cpuset: bool,
    pub pids_limit: bool,
    pub oom_kill_disable: bool,
    pub ipv4_forwarding: bool,
    pub debug: bool,
    pub n_fds: i64,
    pub n_event_listeners: i64,
    pub system_time: Timestamp,
    pub address_pools: Vec<(String, u8)>,
    pub proxies: BTreeMap<String, String>,
    pub warnings: Vec<String>,
}

/// Which parts of the disk usage are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUsageParts {
    pub containers: bool,
    pub images: bool,
    pub volumes: bool,
}

impl Default for DiskUsageParts {
    fn default() -> Self {
        Self {
            containers: true,
            images: true,
            volumes: true,
        }
    }
}

/// `GET /system/df`.
#[derive(Debug, Clone, Default)]
pub struct DiskUsage {
    /// Bytes of all layers, shared ones once.
    pub layers_size_bytes: i64,
    pub containers: Option<Vec<ContainerView>>,
    pub images: Option<Vec<ImageView>>,
    pub volumes: Option<Vec<VolumeView>>,
}

/// Those that docker knows of: its own hub's.
fn hub_mirrors(all: &[String]) -> Vec<String> {
    let of_hub = |text: &&String| {
        text.split_once('=')
            .is_none_or(|(host, _)| host.contains('/'))
    };
    all.iter().filter(of_hub).cloned().collect()
}

impl Engine {
    pub fn version(&self) -> Version {
        Version {
            version: env!("CARGO_PKG_VERSION"),
            kernel_version: first_line("/proc/sys/kernel/osrelease"),
            architecture: go_architecture(),
        }
    }

    pub async fn info(&self) -> Result<Info, EngineError> {
        let shared = &self.shared;
        let settings = &shared.settings;
        let counts = self.container_counts();
        let images = shared.images.list();
        let images = images.map_err(|error| EngineError::internal("listing images", &error))?;
        let (operating_system, os_version) = os_release();
        let cgroup_version = match Cgroup::version().map_err(launch_error)? {
            CgroupVersion::V1 => 1,
            CgroupVersion::V2 => 2,
        };
        let limits = Limits::of(cgroup_version);
        let pools = settings.network.address_pools.iter();
        Ok(Info {
            id: shared.id.clone(),
            n_containers: counts.all,
            n_running: counts.running,
            n_paused: counts.paused,
            n_stopped: counts.all - counts.running - counts.paused,
            n_images: signed(images.len()),
            data_root: settings.data_root.clone(),
            hostname: first_line("/proc/sys/kernel/hostname"),
            version: env!("CARGO_PKG_VERSION"),
            kernel_version: first_line("/proc/sys/kernel/osrelease"),
            operating_system,
            os_version,
            machine: std::env::consts::ARCH.to_owned(),
            n_cpus: std::thread::available_parallelism().map_or(1, |n| signed(n.get())),
            memory_bytes: i64::try_from(total_memory()).unwrap_or(i64::MAX),
            cgroup_version,
            security_options: security_options(cgroup_version),
            labels: settings.labels.clone(),
            registry_mirrors: hub_mirrors(&settings.registry.mirrors),
            insecure_registries: settings.registry.insecure.clone(),
            default_log_driver: settings.log.driver.name().to_owned(),
            memory_limit: limits.memory,
            swap_limit: limits.swap,
            cpu_cfs: limits.cpu,
            cpu_shares: limits.cpu,
            cpuset: limits.cpuset,
            pids_limit: limits.pids,
            oom_kill_disable: limits.memory && cgroup_version == 1,
            ipv4_forwarding: first_line("/proc/sys/net/ipv4/ip_forward") == "1",
            debug: settings.debug,
            n_fds: std::fs::read_dir("/proc/self/fd").map_or(0, |fds| signed(fds.count())),
            n_event_listeners: signed(shared.events.n_listeners()),
            system_time: Timestamp::now(),
            address_pools: pools
                .map(|pool| (pool.base.to_string(), pool.size))
                .collect(),
            proxies: BTreeMap::new(),
            warnings: limits.warnings(),
        })
    }

    fn container_counts(&self) -> Counts {
        let mut counts = Counts::default();
        for container in self.shared.containers.all() {
            counts.all += 1;
            match container.state() {
                ContainerState::Running(_) | ContainerState::Restarting(_) => counts.running += 1,
                ContainerState::Paused(_) => counts.paused += 1,
                ContainerState::Created
                | ContainerState::Exited(_)
                | ContainerState::Removing
                | ContainerState::Dead => {}
            }
        }
        counts
    }

    pub async fn disk_usage(&self, parts: DiskUsageParts) -> Result<DiskUsage, EngineError> {
        let layers = self.shared.images.layers_size_bytes();
        let layers = layers.map_err(|error| EngineError::internal("measuring layers", &error))?;
        let mut usage = DiskUsage {
            layers_size_bytes: i64::try_from(layers).unwrap_or(i64::MAX),
            ..DiskUsage::default()
        };
        if parts.containers {
            let all = ListContainers {
                all: true,
                size: true,
                ..ListContainers::default()
            };
            usage.containers = Some(self.list_containers(all).await?);
        }
        if parts.images {
            let all = ListImages {
                all: true,
                shared_size: true,
                ..ListImages::default()
            };
            usage.images = Some(self.list_images(all).await?);
        }
        if parts.volumes {
            usage.volumes = Some(self.volume_usage().await);
        }
        Ok(usage)
    }
}

#[derive(Default)]
struct Counts {
    all: i64,
    running: i64,
    paused: i64,
}

/// Which limits this kernel can set.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent controllers")]
struct Limits {
    memory: bool,
    swap: bool,
    cpu: bool,
    cpuset: bool,
    pids: bool,
}

impl Limits {
    fn of(cgroup_version: u8) -> Self {
        let text = std::fs::read_to_string("/proc/cgroups").unwrap_or_default();
        let listed = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers");
        let has = |name: &str| match (&listed, cgroup_version) {
            (Ok(listed), 2) => listed.split_whitespace().any(|word| word == name),
            _ => text.lines().any(|line| {
                let mut words = line.split_whitespace();
                words.next() == Some(name) && words.next_back() == Some("1")
            }),
        };
        let memory = has("memory");
        let swap_file = match cgroup_version {
            1 => "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes",
            _ => "/sys/fs/cgroup/system.slice/memory.swap.max",
        };
        Self {
            memory,
            swap: memory && std::path::Path::new(swap_file).exists(),
            cpu: has("cpu"),
            cpuset: has("cpuset"),
            pids: has("pids"),
        }
    }

    fn warnings(self) -> Vec<String> {
        let missing = [
            (self.memory, "memory limit"),
            (self.swap, "swap limit"),
            (self.cpu, "cpu cfs quota"),
            (self.cpuset, "cpuset"),
            (self.pids, "pids limit"),
        ];
        let missing = missing.into_iter().filter(|(there, _)| !there);
        missing
            .map(|(_, what)| format!("WARNING: No {what} support"))
            .collect()
    }
}

fn security_options(cgroup_version: u8) -> Vec<String> {
    let mut options = vec!["name=seccomp,profile=builtin".to_owned()];
    if first_line("/sys/module/apparmor/parameters/enabled") == "Y" {
        options.insert(0, "name=apparmor".to_owned());
    }
    if cgroup_version == 2 {
        options.push("name=cgroupns".to_owned());
    }
    options
}

/// Pretty name and version from os-release(5).
fn os_release() -> (String, String) {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"').to_owned())
            .unwrap_or_default()
    };
    (value("PRETTY_NAME"), value("VERSION_ID"))
}

fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The first line of one of the kernel's files; empty when it cannot be read.
fn first_line(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}
