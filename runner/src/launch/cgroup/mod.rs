//! Control groups: v2 where the machine has it, v1 where that is what there is.

mod stats;

pub use stats::{BlockIoUsage, CgroupStats, CpuUsage, MemoryUsage};

use std::path::PathBuf;

use oci_spec::runtime::LinuxResources;

use super::LaunchError;

/// The version of the interface that carries the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupVersion {
    V1,
    V2,
}

/// The control group of one container. Holds no file open.
///
/// All calls are a few reads and writes in the cgroup file system, which never block for long,
/// except `pause`, which waits until every process has stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// What this machine has.
    pub fn version() -> Result<CgroupVersion, LaunchError> {
        todo!()
    }

    /// Stops every process of the container where it stands.
    pub fn pause(&self) -> Result<(), LaunchError> {
        let _ = &self.path;
        todo!()
    }

    pub fn resume(&self) -> Result<(), LaunchError> {
        todo!()
    }

    /// Changes limits; what is `None` stays.
    pub fn update(&self, resources: &LinuxResources) -> Result<(), LaunchError> {
        let _ = resources;
        todo!()
    }

    pub fn stats(&self) -> Result<CgroupStats, LaunchError> {
        todo!()
    }

    /// Process ids, as this host counts.
    pub fn processes(&self) -> Result<Vec<i32>, LaunchError> {
        todo!()
    }

    /// Whether memory ever ran out in the container.
    pub fn oom_killed(&self) -> Result<bool, LaunchError> {
        todo!()
    }
}
