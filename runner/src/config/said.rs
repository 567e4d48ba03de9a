//! What the file, the environment or the flags say: every key optional, nothing checked yet.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One source of settings, in the words of `config/agent.toml`. Later sources win key by key:
/// file, then `HYTHE_*` environment, then flags.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Said {
    /// Path of the API's unix socket (`HYTHE_SOCKET`).
    pub socket: Option<PathBuf>,
    /// Group that may use the socket.
    pub group: Option<String>,
    /// `tcp://ADDRESS:PORT` to serve as well; needs the three `tls-` files.
    pub tcp: Option<String>,
    pub tls_ca_cert: Option<PathBuf>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    /// Images, containers, volumes.
    pub data: Option<PathBuf>,
    /// Run-time files that a reboot may lose.
    pub exec_root: Option<PathBuf>,
    /// Names the bridge, the nft table and the cgroup of this agent.
    pub instance: Option<String>,
    pub registry_mirrors: Option<Vec<String>>,
    pub insecure_registries: Option<Vec<String>>,
    pub default_registry: Option<String>,
    pub max_concurrent_downloads: Option<usize>,
    pub max_concurrent_uploads: Option<usize>,
    /// Address and prefix of the default bridge.
    pub bip: Option<String>,
    /// `base=CIDR,size=N`.
    pub default_address_pools: Option<Vec<String>>,
    pub mtu: Option<u32>,
    /// Whether containers on the default bridge may talk to each other.
    pub icc: Option<bool>,
    pub dns: Option<Vec<String>>,
    pub dns_search: Option<Vec<String>>,
    pub dns_opts: Option<Vec<String>>,
    pub log_driver: Option<String>,
    pub log_opts: Option<BTreeMap<String, String>>,
    pub default_shm_size: Option<String>,
    /// `NAME=SOFT[:HARD]`.
    pub default_ulimits: Option<Vec<String>>,
    pub cgroup_parent: Option<String>,
    /// Run an init process in every container unless it says otherwise.
    pub init: Option<bool>,
    pub userns_remap: Option<String>,
    pub labels: Option<Vec<String>>,
    pub debug: Option<bool>,
}

macro_rules! merge_fields {
    ($over:ident, $under:ident, $($field:ident),* $(,)?) => {
        Said { $($field: $over.$field.or($under.$field)),* }
    };
}

impl Said {
    /// This source's word where it has one, else the `under` source's.
    #[must_use]
    pub fn over(self, under: Self) -> Self {
        merge_fields!(
            self,
            under,
            socket,
            group,
            tcp,
            tls_ca_cert,
            tls_cert,
            tls_key,
            data,
            exec_root,
            instance,
            registry_mirrors,
            insecure_registries,
            default_registry,
            max_concurrent_downloads,
            max_concurrent_uploads,
            bip,
            default_address_pools,
            mtu,
            icc,
            dns,
            dns_search,
            dns_opts,
            log_driver,
            log_opts,
            default_shm_size,
            default_ulimits,
            cgroup_parent,
            init,
            userns_remap,
            labels,
            debug,
        )
    }
}
