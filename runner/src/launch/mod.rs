//! Makes containers' processes and looks after them until they end.
//!
//! `engine` writes a bundle through [`Launcher::write_bundle`], creates, starts, and talks to
//! the [`Shim`]: one small process per container that is the parent of init and owns its
//! streams, its log and its exit code, so that the daemon may die.
//!
//! Everything after `clone` happens in the shim, never in the daemon's threads. This folder
//! decides nothing about a container's life (that is `engine`), knows no image and no network.

mod attach;
mod birth;
mod bundle;
mod capability;
mod cgroup;
mod client;
mod config;
pub mod defaults;
mod error;
mod exec;
mod exit;
mod file_system;
mod fitting;
mod hooks;
mod id_maps;
mod init;
mod journal;
mod launcher;
mod log;
mod log_writer;
mod message;
mod mount_options;
mod namespaces;
mod nursery;
mod owner;
pub mod runtime;
mod seccomp;
mod seccomp_prelude;
mod shim;

pub use attach::{AttachInput, AttachOutput, AttachStdio, AttachStream};
pub use cgroup::{BlockIoUsage, Cgroup, CgroupStats, CgroupVersion, CpuUsage, MemoryUsage};
pub use client::{ExecProcess, ExecSpec, ExecState, Shim};
pub use config::{Rootfs, ShimConfig, ShimLog, StdinMode, UserSpec};
pub use error::{LaunchError, StartFailure};
pub use exit::ExitStatus;
pub use file_system::mount_at;
pub use journal::is_there as journal_is_there;
pub use launcher::{Found, Launcher, Written};
pub use log::LogRecord;
pub use owner::owner_in;
pub use shim::{maps_owners_of_layers, shim_main};
