//! Limits in the words of cgroup v1: one directory for each controller.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxDeviceCgroup, LinuxDeviceType, LinuxHugepageLimit, LinuxMemory,
    LinuxNetwork, LinuxResources, LinuxThrottleDevice,
};

use super::files::{self, Directory, key_values};
use super::stats::{BlockIoUsage, CgroupStats, CpuUsage, MemoryUsage};
use crate::launch::LaunchError;

/// Nanoseconds in one tick of `cpuacct.stat` (`USER_HZ` is 100 on every Linux).
const TICK_NS: u64 = 10_000_000;

/// Makes the directory `group` of a controller mounted at `root`.
pub(super) fn create(controller: &str, root: &Path, group: &Path) -> Result<(), LaunchError> {
    let mut path = root.to_owned();
    for component in group.components() {
        let parent = path.clone();
        path.push(component);
        files::create(&path)?;
        if controller == "cpuset" {
            inherit_cpuset(&parent, &path)?;
        }
    }
    Ok(())
}

/// A new cpuset has no processor and no memory, and no process may enter it.
fn inherit_cpuset(parent: &Path, child: &Path) -> Result<(), LaunchError> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let child = Directory(child);
        if child.has(file) && child.read(file)?.trim().is_empty() {
            child.write(file, Directory(parent).read(file)?.trim())?;
        }
    }
    Ok(())
}

/// The directories of one group.
#[derive(Debug)]
pub(super) struct Group(pub(super) BTreeMap<String, PathBuf>);

impl Group {
    fn of(&self, controller: &str) -> Option<Directory<'_>> {
        self.0.get(controller).map(|path| Directory(path))
    }

    /// Applies what is set; limits of a controller that is not mounted are an error.
    pub(super) fn apply(&self, resources: &LinuxResources) -> Result<(), LaunchError> {
        if let Some(memory) = resources.memory() {
            self.apply_memory(memory)?;
        }
        if let Some(cpu) = resources.cpu() {
            self.apply_cpu(cpu)?;
        }
        if let Some(pids) = resources.pids() {
            let limit = pids.limit();
            let text = if limit > 0 {
                limit.to_string()
            } else {
                "max".to_owned()
            };
            self.needed("pids")?.write("pids.max", &text)?;
        }
        if let Some(block_io) = resources.block_io() {
            self.apply_block_io(block_io)?;
        }
        for limit in resources.hugepage_limits().iter().flatten() {
            self.apply_huge_pages(limit)?;
        }
        if let Some(network) = resources.network() {
            self.apply_network(network)?;
        }
        Ok(())
    }

    fn needed(&self, controller: &str) -> Result<Directory<'_>, LaunchError> {
        self.of(controller).ok_or_else(|| {
            LaunchError::InvalidBundle(format!("this machine has no {controller} controller"))
        })
    }

    fn apply_memory(&self, memory: &LinuxMemory) -> Result<(), LaunchError> {
        let group = self.needed("memory")?;
        let limit = memory.limit().filter(|limit| *limit != 0);
        let swap = memory.swap().filter(|swap| *swap != 0);
        // A machine that does not count swap has no such file; the memory limit still holds.
        let swap = swap.filter(|_| group.has("memory.memsw.limit_in_bytes"));
        let write_limit = || match limit {
            Some(limit) => group.write("memory.limit_in_bytes", &limit.to_string()),
            None => Ok(()),
        };
        let write_swap = || match swap {
            Some(swap) => group.write("memory.memsw.limit_in_bytes", &swap.to_string()),
            None => Ok(()),
        };
        // Memory alone may never be above memory with swap, not even for a moment.
        let current = group.read_limit("memory.memsw.limit_in_bytes");
        let raises = swap.is_some_and(|swap| {
            swap < 0 || current.is_some_and(|now| u64::try_from(swap).is_ok_and(|it| now < it))
        });
        if raises {
            write_swap()?;
            write_limit()?;
        } else {
            write_limit()?;
            write_swap()?;
        }
        if let Some(reservation) = memory.reservation().filter(|it| *it != 0) {
            group.write("memory.soft_limit_in_bytes", &reservation.to_string())?;
        }
        if let Some(swappiness) = memory.swappiness() {
            group.write("memory.swappiness", &swappiness.to_string())?;
        }
        if memory.disable_oom_killer() == Some(true) {
            group.write("memory.oom_control", "1")?;
        }
        Ok(())
    }

    fn apply_cpu(&self, cpu: &LinuxCpu) -> Result<(), LaunchError> {
        let set = |controller: &str, file: &str, value: Option<String>| match value {
            Some(value) => self.needed(controller)?.write(file, &value),
            None => Ok(()),
        };
        let shares = cpu.shares().filter(|it| *it != 0);
        set("cpu", "cpu.shares", shares.map(|it| it.to_string()))?;
        // The period first: a quota may be too small for the period that was there before.
        let period = cpu.period().filter(|it| *it != 0);
        set("cpu", "cpu.cfs_period_us", period.map(|it| it.to_string()))?;
        let quota = cpu.quota().filter(|it| *it != 0);
        set("cpu", "cpu.cfs_quota_us", quota.map(|it| it.to_string()))?;
        let period = cpu.realtime_period().filter(|it| *it != 0);
        set("cpu", "cpu.rt_period_us", period.map(|it| it.to_string()))?;
        let runtime = cpu.realtime_runtime().filter(|it| *it != 0);
        set("cpu", "cpu.rt_runtime_us", runtime.map(|it| it.to_string()))?;
        let given = |text: &Option<String>| text.clone().filter(|it| !it.is_empty());
        set("cpuset", "cpuset.cpus", given(cpu.cpus()))?;
        set("cpuset", "cpuset.mems", given(cpu.mems()))
    }

    fn apply_block_io(&self, block_io: &LinuxBlockIo) -> Result<(), LaunchError> {
        let group = self.needed("blkio")?;
        let weight_file = if group.has("blkio.weight") {
            "blkio.weight"
        } else {
            "blkio.bfq.weight"
        };
        if let Some(weight) = block_io.weight().filter(|it| *it != 0) {
            group.write(weight_file, &weight.to_string())?;
        }
        for device in block_io.weight_device().iter().flatten() {
            if let Some(weight) = device.weight() {
                let line = format!("{}:{} {weight}", device.major(), device.minor());
                group.write(&format!("{weight_file}_device"), &line)?;
            }
        }
        let throttles: [(&str, &Option<Vec<LinuxThrottleDevice>>); 4] = [
            ("read_bps", block_io.throttle_read_bps_device()),
            ("write_bps", block_io.throttle_write_bps_device()),
            ("read_iops", block_io.throttle_read_iops_device()),
            ("write_iops", block_io.throttle_write_iops_device()),
        ];
        for (what, devices) in throttles {
            for device in devices.iter().flatten() {
                let line = format!("{}:{} {}", device.major(), device.minor(), device.rate());
                group.write(&format!("blkio.throttle.{what}_device"), &line)?;
            }
        }
        Ok(())
    }

    fn apply_huge_pages(&self, limit: &LinuxHugepageLimit) -> Result<(), LaunchError> {
        let file = format!("hugetlb.{}.limit_in_bytes", limit.page_size());
        self.needed("hugetlb")?
            .write(&file, &limit.limit().to_string())
    }

    fn apply_network(&self, network: &LinuxNetwork) -> Result<(), LaunchError> {
        if let Some(class) = network.class_id() {
            self.needed("net_cls")?
                .write("net_cls.classid", &class.to_string())?;
        }
        for priority in network.priorities().iter().flatten() {
            let line = format!("{} {}", priority.name(), priority.priority());
            self.needed("net_prio")?
                .write("net_prio.ifpriomap", &line)?;
        }
        Ok(())
    }

    /// Applies the device rules in their order; later ones win.
    pub(super) fn apply_devices(&self, rules: &[LinuxDeviceCgroup]) -> Result<(), LaunchError> {
        if rules.is_empty() {
            return Ok(());
        }
        let group = self.needed("devices")?;
        for rule in rules {
            let file = if rule.allow() {
                "devices.allow"
            } else {
                "devices.deny"
            };
            group.write(file, &device_line(rule))?;
        }
        Ok(())
    }

    pub(super) fn stats(&self) -> CgroupStats {
        let mut stats = CgroupStats::default();
        if let Some(group) = self.of("cpuacct") {
            stats.cpu = CpuUsage {
                total_ns: group.read_number("cpuacct.usage"),
                user_ns: group.read_key("cpuacct.stat", "user") * TICK_NS,
                system_ns: group.read_key("cpuacct.stat", "system") * TICK_NS,
                ..CpuUsage::default()
            };
        }
        if let Some(group) = self.of("cpu") {
            stats.cpu.periods = group.read_key("cpu.stat", "nr_periods");
            stats.cpu.throttled_periods = group.read_key("cpu.stat", "nr_throttled");
            stats.cpu.throttled_ns = group.read_key("cpu.stat", "throttled_time");
        }
        if let Some(group) = self.of("memory") {
            let text = group.read("memory.stat").unwrap_or_default();
            stats.memory = MemoryUsage {
                usage_bytes: group.read_number("memory.usage_in_bytes"),
                max_usage_bytes: group.read_limit("memory.max_usage_in_bytes"),
                limit_bytes: group.read_limit("memory.limit_in_bytes"),
                failures: group.read_number("memory.failcnt"),
                stat: key_values(&text)
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect(),
            };
        }
        if let Some(group) = self.of("pids") {
            stats.pids_current = group.read_number("pids.current");
            stats.pids_limit = group.read_limit("pids.max");
        }
        if let Some(group) = self.of("blkio") {
            let text = group
                .read("blkio.throttle.io_service_bytes_recursive")
                .or_else(|_| group.read("blkio.throttle.io_service_bytes"));
            stats.block_io = block_io(&text.unwrap_or_default());
        }
        stats
    }
}

fn device_line(rule: &LinuxDeviceCgroup) -> String {
    let kind = match rule.typ().unwrap_or_default() {
        LinuxDeviceType::B => 'b',
        LinuxDeviceType::C | LinuxDeviceType::U => 'c',
        LinuxDeviceType::A | LinuxDeviceType::P => 'a',
    };
    let number = |number: Option<i64>| match number {
        Some(number) if number >= 0 => number.to_string(),
        _ => "*".to_owned(),
    };
    let access = rule.access().as_deref().unwrap_or("rwm");
    format!(
        "{kind} {}:{} {access}",
        number(rule.major()),
        number(rule.minor())
    )
}

/// The `Read` and `Write` lines of `blkio.throttle.io_service_bytes`.
fn block_io(text: &str) -> Vec<BlockIoUsage> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (major, minor) = fields.next()?.split_once(':')?;
            let operation = fields.next()?.to_ascii_lowercase();
            let bytes = fields.next()?.parse().ok()?;
            matches!(operation.as_str(), "read" | "write").then_some(BlockIoUsage {
                major: major.parse().ok()?,
                minor: minor.parse().ok()?,
                operation,
                bytes,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_rules_become_lines() {
        let mut rule = LinuxDeviceCgroup::default();
        assert_eq!(device_line(&rule), "a *:* rwm");
        rule.set_typ(Some(LinuxDeviceType::C));
        rule.set_major(Some(1)).set_minor(Some(3));
        rule.set_access(Some("rw".to_owned()));
        assert_eq!(device_line(&rule), "c 1:3 rw");
        rule.set_major(Some(-1));
        assert_eq!(device_line(&rule), "c *:3 rw");
    }

    #[test]
    fn block_io_lines_are_read() {
        let usage = block_io("8:0 Read 10\n8:0 Write 20\n8:0 Sync 3\nTotal 33\n");
        let short: Vec<_> = usage
            .iter()
            .map(|it| (it.operation.as_str(), it.bytes))
            .collect();
        assert_eq!(short, [("read", 10), ("write", 20)]);
    }
}
