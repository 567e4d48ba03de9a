//! The agent's settings, in two steps: [`Said`] is what a file, the environment and the flags
//! say; [`AgentConfig`] is what holds, checked and typed, each part handed to one floor only.
//!
//! Only this folder reads the environment and the configuration file.

mod resolve;
mod said;

pub use said::Said;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::network::NetworkSettings;
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
    pub network: NetworkSettings,
    pub dns: DnsDefaults,
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
    /// Tried first: `URL` for docker.io, `HOST=URL` for another registry.
    pub mirrors: Vec<String>,
    /// Hosts and CIDRs that may be spoken to without TLS.
    pub insecure: Vec<String>,
    pub max_concurrent_downloads: usize,
    pub max_concurrent_uploads: usize,
    /// What one layer may unpack to.
    pub max_layer_bytes: u64,
}

/// Name servers of containers that name none; empty means the host's.
#[derive(Debug, Clone, Default)]
pub struct DnsDefaults {
    pub servers: Vec<IpAddr>,
    pub search: Vec<String>,
    pub options: Vec<String>,
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
    pub fn load(flags: Said, file: Option<&Path>) -> Result<Self, ConfigError> {
        let file = match file {
            Some(path) => read(path)?,
            None => Said::default(),
        };
        let environment = Said::from_variables(|name| std::env::var(name).ok())
            .map_err(|(key, reason)| ConfigError::Invalid { key, reason })?;
        resolve::resolve(flags.over(environment).over(file))
    }
}

fn read(path: &Path) -> Result<Said, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    Said::from_toml(&text).map_err(|source| ConfigError::Parse {
        path: path.to_owned(),
        source: Box::new(source),
    })
}
