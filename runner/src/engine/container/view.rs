//! What callers are told about containers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::network::PublishedPort;
use crate::spec::{
    ContainerConfig, ContainerId, ContainerName, ContainerState, ExecId, HostConfig, Link,
    Propagation,
};

/// Answer to a create.
#[derive(Debug, Clone)]
pub struct CreatedContainer {
    pub id: ContainerId,
    pub warnings: Vec<String>,
}

/// Everything `inspect` and `list` show of one container.
#[derive(Debug, Clone)]
pub struct ContainerView {
    pub id: ContainerId,
    pub name: ContainerName,
    pub created_at: Timestamp,
    pub state: ContainerState,
    /// When the last run began and ended, whatever the state is now.
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// With the image's part merged in.
    pub config: ContainerConfig,
    pub host: HostConfig,
    /// `sha256:…` of the image's config.
    pub image_id: String,
    /// Program and arguments that run.
    pub path: String,
    pub args: Vec<String>,
    /// `linux/amd64` or such.
    pub platform: String,
    pub restart_count: u32,
    pub health: Option<Health>,
    pub mounts: Vec<MountView>,
    pub networks: BTreeMap<String, EndpointView>,
    pub published_ports: Vec<PublishedPort>,
    pub exec_ids: Vec<ExecId>,
    pub log_path: PathBuf,
    pub hostname_path: PathBuf,
    pub hosts_path: PathBuf,
    pub resolv_conf_path: PathBuf,
    /// Only when it was asked for.
    pub size: Option<ContainerSize>,
}

impl ContainerView {
    /// The `STATUS` column of `docker ps`, such as `Up 3 minutes (healthy)`.
    pub fn status_text(&self, now: Timestamp) -> String {
        super::status::status_text(self, now)
    }
}

/// Bytes on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerSize {
    /// What the container wrote.
    pub writable_bytes: i64,
    /// That and the image below it.
    pub rootfs_bytes: i64,
}

/// One mount as inspect shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountView {
    pub kind: MountKind,
    /// Volume name; empty for others.
    pub name: String,
    /// Path on this host.
    pub source: PathBuf,
    /// Path in the container.
    pub destination: String,
    /// Volume driver; empty for others.
    pub driver: String,
    pub read_write: bool,
    pub propagation: Option<Propagation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    Bind,
    Volume,
    Tmpfs,
}

impl MountKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
        }
    }
}

/// A container's place on one network; addresses are `None` while it does not run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointView {
    pub network_id: String,
    /// Empty while it does not run.
    pub endpoint_id: String,
    pub ipv4: Option<Ipv4Addr>,
    pub ipv4_prefix: u8,
    pub ipv4_gateway: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
    pub ipv6_prefix: u8,
    pub ipv6_gateway: Option<Ipv6Addr>,
    pub mac_address: String,
    pub aliases: Vec<String>,
    /// Names that it alone has for others on that network.
    pub links: Vec<Link>,
    /// Every name the container answers to on that network.
    pub dns_names: Vec<String>,
    /// What the caller asked for.
    pub requested_ipv4: Option<Ipv4Addr>,
    pub requested_ipv6: Option<Ipv6Addr>,
    pub link_local_ips: Vec<IpAddr>,
    pub driver_options: BTreeMap<String, String>,
    pub gateway_priority: i64,
}

/// State of the health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub status: HealthStatus,
    pub failing_streak: u32,
    /// The last five probes, oldest first.
    pub log: Vec<HealthProbe>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthStatus {
    Starting,
    Healthy,
    Unhealthy,
}

impl HealthStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthProbe {
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    /// 0 healthy, 1 unhealthy, -1 could not be run or took too long.
    pub exit_code: i32,
    pub output: String,
}

/// Answer to a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waited {
    pub code: i32,
}

/// `docker top`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Top {
    pub titles: Vec<String>,
    pub processes: Vec<Vec<String>>,
}

/// One change of the writable layer against the image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    pub path: String,
    pub kind: ChangeKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    Modified = 0,
    Added = 1,
    Deleted = 2,
}

/// A file of the container, as `docker cp` asks about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    pub name: String,
    pub size_bytes: i64,
    /// `st_mode` of stat(2); `http` turns it into Go's bits.
    pub mode: u32,
    pub modified_at: Timestamp,
    /// Empty when it is no symbolic link.
    pub link_target: String,
}

/// What a prune removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Ids or names; for images see `ImageRemoval`.
    pub removed: Vec<String>,
    pub reclaimed_bytes: u64,
}

/// One reading of a container's counters. A stopped container has zeros and no times.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    pub id: String,
    pub name: String,
    pub read_at: Option<Timestamp>,
    pub previous_read_at: Option<Timestamp>,
    pub cpu: CpuStats,
    pub previous_cpu: CpuStats,
    pub memory: MemoryStats,
    pub pids_current: u64,
    /// `None` is unlimited.
    pub pids_limit: Option<u64>,
    pub block_io: Vec<BlockIoEntry>,
    /// By interface name inside the container.
    pub networks: BTreeMap<String, InterfaceStats>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct CpuStats {
    pub total_ns: u64,
    pub user_ns: u64,
    pub system_ns: u64,
    /// CPU time of the whole machine.
    pub host_ns: u64,
    pub online_cpus: u32,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_ns: u64,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemoryStats {
    pub usage_bytes: u64,
    pub max_usage_bytes: u64,
    pub limit_bytes: u64,
    /// `memory.stat` of the cgroup.
    pub stats: BTreeMap<String, u64>,
}

/// Bytes or operations of one block device.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockIoEntry {
    pub major: u64,
    pub minor: u64,
    /// `read` or `write`.
    pub operation: String,
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct InterfaceStats {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}
