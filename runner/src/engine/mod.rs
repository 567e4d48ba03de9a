//! Every decision about containers, images, networks and volumes.
//!
//! `http` turns requests into calls of [`Engine`] and its answers into JSON; below are `launch`
//! (makes processes), `image` (unpacks), `network` (connects) and `store` (keeps records). The
//! engine never knows a status code or a JSON shape of the API, and never makes a raw syscall.
//!
//! Rules that hold throughout:
//! - A record is written before the act it announces and after the act it reports, so that a
//!   restart finds out what a crash interrupted (`restore`).
//! - Each container has its own lock for its verbs; nothing global is held across I/O.

mod container;
mod detach_keys;
mod error;
mod events;
mod exec;
mod filters;
mod image;
mod network;
mod signal;
mod stream;
mod system;
mod volume;

pub use crate::network::PublishedPort;
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
    HistoryView, ImageRemoval, ImageView, ListImages, Progress, ProgressStream, PrunedImages,
    PullImage, PushImage, Pushed, RegistryAuth,
};
pub use network::{CreateNetwork, IpamPool, NetworkMember, NetworkView};
pub use stream::{Attached, ByteStream, InputSink, Logs, OutputStream};
pub use system::{DiskUsage, DiskUsageParts, Info, Version};
pub use volume::{CreateVolume, VolumeUsage, VolumeView};

use std::sync::Arc;

/// The engine; clones share it.
#[derive(Debug, Clone)]
pub struct Engine {
    _shared: Arc<()>,
}
