//! Every decision about containers, images, networks and volumes.
//!
//! `http` turns requests into calls of [`Engine`] and its answers into JSON; below are `launch`
//! (makes processes), `image` (unpacks), `network` (connects) and `store` (keeps records). The
//! engine never knows a status code or a JSON shape of the API, and never makes a raw syscall.
//!
//! Rules that hold throughout:
//! - A record is written before the act it announces and after the act it reports, so that a
//!   restart finds out what a crash interrupted (`open`).
//! - Each container has its own lock for its verbs; nothing global is held across I/O.
//! - A verb that has begun is carried through even if its caller goes away (`Engine::carry_out`).

#![expect(
    clippy::unused_async,
    reason = "every verb of the facade is async, whether or not it waits for anything today"
)]

mod build;
mod channel;
mod container;
mod detach_keys;
mod error;
mod events;
mod exec;
mod filters;
mod image;
mod lookup;
mod network;
mod open;
mod pack;
mod paths;
mod runtime_spec;
mod stream;
mod system;
mod userns;
mod volume;

pub use build::BuildRequest;

pub use crate::network::{NetworkSettings, PublishedPort};
pub use container::{
    AttachOptions, BlockIoEntry, Change, ChangeKind, ContainerSize, ContainerView, CpuStats,
    CreateRequest, CreatedContainer, EndpointView, Health, HealthProbe, HealthStatus,
    InterfaceStats, ListContainers, LogOptions, MemoryStats, MountKind, MountView, PathStat,
    Pruned, PutArchive, RemoveOptions, Stats, StatsOptions, StopOptions, StringMap, Top,
    UpdateRequest, WaitCondition, Waited,
};
pub use error::EngineError;
pub use events::{Event, EventKind, EventQuery};
pub use exec::{ExecConfig, ExecView, StartExec};
pub use filters::Filters;
pub use image::{
    CommitContainer, HistoryView, ImageRemoval, ImageView, ImportImage, ListImages, ManifestView,
    Progress, ProgressStream, PrunedImages, PullImage, PushImage, Pushed, RegistryAuth,
    RemoteImage, RemoveImage, SearchImages, TransferResult,
};
pub use network::{CreateNetwork, IpamPool, NetworkMember, NetworkView};

pub use open::OpenError;
pub use stream::{Attached, ByteStream, InputSink, Logs, OutputStream};
pub use system::{DiskUsage, DiskUsageParts, Info, Version};
pub use volume::{CreateVolume, VolumeUsage, VolumeView};

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use hythe_oci::client::Client;

use crate::image::{ImageStore, Neighbour};
use crate::launch::Launcher;
use crate::network::{NetworkSpec, Networks};
use crate::spec::{LogConfig, Ulimit};
use crate::store::{Records, SplitRecords};
use container::{Record, Table};
use error::chain;
use events::EventHub;
use exec::Execs;
use paths::Paths;
use userns::IdMappings;
use volume::Volumes;

/// What the agent's configuration says to the engine.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    pub data_root: PathBuf,
    pub exec_root: PathBuf,
    pub network: NetworkSettings,
    pub registry: RegistrySettings,
    /// A registry in this process.
    pub neighbour: Option<Neighbour>,
    /// Name servers of containers that name none; empty means the host's.
    pub dns: Vec<IpAddr>,
    pub dns_search: Vec<String>,
    pub dns_options: Vec<String>,
    pub log: LogConfig,
    pub shm_size_bytes: u64,
    pub ulimits: Vec<Ulimit>,
    pub cgroup_parent: String,
    pub init: bool,
    /// `default` or `user[:group]`: whose subordinate ids those of containers are.
    pub userns_remap: Option<String>,
    pub labels: Vec<String>,
    pub debug: bool,
}

/// How images travel.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    pub default_registry: String,
    /// `URL` for docker.io, `HOST=URL` for another registry; tried in order.
    pub mirrors: Vec<String>,
    pub insecure: Vec<String>,
    /// The agent's own logins, as docker's `config.json` has them.
    pub auth_file: Option<PathBuf>,
    pub max_concurrent_downloads: usize,
    pub max_concurrent_uploads: usize,
    /// What one layer may unpack to.
    pub max_layer_bytes: u64,
}

/// The engine; clones share it.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What every part of the engine reaches.
#[derive(Debug)]
struct Shared {
    settings: EngineSettings,
    /// Stable over restarts.
    id: String,
    paths: Paths,
    containers: Table,
    records: SplitRecords<Record>,
    execs: Execs,
    volumes: Volumes,
    networks: Networks,
    network_records: Records<NetworkSpec>,
    images: ImageStore,
    /// For logins; pulls and pushes go through `images`.
    registry_client: Client,
    launcher: Launcher,
    /// `None` where containers' ids are the host's.
    id_mappings: Option<IdMappings>,
    events: EventHub,
}

impl Engine {
    /// Runs a verb in a task of its own, so that it is carried through even when the caller
    /// drops the future half-way, as a server does when a client hangs up.
    async fn carry_out<T: Send + 'static>(
        &self,
        verb: impl Future<Output = Result<T, EngineError>> + Send + 'static,
    ) -> Result<T, EngineError> {
        match tokio::spawn(verb).await {
            Ok(result) => result,
            Err(error) => Err(EngineError::Internal(format!(
                "the request was not carried out: {}",
                chain(&error)
            ))),
        }
    }
}
