//! The agent's settings, in two steps: [`Said`] is what a file, the environment and the flags
//! say; [`AgentConfig`] is what holds, checked and typed, each part handed to one floor only.
//!
//! Only this folder reads the environment and the configuration file.

mod said;

pub use said::Said;

use std::net::IpAddr;
use std::path::PathBuf;

use crate::spec::{LogConfig, Ulimit};

/// What holds.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    pub api: ApiConfig,
    /// Images, containers, volumes; survives reboots.
    pub data_root: PathBuf,
    /// Run-time files: shim sockets, bundles' process state; may be lost with a reboot.
    pub exec_root: PathBuf,
    /// Names the bridge, the nft table and the cgroup, so that several agents share a machine.
    pub instance: String,
    pub registry: RegistryConfig,
    pub network: NetworkConfig,
    pub containers: ContainerDefaults,
    /// `key=value`, shown by info.
    pub labels: Vec<String>,
    pub debug: bool,
}

/// Where the API is served.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    pub socket: PathBuf,
    /// Group that owns the socket.
    pub group: Option<String>,
    pub tcp: Option<TcpConfig>,
}

/// The API over TCP: only with client certificates.
#[derive(Debug, Clone)]
pub struct TcpConfig {
    pub listen: std::net::SocketAddr,
    pub ca_cert: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// How images travel.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// What a short name means; `docker.io` unless set.
    pub default_registry: String,
    /// Tried first for docker.io.
    pub mirrors: Vec<String>,
    /// Hosts and CIDRs that may be spoken to without TLS.
    pub insecure: Vec<String>,
    pub max_concurrent_downloads: usize,
    pub max_concurrent_uploads: usize,
}

/// Settings of the default bridge and of address hand-out.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// Address and prefix length of the default bridge.
    pub bip: Option<(IpAddr, u8)>,
    /// Base network, its prefix, and the prefix of each pool cut from it; empty is docker's own.
    pub address_pools: Vec<AddressPool>,
    pub mtu: Option<u32>,
    pub icc: bool,
    pub dns: Vec<IpAddr>,
    pub dns_search: Vec<String>,
    pub dns_options: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPool {
    pub base: IpAddr,
    pub base_prefix: u8,
    pub size: u8,
}

/// What a container gets that does not say otherwise.
#[derive(Debug, Clone, Default)]
pub struct ContainerDefaults {
    pub log: LogConfig,
    pub shm_size_bytes: Option<u64>,
    pub ulimits: Vec<Ulimit>,
    pub cgroup_parent: String,
    pub init: bool,
    /// `user[:group]` or `default`; containers' root becomes its first subordinate id.
    pub userns_remap: Option<String>,
}

/// Why the settings do not hold.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is not valid")]
    Parse {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("{key}: {reason}")]
    Invalid { key: String, reason: String },
}

impl AgentConfig {
    /// Reads the file (`None`: none), lays the environment's `HYTHE_*` and then `flags` over it,
    /// and checks everything.
    pub fn load(flags: Said, file: Option<&std::path::Path>) -> Result<Self, ConfigError> {
        let _ = (flags, file);
        todo!()
    }
}
