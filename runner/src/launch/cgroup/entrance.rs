//! How a process gets into a control group before it does anything else.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::Cgroup;
use super::files::Directory;
use super::hierarchy::Hierarchy;
use crate::launch::LaunchError;

/// How a process gets into a group.
#[derive(Debug, Default)]
pub(in crate::launch) struct Entrance {
    /// A v2 directory to be born in.
    pub(in crate::launch) birthplace: Option<OwnedFd>,
    /// v1 files into which the process itself writes `0`. The kernel takes a process that
    /// moves itself, being its only thread, without the machine-wide lock that every other
    /// migration waits for.
    pub(in crate::launch) tasks: Vec<fs::File>,
}

impl Cgroup {
    /// What a new process needs to be in the group from its first instruction on.
    pub(in crate::launch) fn entrance(&self) -> Result<Entrance, LaunchError> {
        let mut entrance = Entrance::default();
        let open = |path: PathBuf, write: bool| {
            fs::OpenOptions::new()
                .read(!write)
                .write(write)
                .open(&path)
                .map_err(|source| LaunchError::Cgroup {
                    action: "open".to_owned(),
                    path,
                    source,
                })
        };
        if let Some(root) = self.unified_root() {
            entrance.birthplace = Some(open(root.join(&self.path), false)?.into());
        }
        for path in self.legacy().0.values() {
            entrance.tasks.push(open(path.join("tasks"), true)?);
        }
        Ok(entrance)
    }

    /// Whether a process may be in the group itself: v2 refuses once a controller was handed on
    /// to groups below.
    pub(in crate::launch) fn takes_processes(&self) -> bool {
        let Hierarchy::Unified { root } = self.hierarchy else {
            return true;
        };
        let path = root.join(&self.path);
        let handed_on = Directory(&path).read("cgroup.subtree_control");
        handed_on.is_ok_and(|controllers| controllers.trim().is_empty())
    }

    /// As [`Self::entrance`], but where the process `init` is. A container that made groups of
    /// its own (v2) has none left in its first one, and the kernel lets nobody else in there.
    pub(in crate::launch) fn entrance_beside(&self, init: i32) -> Result<Entrance, LaunchError> {
        let mut entrance = self.entrance()?;
        let Some(root) = self.unified_root() else {
            return Ok(entrance);
        };
        let table = PathBuf::from(format!("/proc/{init}"));
        let text = Directory(&table).read("cgroup")?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
        let path = root.join(path.unwrap_or_default());
        let birthplace = fs::File::open(&path).map_err(|source| LaunchError::Cgroup {
            action: "open".to_owned(),
            path,
            source,
        })?;
        entrance.birthplace = Some(birthplace.into());
        Ok(entrance)
    }
}
