//! The engine about itself and its machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;

use super::container::ContainerView;
use super::image::ImageView;
use super::volume::VolumeView;
use super::{Engine, EngineError};

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

impl Engine {
    pub fn version(&self) -> Version {
        let _ = self;
        todo!()
    }

    pub async fn info(&self) -> Result<Info, EngineError> {
        let _ = self;
        todo!()
    }

    pub async fn disk_usage(&self, parts: DiskUsageParts) -> Result<DiskUsage, EngineError> {
        let _ = (self, parts);
        todo!()
    }
}
