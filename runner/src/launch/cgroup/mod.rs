//! Control groups: v2 where the machine has it, v1 where that is what there is.
//!
//! The shim creates and removes a container's group; the daemon reads and changes it. Nothing
//! here knows a container's state.

mod device_program;
mod entrance;
mod files;
mod hierarchy;
mod stats;
mod v1;
mod v2;

pub(super) use entrance::Entrance;
pub use stats::{BlockIoUsage, CgroupStats, CpuUsage, MemoryUsage};

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxResources};

use super::LaunchError;
use crate::sys::{device_filter, process};
use files::Directory;
use hierarchy::Hierarchy;

/// How long freezing and dying processes are waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE_BETWEEN_LOOKS: Duration = Duration::from_millis(1);
const SIGKILL: i32 = 9;

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
    /// Relative to the root of each hierarchy.
    path: PathBuf,
    hierarchy: &'static Hierarchy,
}

impl Cgroup {
    /// What this machine has.
    pub fn version() -> Result<CgroupVersion, LaunchError> {
        Ok(match Hierarchy::of_this_machine()? {
            Hierarchy::Unified { .. } => CgroupVersion::V2,
            Hierarchy::Legacy { .. } => CgroupVersion::V1,
        })
    }

    /// Whether this machine can limit swap.
    pub(super) fn counts_swap() -> bool {
        match Hierarchy::of_this_machine() {
            Ok(Hierarchy::Legacy { controllers, .. }) => controllers
                .get("memory")
                .is_some_and(|root| Directory(root).has("memory.memsw.limit_in_bytes")),
            // The root has no such file; every kernel built with swap gives it to the others.
            Ok(Hierarchy::Unified { .. }) => Path::new("/proc/swaps").exists(),
            Err(_) => false,
        }
    }

    /// Whether this machine lets a group say how much it swaps and that it is not to be killed
    /// when memory runs out; v2 has neither.
    pub(super) fn tunes_memory() -> bool {
        matches!(
            Hierarchy::of_this_machine(),
            Ok(Hierarchy::Legacy { controllers, .. }) if controllers.contains_key("memory")
        )
    }

    /// Whether this machine can weigh the block input and output of groups against each other.
    /// The root has no such file, so a group is made to look at.
    pub(super) fn weighs_block_io() -> bool {
        static WEIGHS: OnceLock<bool> = OnceLock::new();
        let look = || -> Result<bool, LaunchError> {
            let name = PathBuf::from(format!("hythe-probe-{}", std::process::id()));
            let (root, files) = match Hierarchy::of_this_machine()? {
                Hierarchy::Unified { root } => {
                    v2::create(root, &name)?;
                    (root, ["io.weight", "io.bfq.weight"])
                }
                Hierarchy::Legacy { controllers, .. } => {
                    let Some(root) = controllers.get("blkio") else {
                        return Ok(false);
                    };
                    v1::create("blkio", root, &name)?;
                    (root, ["blkio.weight", "blkio.bfq.weight"])
                }
            };
            let path = root.join(name);
            let weighs = files.iter().any(|file| Directory(&path).has(file));
            files::remove(&path)?;
            Ok(weighs)
        };
        *WEIGHS.get_or_init(|| look().unwrap_or(false))
    }

    /// The group at `path` of every hierarchy, as in `linux.cgroupsPath`. Creates nothing.
    pub fn at(path: &Path) -> Result<Self, LaunchError> {
        let relative: PathBuf = path
            .components()
            .filter(|component| !matches!(component, Component::RootDir | Component::CurDir))
            .collect();
        let climbs = relative.components().any(|it| it == Component::ParentDir);
        if climbs || relative.as_os_str().is_empty() {
            return Err(LaunchError::InvalidBundle(format!(
                "{} is not the path of a control group",
                path.display()
            )));
        }
        Ok(Self {
            path: relative,
            hierarchy: Hierarchy::of_this_machine()?,
        })
    }

    /// Makes the group with its limits. It must be empty if it is there already.
    pub(super) fn create(&self, resources: Option<&LinuxResources>) -> Result<(), LaunchError> {
        match self.hierarchy {
            Hierarchy::Unified { root } => v2::create(root, &self.path)?,
            Hierarchy::Legacy {
                controllers,
                unified,
            } => {
                for (name, root) in controllers {
                    v1::create(name, root, &self.path)?;
                }
                if let Some(root) = unified {
                    v2::create(root, &self.path)?;
                }
            }
        }
        let Some(resources) = resources else {
            return Ok(());
        };
        self.update(resources)?;
        self.apply_devices(resources.devices().as_deref().unwrap_or_default())
    }

    fn apply_devices(&self, rules: &[LinuxDeviceCgroup]) -> Result<(), LaunchError> {
        match self.hierarchy {
            Hierarchy::Legacy { .. } => self.legacy().apply_devices(rules),
            Hierarchy::Unified { .. } if rules.is_empty() => Ok(()),
            Hierarchy::Unified { root } => {
                let path = root.join(&self.path);
                let attach = || -> io::Result<()> {
                    let program = device_filter::load(&device_program::compile(rules))?;
                    device_filter::replace(fs::File::open(&path)?.as_fd(), &program)
                };
                attach().map_err(|source| LaunchError::Cgroup {
                    action: "attach the device filter to".to_owned(),
                    path: path.clone(),
                    source,
                })
            }
        }
    }

    /// Stops every process of the container where it stands.
    pub fn pause(&self) -> Result<(), LaunchError> {
        self.freeze(true)
    }

    pub fn resume(&self) -> Result<(), LaunchError> {
        self.freeze(false)
    }

    /// Whether its processes stand still.
    pub(super) fn is_paused(&self) -> bool {
        let legacy = self.legacy();
        if let Some(path) = legacy.0.get("freezer") {
            let state = Directory(path).read("freezer.state");
            return state.is_ok_and(|it| it.trim() != "THAWED");
        }
        self.unified_root().is_some_and(|root| {
            Directory(&root.join(&self.path)).read_key("cgroup.events", "frozen") == 1
        })
    }

    fn freeze(&self, frozen: bool) -> Result<(), LaunchError> {
        let legacy = self.legacy();
        if let Some(path) = legacy.0.get("freezer") {
            let state = if frozen { "FROZEN" } else { "THAWED" };
            let group = Directory(path);
            return wait_until(path, "freeze or thaw", || {
                // Written again each time: processes born meanwhile have to be caught as well.
                group.write("freezer.state", state)?;
                Ok(group.read("freezer.state")?.trim() == state)
            });
        }
        let Some(root) = self.unified_root() else {
            return Err(LaunchError::InvalidBundle(
                "this machine has no freezer controller".to_owned(),
            ));
        };
        let path = root.join(&self.path);
        let group = Directory(&path);
        let state = u64::from(frozen);
        group.write("cgroup.freeze", &state.to_string())?;
        wait_until(&path, "freeze or thaw", || {
            Ok(group.read_key("cgroup.events", "frozen") == state)
        })
    }

    /// Whether it is frozen, or about to be.
    pub fn is_frozen(&self) -> bool {
        let legacy = self.legacy();
        if let Some(path) = legacy.0.get("freezer") {
            let state = Directory(path).read("freezer.state");
            return state.is_ok_and(|state| state.trim() != "THAWED");
        }
        self.unified_root().is_some_and(|root| {
            let frozen = Directory(&root.join(&self.path)).read("cgroup.freeze");
            frozen.is_ok_and(|frozen| frozen.trim() == "1")
        })
    }

    /// Changes limits; what is `None` stays.
    pub fn update(&self, resources: &LinuxResources) -> Result<(), LaunchError> {
        match self.hierarchy {
            Hierarchy::Unified { root } => v2::apply(Directory(&root.join(&self.path)), resources),
            Hierarchy::Legacy { .. } => self.legacy().apply(resources),
        }
    }

    pub fn stats(&self) -> Result<CgroupStats, LaunchError> {
        self.check_exists()?;
        Ok(match self.hierarchy {
            Hierarchy::Unified { root } => v2::stats(Directory(&root.join(&self.path))),
            Hierarchy::Legacy { .. } => self.legacy().stats(),
        })
    }

    /// Process ids, as this host counts, also of groups that the container made below.
    pub fn processes(&self) -> Result<Vec<i32>, LaunchError> {
        let mut found = Vec::new();
        for path in Directory(&self.any_directory()).tree() {
            let text = match Directory(&path).read("cgroup.procs") {
                Err(LaunchError::Cgroup { source, .. })
                    if source.raw_os_error() == Some(ENODEV)
                        || source.kind() == io::ErrorKind::NotFound =>
                {
                    continue;
                }
                other => other?,
            };
            // 0 stands for a process of another pid namespace, which cannot be named here.
            let ids = text.lines().filter_map(|line| line.parse().ok());
            found.extend(ids.filter(|pid: &i32| *pid > 0));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Whether memory ever ran out in the container.
    pub fn oom_killed(&self) -> Result<bool, LaunchError> {
        let n_killed = match self.hierarchy {
            Hierarchy::Unified { root } => {
                Directory(&root.join(&self.path)).read_key("memory.events", "oom_kill")
            }
            Hierarchy::Legacy { .. } => self.legacy().0.get("memory").map_or(0, |path| {
                Directory(path).read_key("memory.oom_control", "oom_kill")
            }),
        };
        Ok(n_killed > 0)
    }

    /// Sends SIGKILL to every process; they may still be dying when this returns.
    pub fn kill(&self) -> Result<(), LaunchError> {
        if let Some(root) = self.unified_root() {
            let path = root.join(&self.path);
            let group = Directory(&path);
            // Since Linux 5.14; catches also what is being forked.
            if group.has("cgroup.kill") {
                group.write("cgroup.kill", "1")?;
                self.thaw_the_dying();
                return Ok(());
            }
        }
        // Processes may fork while the list is read: until a list holds none that lived.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut any = false;
            for pid in self.processes()? {
                any |= process::send_signal_to(pid, SIGKILL).is_ok();
            }
            if !any || Instant::now() > deadline {
                return Ok(());
            }
            self.thaw_the_dying();
            thread::sleep(PAUSE_BETWEEN_LOOKS);
        }
    }

    /// What v1 has frozen dies only once it is thawed; it runs no further instruction of its own,
    /// as the signal is there before.
    fn thaw_the_dying(&self) {
        if let Some(path) = self.legacy().0.get("freezer")
            && let Err(error) = Directory(path).write("freezer.state", "THAWED")
        {
            tracing::debug!(path = %path.display(), %error, "nothing to thaw");
        }
    }

    /// Removes the group and those below it; `false` while a process is still dying in it.
    pub(super) fn try_remove(&self) -> Result<bool, LaunchError> {
        for root in self.directories() {
            // Few containers make groups of their own below.
            if files::remove(&root)? {
                continue;
            }
            for path in Directory(&root).tree() {
                if !files::remove(&path)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Kills what is in the group and removes it.
    pub(super) fn destroy(&self) -> Result<(), LaunchError> {
        wait_until(&self.path, "remove", || {
            if self.try_remove()? {
                return Ok(true);
            }
            self.kill()?;
            Ok(false)
        })
    }

    /// Removes the group where nothing is in it, neither a process nor another group.
    pub fn remove_if_empty(&self) {
        for root in self.directories() {
            // In use, or never made: both are as they should be.
            let _kept = std::fs::remove_dir(root);
        }
    }

    fn check_exists(&self) -> Result<(), LaunchError> {
        let path = self.any_directory();
        if path.is_dir() {
            return Ok(());
        }
        Err(LaunchError::NotRunning(format!(
            "control group {} is gone",
            path.display()
        )))
    }

    /// A directory where every process of the group is listed.
    fn any_directory(&self) -> PathBuf {
        match self.hierarchy {
            Hierarchy::Unified { root } => root.join(&self.path),
            Hierarchy::Legacy { controllers, .. } => {
                let preferred = ["pids", "memory", "cpu"];
                let found = preferred.iter().find_map(|name| controllers.get(*name));
                let root = found.or_else(|| controllers.values().next());
                root.map_or_else(PathBuf::new, |root| root.join(&self.path))
            }
        }
    }

    fn unified_root(&self) -> Option<&'static Path> {
        match self.hierarchy {
            Hierarchy::Unified { root } => Some(root),
            Hierarchy::Legacy { unified, .. } => unified.as_deref(),
        }
    }

    fn legacy(&self) -> v1::Group {
        match self.hierarchy {
            Hierarchy::Unified { .. } => v1::Group(BTreeMap::new()),
            Hierarchy::Legacy { controllers, .. } => v1::Group(
                controllers
                    .iter()
                    .map(|(name, root)| (name.clone(), root.join(&self.path)))
                    .collect(),
            ),
        }
    }

    /// Every directory of the group, each once.
    fn directories(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = self.legacy().0.into_values().collect();
        all.extend(self.unified_root().map(|root| root.join(&self.path)));
        all.sort();
        all.dedup();
        all
    }

    /// v1 controllers with the directory of this group, for mounting them into the container.
    pub(super) fn legacy_directories(&self) -> BTreeMap<String, PathBuf> {
        self.legacy().0
    }
}

/// The group was removed while its file was open.
const ENODEV: i32 = 19;

fn wait_until(
    path: &Path,
    action: &str,
    mut done: impl FnMut() -> Result<bool, LaunchError>,
) -> Result<(), LaunchError> {
    let deadline = Instant::now() + PATIENCE;
    while !done()? {
        if Instant::now() > deadline {
            return Err(LaunchError::Cgroup {
                action: action.to_owned(),
                path: path.to_owned(),
                source: io::Error::from(io::ErrorKind::TimedOut),
            });
        }
        thread::sleep(PAUSE_BETWEEN_LOOKS);
    }
    Ok(())
}
