//! What the engine tells the shim beyond the OCI bundle: `shim.json`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything the shim needs that the runtime specification has no word for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimConfig {
    /// The container's id.
    pub id: String,
    pub rootfs: Rootfs,
    /// `None` keeps no log.
    pub log: Option<ShimLog>,
    pub stdin: StdinMode,
    /// Rows and columns of the terminal at the start; only with `process.terminal`.
    pub console_size: Option<(u16, u16)>,
    /// Who the program runs as, by the container's own `/etc/passwd` and `/etc/group`.
    ///
    /// `None` takes the numbers of `process.user`.
    pub user: Option<UserSpec>,
    /// Stay as init beside the program: pass signals on, reap orphans.
    #[serde(default)]
    pub reaper: bool,
}

/// A user as people write it, resolved inside the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSpec {
    /// `user[:group]`, names or numbers; empty means root.
    pub user: String,
    /// Further groups, names or numbers (`--group-add`).
    pub additional_groups: Vec<String>,
}

/// Where the container's root file system comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rootfs {
    /// Mounted by the shim and never visible in the host's mount namespace.
    Overlay {
        /// Read-only layers, topmost first.
        lower: Vec<PathBuf>,
        /// The container's own, writable layer.
        upper: PathBuf,
        /// Empty directory on the file system of `upper`, for the kernel.
        work: PathBuf,
        /// Further options of overlayfs, such as `volatile` or `metacopy=on`.
        options: Vec<String>,
    },
    /// A directory as it is.
    Directory(PathBuf),
}

/// The `json-file` log of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimLog {
    pub path: PathBuf,
    /// Rotate before a file grows beyond this; `None` never rotates.
    pub max_size_bytes: Option<u64>,
    /// Files kept, the current one included; at least 1.
    pub max_files: u32,
    /// Compress the files that are no longer written to.
    pub compress: bool,
    /// Send each line to systemd's journal as well, with these fields.
    #[serde(default)]
    pub journal: Option<Vec<(String, String)>>,
}

/// What the container's stdin is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StdinMode {
    /// `/dev/null`.
    #[default]
    Closed,
    /// Stays open whoever comes and goes.
    Open,
    /// Ends for good when the first client that is attached to it ends.
    Once,
}
