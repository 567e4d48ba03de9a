//! From what was said to what holds: defaults, checks, types. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{
    AgentConfig, ApiConfig, ConfigError, ContainerDefaults, DnsDefaults, RegistryConfig, Said,
    TcpConfig,
};
use crate::network::{AddressPool, NetworkSettings};
use crate::spec::{LogConfig, LogDriver, Ulimit};

const DEFAULT_DATA: &str = "/var/lib/hythe";
const DEFAULT_EXEC_ROOT: &str = "/run/hythe";
const DEFAULT_SOCKET: &str = "/run/hythe/hythe.sock";
/// Far above what real images hold, far below what hurts a machine for long.
const DEFAULT_MAX_LAYER_BYTES: u64 = 256 << 30;

/// Checks every key.
pub(super) fn resolve(said: Said) -> Result<AgentConfig, ConfigError> {
    let data_root = absolute(
        "data",
        said.data.as_deref().unwrap_or(Path::new(DEFAULT_DATA)),
    )?;
    let default_place = data_root == Path::new(DEFAULT_DATA);
    let exec_root = match said.exec_root.as_deref() {
        Some(path) => absolute("exec-root", path)?,
        None if default_place => DEFAULT_EXEC_ROOT.into(),
        None => data_root.join("run"),
    };
    let instance = match said.instance.as_deref() {
        Some(name) => checked_instance(name)?,
        None if default_place => "hythe".to_owned(),
        None => instance_of(&data_root),
    };
    Ok(AgentConfig {
        api: api(&said)?,
        registry: registry(&said)?,
        network: network(&said, &instance)?,
        dns: DnsDefaults {
            servers: addresses("dns", said.dns.as_deref().unwrap_or_default())?,
            search: said.dns_search.clone().unwrap_or_default(),
            options: said.dns_opts.clone().unwrap_or_default(),
        },
        containers: containers(&said, &instance)?,
        labels: said.labels.unwrap_or_default(),
        debug: said.debug.unwrap_or_default(),
        data_root,
        exec_root,
        instance,
    })
}

fn invalid(key: &str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Invalid {
        key: key.to_owned(),
        reason: reason.into(),
    }
}

fn absolute(key: &str, path: &Path) -> Result<PathBuf, ConfigError> {
    std::path::absolute(path).map_err(|error| invalid(key, error.to_string()))
}

/// Interface names have 15 bytes; a bridge takes the instance and a digit.
fn checked_instance(name: &str) -> Result<String, ConfigError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if (1..=12).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(name.to_owned())
    } else {
        Err(invalid(
            "instance",
            "must be 1 to 12 letters, digits or dashes",
        ))
    }
}

/// Agents with other data directories must not meet in the kernel, and the same one must find
/// its own things again.
fn instance_of(data_root: &Path) -> String {
    let digest = Sha256::digest(data_root.as_os_str().as_encoded_bytes());
    format!("hythe-{}", hex::encode(&digest[..3]))
}

fn api(said: &Said) -> Result<ApiConfig, ConfigError> {
    let tcp = match &said.tcp {
        None => None,
        Some(address) => {
            let listen = address
                .strip_prefix("tcp://")
                .unwrap_or(address)
                .parse()
                .map_err(|_| invalid("tcp", format!("{address:?} is not tcp://ADDRESS:PORT")))?;
            let file = |key: &str, path: &Option<PathBuf>| {
                path.clone().ok_or_else(|| {
                    invalid(
                        key,
                        "needed for tcp: the API over TCP is for certificates only",
                    )
                })
            };
            Some(TcpConfig {
                listen,
                ca_cert: file("tls-ca-cert", &said.tls_ca_cert)?,
                cert: file("tls-cert", &said.tls_cert)?,
                key: file("tls-key", &said.tls_key)?,
            })
        }
    };
    let socket = said.socket.as_deref().unwrap_or(Path::new(DEFAULT_SOCKET));
    Ok(ApiConfig {
        socket: absolute("socket", socket)?,
        group: said.group.clone(),
        is_passed_on: false,
        tcp,
    })
}

fn registry(said: &Said) -> Result<RegistryConfig, ConfigError> {
    let at_least_one = |key: &str, value: Option<usize>, default| match value {
        Some(0) => Err(invalid(key, "must be at least 1")),
        Some(n) => Ok(n),
        None => Ok(default),
    };
    Ok(RegistryConfig {
        default_registry: said
            .default_registry
            .clone()
            .unwrap_or_else(|| "docker.io".to_owned()),
        mirrors: said.registry_mirrors.clone().unwrap_or_default(),
        insecure: said.insecure_registries.clone().unwrap_or_default(),
        auth_file: match said.registry_auth_file.as_deref() {
            Some(path) => Some(absolute("registry-auth-file", path)?),
            None => None,
        },
        max_concurrent_downloads: at_least_one(
            "max-concurrent-downloads",
            said.max_concurrent_downloads,
            3,
        )?,
        max_concurrent_uploads: at_least_one(
            "max-concurrent-uploads",
            said.max_concurrent_uploads,
            5,
        )?,
        max_layer_bytes: match &said.max_layer_size {
            None => DEFAULT_MAX_LAYER_BYTES,
            Some(text) => size("max-layer-size", text)?,
        },
    })
}

fn network(said: &Said, instance: &str) -> Result<NetworkSettings, ConfigError> {
    let bridge_address = match &said.bip {
        None => None,
        Some(text) => {
            let wrong = |_| invalid("bip", format!("{text:?} is no IPv4 address with prefix"));
            Some(text.parse().map_err(wrong)?)
        }
    };
    let defaults = NetworkSettings::new(instance);
    let address_pools = match said.default_address_pools.as_deref().unwrap_or_default() {
        [] => defaults.address_pools.clone(),
        pools => pools
            .iter()
            .map(|text| pool(text))
            .collect::<Result<_, _>>()?,
    };
    Ok(NetworkSettings {
        bridge_address,
        address_pools,
        mtu: said.mtu,
        ..defaults
    })
}

/// `base=CIDR,size=N`.
fn pool(text: &str) -> Result<AddressPool, ConfigError> {
    let wrong = || {
        invalid(
            "default-address-pools",
            format!("{text:?} is not base=CIDR,size=N"),
        )
    };
    let (mut base, mut size) = (None, None);
    for part in text.split(',') {
        match part.split_once('=').ok_or_else(wrong)? {
            ("base", value) => base = Some(value.parse::<ipnet::IpNet>().map_err(|_| wrong())?),
            ("size", value) => size = Some(value.parse::<u8>().map_err(|_| wrong())?),
            _ => return Err(wrong()),
        }
    }
    match (base, size) {
        (Some(base), Some(size)) if base.prefix_len() <= size && size <= base.max_prefix_len() => {
            Ok(AddressPool { base, size })
        }
        _ => Err(wrong()),
    }
}

fn addresses(key: &str, texts: &[String]) -> Result<Vec<IpAddr>, ConfigError> {
    texts
        .iter()
        .map(|text| {
            text.parse()
                .map_err(|_| invalid(key, format!("{text:?} is no IP address")))
        })
        .collect()
}

fn containers(said: &Said, instance: &str) -> Result<ContainerDefaults, ConfigError> {
    let shm_size_bytes = match &said.default_shm_size {
        None => None,
        Some(text) => Some(size("default-shm-size", text)?),
    };
    let ulimits = said.default_ulimits.as_deref().unwrap_or_default();
    Ok(ContainerDefaults {
        log: log(said)?,
        shm_size_bytes,
        ulimits: ulimits
            .iter()
            .map(|text| ulimit(text))
            .collect::<Result<_, _>>()?,
        cgroup_parent: said
            .cgroup_parent
            .clone()
            .unwrap_or_else(|| format!("/{instance}")),
        init: said.init.unwrap_or_default(),
        userns_remap: said.userns_remap.clone(),
    })
}

fn log(said: &Said) -> Result<LogConfig, ConfigError> {
    let driver = match said.log_driver.as_deref() {
        None | Some("json-file") => LogDriver::JsonFile,
        Some("local") => LogDriver::Local,
        Some("journald") => LogDriver::Journald,
        Some("none") => LogDriver::None,
        Some(other) => return Err(invalid("log-driver", format!("{other:?} is not known"))),
    };
    let empty = BTreeMap::new();
    let mut log = LogConfig::of(driver);
    for (key, value) in said.log_opts.as_ref().unwrap_or(&empty) {
        let wrong = || invalid("log-opts", format!("{key} cannot be {value:?}"));
        match (driver, key.as_str()) {
            (LogDriver::Journald, "tag") => log.tag.clone_from(value),
            (LogDriver::Journald, _) => {
                return Err(invalid("log-opts", format!("journald has no {key}")));
            }
            (_, "max-size") => log.max_size_bytes = Some(size("log-opts", value)?),
            (_, "max-file") => {
                log.max_files = value.parse().ok().filter(|&n| n > 0).ok_or_else(wrong)?;
            }
            (_, "compress") => log.compress = value.parse().map_err(|_| wrong())?,
            _ => return Err(invalid("log-opts", format!("{key} is not known"))),
        }
    }
    Ok(log)
}

/// Bytes, with docker's suffixes `b`, `k`, `m`, `g`, `t`.
fn size(key: &str, text: &str) -> Result<u64, ConfigError> {
    let wrong = || invalid(key, format!("{text:?} is no size"));
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &lower[digits.len()..] {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        "t" | "tb" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// `NAME=SOFT[:HARD]`.
fn ulimit(text: &str) -> Result<Ulimit, ConfigError> {
    let parse = || {
        let (name, values) = text.split_once('=')?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        Some(Ulimit {
            name: name.to_owned(),
            soft: soft.parse().ok()?,
            hard: hard.parse().ok()?,
        })
    };
    parse().ok_or_else(|| {
        invalid(
            "default-ulimits",
            format!("{text:?} is not NAME=SOFT[:HARD]"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(toml: &str) -> Result<AgentConfig, ConfigError> {
        resolve(Said::from_toml(toml).unwrap())
    }

    #[test]
    fn nothing_said_is_the_default_place() {
        let config = from("").unwrap();
        assert_eq!(config.data_root, Path::new(DEFAULT_DATA));
        assert_eq!(config.exec_root, Path::new("/run/hythe"));
        assert_eq!(config.instance, "hythe");
        assert_eq!(config.containers.cgroup_parent, "/hythe");
    }

    #[test]
    fn shipped_file_says_the_defaults() {
        let text = include_str!("../../../config/agent.toml");
        let (shipped, nothing) = (from(text).unwrap(), from("").unwrap());
        let shipped_shm = shipped.containers.shm_size_bytes;
        assert_eq!(shipped_shm, Some(64 << 20));
        assert_eq!(shipped.containers.log, nothing.containers.log);
        assert_eq!(format!("{:?}", shipped.api), format!("{:?}", nothing.api));
        assert_eq!(
            format!("{:?}", shipped.registry),
            format!("{:?}", nothing.registry)
        );
        assert_eq!(shipped.network, nothing.network);
    }

    #[test]
    fn another_place_is_another_instance() {
        let (one, two) = (from("data = '/a'").unwrap(), from("data = '/b'").unwrap());
        assert_ne!(one.instance, two.instance);
        assert!(one.instance.len() <= 12);
        assert_eq!(one.exec_root, Path::new("/a/run"));
    }

    #[test]
    fn wrong_values_name_their_key() {
        let cases = [
            ("tcp = 'tcp://0.0.0.0:2376'", "tls-ca-cert"),
            ("bip = '172.17.0.1'", "bip"),
            (
                "default-address-pools = ['base=10.0.0.0/8,size=4']",
                "default-address-pools",
            ),
            ("dns = ['x']", "dns"),
            ("default-shm-size = '64q'", "default-shm-size"),
            ("max-layer-size = 'much'", "max-layer-size"),
            ("default-ulimits = ['nofile']", "default-ulimits"),
            ("log-opts = { max-file = '0' }", "log-opts"),
            ("log-driver = 'syslog'", "log-driver"),
            (
                "log-driver = 'journald'\nlog-opts = { max-size = '1m' }",
                "log-opts",
            ),
            ("instance = 'far-too-long-a-name'", "instance"),
            ("max-concurrent-downloads = 0", "max-concurrent-downloads"),
        ];
        for (toml, expected) in cases {
            match from(toml) {
                Err(ConfigError::Invalid { key, .. }) => assert_eq!(key, expected, "{toml}"),
                other => panic!("{toml}: {other:?}"),
            }
        }
    }
}
