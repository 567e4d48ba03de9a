//! What a caller asked for when it created a container, checked and typed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::log::LogConfig;

/// What runs in the container: the part of a create request that an image can also carry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the independent switches of Docker's API"
)]
pub struct ContainerConfig {
    /// The image as the caller wrote it, for display.
    pub image: String,
    /// `user[:group]`, names or numbers, resolved against the image's own `/etc/passwd`.
    pub user: String,
    /// `KEY=value` pairs; later ones win.
    pub env: Vec<String>,
    /// `None` leaves the image's; `Some(vec![])` clears it.
    pub entrypoint: Option<Vec<String>>,
    /// `None` leaves the image's, unless an entrypoint was given.
    pub cmd: Option<Vec<String>>,
    pub working_dir: String,
    pub hostname: String,
    pub domainname: String,
    pub labels: BTreeMap<String, String>,
    pub tty: bool,
    pub open_stdin: bool,
    /// Close the container's stdin for good when the first attached client closes its own.
    pub stdin_once: bool,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    pub exposed_ports: Vec<PortSpec>,
    /// Paths that get an anonymous volume unless a mount covers them.
    pub volumes: Vec<String>,
    /// Signal name or number; empty means SIGTERM.
    pub stop_signal: String,
    /// Seconds between the stop signal and SIGKILL; `None` means 10.
    pub stop_timeout: Option<i64>,
    pub healthcheck: Option<HealthCheck>,
    /// Shell that `CMD text` forms use in this image.
    pub shell: Option<Vec<String>>,
}

/// A health check; durations in nanoseconds, zero meaning "inherit or default".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", text]`; empty inherits the image's.
    pub test: Vec<String>,
    pub interval_ns: i64,
    pub timeout_ns: i64,
    pub start_period_ns: i64,
    pub start_interval_ns: i64,
    pub retries: i64,
}

/// How the container is tied to this host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the independent switches of Docker's API"
)]
pub struct HostConfig {
    pub mounts: Vec<MountSpec>,
    /// `volumes-from` sources, `container[:ro|rw]`.
    pub volumes_from: Vec<String>,
    pub network_mode: NetworkMode,
    pub networks: Vec<NetworkAttachment>,
    pub port_bindings: Vec<PortBinding>,
    pub publish_all_ports: bool,
    pub restart_policy: RestartPolicy,
    pub auto_remove: bool,
    /// `LogConfig::default()` takes the engine's default.
    pub log: LogConfig,
    pub resources: Resources,
    pub privileged: bool,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub group_add: Vec<String>,
    pub seccomp: SeccompProfile,
    pub no_new_privileges: bool,
    pub read_only_rootfs: bool,
    /// `--security-opt systempaths=unconfined` empties both lists; `None` means the defaults.
    pub masked_paths: Option<Vec<String>>,
    pub readonly_paths: Option<Vec<String>>,
    /// Run a reaping init process, as the engine's default may say as well.
    pub init: bool,
    pub pid_mode: NamespaceMode,
    pub ipc_mode: IpcMode,
    pub uts_mode: NamespaceMode,
    pub cgroupns_mode: NamespaceMode,
    pub userns_host: bool,
    pub cgroup_parent: String,
    /// Size of `/dev/shm`; `None` means 64 MiB.
    pub shm_size_bytes: Option<u64>,
    pub sysctls: BTreeMap<String, String>,
    pub dns: Vec<IpAddr>,
    pub dns_search: Vec<String>,
    pub dns_options: Vec<String>,
    /// `host:ip` pairs; the address may be `host-gateway`.
    pub extra_hosts: Vec<String>,
    pub links: Vec<Link>,
    pub oom_score_adj: i32,
    /// Rows and columns of the first terminal.
    pub console_size: Option<(u16, u16)>,
    /// `--security-opt apparmor=…`; `None` means the engine's default.
    pub apparmor_profile: Option<String>,
    /// `SELinux` options, kept only to be shown back.
    pub selinux_labels: Vec<String>,
    /// Passed on to the runtime configuration untouched.
    pub annotations: BTreeMap<String, String>,
    /// Where the client keeps the id, kept only to be shown back.
    pub container_id_file: String,
}

/// `--link`: another container, and what it is called in this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its id, the start of it, or its name.
    pub container: String,
    pub alias: String,
}

/// Where a mount's content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A path of this host.
    Bind {
        path: PathBuf,
        /// `-v` creates a missing source directory, `--mount` refuses it.
        create_missing: bool,
    },
    /// A named volume, or an anonymous one when the name is `None`.
    Volume {
        name: Option<String>,
        /// Do not copy the image's content into a fresh volume.
        no_copy: bool,
        subpath: Option<PathBuf>,
        driver: Option<String>,
        driver_options: BTreeMap<String, String>,
        labels: BTreeMap<String, String>,
    },
    Tmpfs {
        size_bytes: Option<u64>,
        /// Permission bits, such as `0o1777`.
        mode: Option<u32>,
        /// Further `mount(8)` options as the caller wrote them.
        options: Vec<String>,
    },
}

/// One mount of the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    pub source: MountSource,
    /// Absolute path inside the container.
    pub target: String,
    pub read_only: bool,
    pub propagation: Option<Propagation>,
    pub submounts: Submounts,
    pub form: MountForm,
}

/// What becomes of the mounts below the source of a bind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Submounts {
    /// They come along, and are read-only where the bind is.
    #[default]
    Follow,
    /// They stay outside (`bind-recursive=disabled`).
    Excluded,
    /// They come along and stay writable under a read-only bind (`bind-recursive=writable`).
    Writable,
    /// They come along and must be read-only (`bind-recursive=readonly`). This engine always can
    /// do that, so it differs from `Follow` in how it is shown alone.
    ReadOnly,
}

/// How the caller wrote a mount, so that it can be shown back the same way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountForm {
    /// `-v`, `--tmpfs` or a volume that the image declares.
    #[default]
    Short,
    /// `--mount`.
    Long,
}

/// Mount propagation, `mount_namespaces(7)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    Private,
    Rprivate,
    Shared,
    Rshared,
    Slave,
    Rslave,
}

/// Which network namespace the container gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// The engine's default bridge.
    #[default]
    Default,
    None,
    Host,
    /// Another container's namespace, by whatever names it.
    Container(String),
    /// A user-defined network, by name or id.
    Network(String),
}

/// One endpoint a container is to have on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkAttachment {
    pub network: String,
    pub aliases: Vec<String>,
    pub ipv4_address: Option<std::net::Ipv4Addr>,
    pub ipv6_address: Option<std::net::Ipv6Addr>,
    pub mac_address: Option<String>,
    /// Names that this container alone has for others on this network.
    pub links: Vec<Link>,
    /// More addresses, which no list hands out and nothing is translated for.
    pub link_local_ips: Vec<std::net::IpAddr>,
    /// Options of the endpoint by Docker's names.
    pub driver_options: BTreeMap<String, String>,
    /// The way to elsewhere goes through the network with the highest.
    pub gateway_priority: i64,
}

/// pid, uts and cgroup namespaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamespaceMode {
    #[default]
    Private,
    Host,
    Container(String),
}

/// ipc namespace; `none` has no `/dev/shm`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpcMode {
    #[default]
    Private,
    Shareable,
    None,
    Host,
    Container(String),
}

#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum PortProtocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

impl PortProtocol {
    /// As it is written after the slash of `80/tcp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl fmt::Display for PortProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A port of the container, such as `80/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortSpec {
    pub port: u16,
    pub protocol: PortProtocol,
}

/// The text is no `port[/protocol]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid port specification: {0:?}")]
pub struct PortSpecError(String);

impl FromStr for PortSpec {
    type Err = PortSpecError;

    /// Takes `80`, `80/tcp`, `53/UDP`.
    fn from_str(text: &str) -> Result<Self, PortSpecError> {
        let bad = || PortSpecError(text.to_owned());
        let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = match protocol.to_ascii_lowercase().as_str() {
            "tcp" => PortProtocol::Tcp,
            "udp" => PortProtocol::Udp,
            "sctp" => PortProtocol::Sctp,
            _ => return Err(bad()),
        };
        let port = port.parse().map_err(|_| bad())?;
        Ok(Self { port, protocol })
    }
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol)
    }
}

/// A container port published on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortBinding {
    pub container: PortSpec,
    /// `None` means every address, IPv4 and IPv6.
    pub host_ip: Option<IpAddr>,
    /// First and last port to try; `0..=0` lets the engine choose.
    pub host_ports: (u16, u16),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    #[default]
    No,
    /// `None` retries without end.
    OnFailure {
        max_retries: Option<u32>,
    },
    Always,
    UnlessStopped,
}

/// Limits; `None` leaves the kernel's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    pub memory_bytes: Option<i64>,
    pub memory_reservation_bytes: Option<i64>,
    /// Memory plus swap, as Docker counts; -1 is unlimited.
    pub memory_swap_bytes: Option<i64>,
    pub memory_swappiness: Option<i64>,
    pub oom_kill_disable: bool,
    pub cpu: CpuLimit,
    pub cpu_shares: Option<u64>,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    pub pids_limit: Option<i64>,
    pub blkio: BlockIo,
    pub devices: Vec<DeviceMapping>,
    pub device_cgroup_rules: Vec<String>,
    pub ulimits: Vec<Ulimit>,
}

/// Block device weights and throttles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockIo {
    /// 10 to 1000; `None` leaves the kernel's.
    pub weight: Option<u16>,
    pub weight_device: Vec<DeviceRate>,
    /// Bytes per second.
    pub read_bps: Vec<DeviceRate>,
    pub write_bps: Vec<DeviceRate>,
    /// Operations per second.
    pub read_iops: Vec<DeviceRate>,
    pub write_iops: Vec<DeviceRate>,
}

/// A number that holds for one block device of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRate {
    pub path: PathBuf,
    pub rate: u64,
}

/// CPU bandwidth: microseconds of `quota` in each `period`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuLimit {
    pub quota_us: Option<i64>,
    pub period_us: Option<u64>,
    /// The limit as `--cpus` says it. When set, quota and period hold the same limit.
    pub nano_cpus: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceMapping {
    pub path_on_host: PathBuf,
    pub path_in_container: PathBuf,
    /// Some of `r`, `w`, `m`.
    pub permissions: String,
}

/// getrlimit(2) by Docker's lower-case names, such as `nofile`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    pub name: String,
    pub soft: i64,
    pub hard: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeccompProfile {
    #[default]
    Default,
    Unconfined,
    /// A profile in Docker's JSON format, as the client sent it.
    Custom(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_specs_parse_and_print() {
        for (text, printed) in [("80", "80/tcp"), ("53/UDP", "53/udp"), ("9/sctp", "9/sctp")] {
            assert_eq!(text.parse::<PortSpec>().unwrap().to_string(), printed);
        }
        for bad in ["", "/tcp", "65536", "80/icmp", "80/tcp/udp", "-1"] {
            assert!(bad.parse::<PortSpec>().is_err(), "{bad}");
        }
    }
}
