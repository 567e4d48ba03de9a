//! Which control group file systems this machine has, and where: cgroups(7).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::launch::LaunchError;
use crate::sys::mount::{CGROUP2_MAGIC, is_file_system};

/// Where most machines have it.
const USUAL_ROOT: &str = "/sys/fs/cgroup";

/// The control group file systems of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hierarchy {
    /// One tree with all controllers (v2).
    Unified { root: PathBuf },
    /// A tree for each controller (v1), perhaps with a v2 tree beside them that has none but
    /// can still freeze and kill.
    Legacy {
        controllers: BTreeMap<String, PathBuf>,
        unified: Option<PathBuf>,
    },
}

impl Hierarchy {
    /// Asks once; mounts of control groups do not change under a running machine.
    pub(super) fn of_this_machine() -> Result<&'static Self, LaunchError> {
        static FOUND: OnceLock<Hierarchy> = OnceLock::new();
        if let Some(found) = FOUND.get() {
            return Ok(found);
        }
        let found = Self::detect()?;
        Ok(FOUND.get_or_init(|| found))
    }

    fn detect() -> Result<Self, LaunchError> {
        let usual = fs::File::open(USUAL_ROOT);
        if usual.is_ok_and(|root| is_file_system(&root, CGROUP2_MAGIC).unwrap_or(false)) {
            return Ok(Self::Unified {
                root: PathBuf::from(USUAL_ROOT),
            });
        }
        let path = Path::new("/proc/self/mountinfo");
        let text = fs::read_to_string(path).map_err(|source| LaunchError::File {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        let (legacy, unified) = parse(&text);
        let carries_limits = |root: &PathBuf| {
            let controllers = fs::read_to_string(root.join("cgroup.controllers"));
            controllers.is_ok_and(|it| it.split_whitespace().any(|name| name == "memory"))
        };
        match unified {
            Some(root) if legacy.is_empty() || carries_limits(&root) => Ok(Self::Unified { root }),
            unified if !legacy.is_empty() => Ok(Self::Legacy {
                controllers: legacy,
                unified,
            }),
            _ => Err(LaunchError::InvalidBundle(
                "no control group file system is mounted".to_owned(),
            )),
        }
    }
}

/// The first mount of each v1 controller, and the first of v2.
fn parse(mountinfo: &str) -> (BTreeMap<String, PathBuf>, Option<PathBuf>) {
    let mut legacy = BTreeMap::new();
    let mut unified = None;
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let Some(mount_point) = left.split(' ').nth(4).map(unescape) else {
            continue;
        };
        let mut right = right.split(' ');
        match right.next() {
            Some("cgroup2") => {
                unified.get_or_insert(mount_point);
            }
            Some("cgroup") => {
                let options = right.nth(1).unwrap_or_default();
                for name in options.split(',').filter(|name| is_controller(name)) {
                    legacy
                        .entry(name.to_owned())
                        .or_insert_with(|| mount_point.clone());
                }
            }
            _ => {}
        }
    }
    (legacy, unified)
}

fn is_controller(option: &str) -> bool {
    matches!(
        option,
        "blkio"
            | "cpu"
            | "cpuacct"
            | "cpuset"
            | "devices"
            | "freezer"
            | "hugetlb"
            | "memory"
            | "net_cls"
            | "net_prio"
            | "perf_event"
            | "pids"
            | "rdma"
    )
}

/// Undoes the octal escapes of white space, `proc_pid_mountinfo(5)`.
fn unescape(field: &str) -> PathBuf {
    let text = field
        .replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\");
    PathBuf::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixed_mounts_are_told_apart() {
        let text = "\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/with\\040space rw - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
99 31 0:32 / /elsewhere rw - cgroup cgroup rw,memory
broken line";
        let (legacy, unified) = parse(text);
        let expected = [
            ("cpu", "/sys/fs/cgroup/cpu,cpuacct"),
            ("cpuacct", "/sys/fs/cgroup/cpu,cpuacct"),
            ("memory", "/sys/fs/cgroup/with space"),
        ];
        let expected: BTreeMap<_, _> = expected
            .iter()
            .map(|(name, path)| ((*name).to_owned(), PathBuf::from(path)))
            .collect();
        assert_eq!(legacy, expected);
        assert_eq!(unified, Some(PathBuf::from("/sys/fs/cgroup/unified")));
    }

    #[test]
    fn this_machine_has_one_kind_or_the_other() {
        Hierarchy::of_this_machine().unwrap();
    }
}
