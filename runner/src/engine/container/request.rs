//! What callers may ask of containers: one type per request.

use std::collections::BTreeMap;

use crate::engine::filters::Filters;
use crate::spec::{ContainerConfig, ContainerName, HostConfig, Resources, RestartPolicy};

/// `POST /containers/create`.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// `None` lets the engine invent one.
    pub name: Option<ContainerName>,
    pub config: ContainerConfig,
    pub host: HostConfig,
    /// The platform the image must be of, such as `linux/arm64/v8`; `None` takes what is there.
    pub platform: Option<String>,
}

/// How a container is to be stopped.
#[derive(Debug, Clone, Default)]
pub struct StopOptions {
    /// Signal name or number; `None` takes the container's own stop signal.
    pub signal: Option<String>,
    /// Seconds until SIGKILL; negative waits for ever, `None` takes the container's own.
    pub timeout_s: Option<i64>,
}

/// `DELETE /containers/{id}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Kill it first if it runs.
    pub force: bool,
    /// Remove its anonymous volumes as well.
    pub volumes: bool,
    /// Remove only a legacy link; links do not exist here, so this is refused.
    pub link: bool,
}

/// `GET /containers/json`.
#[derive(Debug, Clone, Default)]
pub struct ListContainers {
    /// Stopped ones too.
    pub all: bool,
    /// Only the newest so many, running or not; zero or less means all.
    pub limit: i64,
    /// Measure the writable layers.
    pub size: bool,
    pub filters: Filters,
}

/// What a wait waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// Returns at once for a container that does not run.
    #[default]
    NotRunning,
    /// The next time it exits, even when it has not started yet.
    NextExit,
    /// It is gone from the list of containers.
    Removed,
}

/// `POST /containers/{id}/attach`.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the independent switches of Docker's API"
)]
pub struct AttachOptions {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// First replay what the log has.
    pub logs: bool,
    /// Go on with what comes; without it only the replay is sent.
    pub stream: bool,
    /// Such as `ctrl-p,ctrl-q`; `None` takes the default.
    pub detach_keys: Option<String>,
}

/// `GET /containers/{id}/logs`.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the independent switches of Docker's API"
)]
pub struct LogOptions {
    pub stdout: bool,
    pub stderr: bool,
    pub since: Option<jiff::Timestamp>,
    pub until: Option<jiff::Timestamp>,
    /// The last so many lines; `None` is all.
    pub tail: Option<u64>,
    /// Put the time in front of each line.
    pub timestamps: bool,
    /// Put the log's attributes in front of each line.
    pub details: bool,
    /// Go on until the container ends.
    pub follow: bool,
}

/// `POST /containers/{id}/update`: what is `None` or empty stays as it is.
#[derive(Debug, Clone, Default)]
pub struct UpdateRequest {
    pub resources: Resources,
    pub restart_policy: Option<RestartPolicy>,
}

/// `GET /containers/{id}/stats`.
#[derive(Debug, Clone, Copy, Default)]
pub struct StatsOptions {
    /// One sample each second; otherwise one only.
    pub stream: bool,
    /// With `stream` off: do not wait for a second sample to compare with.
    pub one_shot: bool,
}

/// `PUT /containers/{id}/archive`.
#[derive(Debug, Clone, Default)]
pub struct PutArchive {
    /// Directory of the container to unpack into.
    pub path: String,
    /// Refuse to replace a directory by something else, or the other way round.
    pub no_overwrite_dir_non_dir: bool,
    /// Make the files belong to the container's user.
    pub copy_uid_gid: bool,
}

/// Labels or other pairs, in order.
pub type StringMap = BTreeMap<String, String>;
