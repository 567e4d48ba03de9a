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
    /// Whoever started us has opened the socket (systemd's socket activation).
    pub is_passed_on: bool,
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
    /// The agent's own logins, for callers that bring none.
    pub auth_file: Option<PathBuf>,
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
        let mut config = resolve::resolve(flags.over(environment).over(file))?;
        config.api.is_passed_on = is_passed_on(|name| std::env::var(name).ok())?;
        Ok(config)
    }
}

/// `sd_listen_fds(3)`: variables that are meant for another process are none.
fn is_passed_on(variable: impl Fn(&str) -> Option<String>) -> Result<bool, ConfigError> {
    let number = |name| variable(name).and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Ok(false);
    }
    match number("LISTEN_FDS") {
        None | Some(0) => Ok(false),
        Some(1) => Ok(true),
        Some(more) => Err(ConfigError::Invalid {
            key: "LISTEN_FDS".to_owned(),
            reason: format!("the API is served on one socket, not on {more}"),
        }),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socket_for_this_process_is_passed_on() {
        let passed_on = |pid: u32, count: &'static str| {
            is_passed_on(move |name| match name {
                "LISTEN_PID" => Some(pid.to_string()),
                _ => Some(count.to_owned()),
            })
        };
        let own = std::process::id();
        assert!(passed_on(own, "1").unwrap());
        assert!(!passed_on(own, "0").unwrap());
        assert!(!passed_on(own, "x").unwrap());
        assert!(!passed_on(own + 1, "1").unwrap());
        assert!(passed_on(own, "2").is_err());
        assert!(!is_passed_on(|_| None).unwrap());
    }
}
