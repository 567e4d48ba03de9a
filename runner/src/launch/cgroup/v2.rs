//! Limits in the words of cgroup v2: one directory with all controllers.

use std::path::Path;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources, LinuxThrottleDevice};

use super::files::{self, Directory, key_values};
use super::stats::{BlockIoUsage, CgroupStats, CpuUsage, MemoryUsage};
use crate::launch::LaunchError;

/// Makes the directory `group` below `root` and hands it every controller there is.
pub(super) fn create(root: &Path, group: &Path) -> Result<(), LaunchError> {
    let mut path = root.to_owned();
    for component in group.components() {
        delegate(Directory(&path))?;
        path.push(component);
        files::create(&path)?;
    }
    Ok(())
}

/// Lets the children of `parent` have the controllers that it has itself.
fn delegate(parent: Directory<'_>) -> Result<(), LaunchError> {
    let available = parent.read("cgroup.controllers")?;
    let enabled = parent.read("cgroup.subtree_control")?;
    let missing: Vec<String> = available
        .split_whitespace()
        .filter(|name| enabled.split_whitespace().all(|it| it != *name))
        .map(|name| format!("+{name}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let all_at_once = parent.write("cgroup.subtree_control", &missing.join(" "));
    if all_at_once.is_ok() {
        return Ok(());
    }
    // One controller that cannot be had (cpu, while real-time processes run) must not keep the
    // others away; a limit that needs it fails later and says so.
    let mut delegated_any = false;
    for name in &missing {
        delegated_any |= parent.write("cgroup.subtree_control", name).is_ok();
    }
    if delegated_any { Ok(()) } else { all_at_once }
}

/// Applies what is set.
pub(super) fn apply(group: Directory<'_>, resources: &LinuxResources) -> Result<(), LaunchError> {
    if let Some(memory) = resources.memory() {
        apply_memory(group, memory)?;
    }
    if let Some(cpu) = resources.cpu() {
        apply_cpu(group, cpu)?;
    }
    if let Some(pids) = resources.pids() {
        group.write("pids.max", &or_max(pids.limit()))?;
    }
    if let Some(block_io) = resources.block_io() {
        apply_block_io(group, block_io)?;
    }
    for limit in resources.hugepage_limits().iter().flatten() {
        let file = format!("hugetlb.{}.max", limit.page_size());
        group.write(&file, &limit.limit().to_string())?;
    }
    for (file, value) in resources.unified().iter().flatten() {
        // The name comes from outside and must stay a name.
        if file.contains('/') {
            return Err(LaunchError::InvalidBundle(format!(
                "{file:?} is not the name of a control group file"
            )));
        }
        group.write(file, value)?;
    }
    Ok(())
}

fn apply_memory(group: Directory<'_>, memory: &LinuxMemory) -> Result<(), LaunchError> {
    let limit = memory.limit().filter(|it| *it != 0);
    if let Some(swap) = memory.swap().filter(|it| *it != 0) {
        // Without swap accounting there is no such file; the memory limit still holds.
        if group.has("memory.swap.max") {
            let swap_only = swap_alone(swap, limit)?;
            group.write("memory.swap.max", &swap_only)?;
        }
    }
    if let Some(limit) = limit {
        group.write("memory.max", &or_max(limit))?;
    }
    if let Some(reservation) = memory.reservation().filter(|it| *it != 0) {
        group.write("memory.low", &or_max(reservation))?;
    }
    Ok(())
}

/// v2 counts swap alone, the specification memory and swap together.
fn swap_alone(swap: i64, limit: Option<i64>) -> Result<String, LaunchError> {
    match limit {
        _ if swap < 0 => Ok("max".to_owned()),
        Some(limit) if limit > 0 && swap >= limit => Ok((swap - limit).to_string()),
        _ => Err(LaunchError::InvalidBundle(
            "a limit of memory with swap needs a limit of memory that is not above it".to_owned(),
        )),
    }
}

fn apply_cpu(group: Directory<'_>, cpu: &LinuxCpu) -> Result<(), LaunchError> {
    if let Some(shares) = cpu.shares().filter(|it| *it != 0) {
        group.write("cpu.weight", &weight_of_shares(shares).to_string())?;
    }
    let quota = cpu.quota().filter(|it| *it != 0);
    let period = cpu.period().filter(|it| *it != 0);
    if quota.is_some() || period.is_some() {
        let mut line = quota.map_or_else(|| current_quota(group), or_max);
        if let Some(period) = period {
            line = format!("{line} {period}");
        }
        group.write("cpu.max", &line)?;
    }
    if let Some(burst) = cpu.burst() {
        group.write("cpu.max.burst", &burst.to_string())?;
    }
    if let Some(idle) = cpu.idle() {
        group.write("cpu.idle", &idle.to_string())?;
    }
    let given = |text: &Option<String>| text.clone().filter(|it| !it.is_empty());
    if let Some(cpus) = given(cpu.cpus()) {
        group.write("cpuset.cpus", &cpus)?;
    }
    if let Some(mems) = given(cpu.mems()) {
        group.write("cpuset.mems", &mems)?;
    }
    Ok(())
}

fn current_quota(group: Directory<'_>) -> String {
    let text = group.read("cpu.max").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("max").to_owned()
}

/// Shares go from 2 to 262144, weights from 1 to 10000.
fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

fn apply_block_io(group: Directory<'_>, block_io: &LinuxBlockIo) -> Result<(), LaunchError> {
    // The weights of the BFQ scheduler are those of the specification; the general ones go
    // from 1 to 10000 where the specification has 10 to 1000.
    let bfq = group.has("io.bfq.weight");
    let (file, scale): (&str, fn(u16) -> u64) = if bfq {
        ("io.bfq.weight", u64::from)
    } else {
        ("io.weight", |weight| {
            1 + (u64::from(weight).clamp(10, 1000) - 10) * 9_999 / 990
        })
    };
    if let Some(weight) = block_io.weight().filter(|it| *it != 0) {
        group.write(file, &scale(weight).to_string())?;
    }
    for device in block_io.weight_device().iter().flatten() {
        if let Some(weight) = device.weight() {
            let weight = scale(weight);
            let line = format!("{}:{} {weight}", device.major(), device.minor());
            group.write(file, &line)?;
        }
    }
    let throttles: [(&str, &Option<Vec<LinuxThrottleDevice>>); 4] = [
        ("rbps", block_io.throttle_read_bps_device()),
        ("wbps", block_io.throttle_write_bps_device()),
        ("riops", block_io.throttle_read_iops_device()),
        ("wiops", block_io.throttle_write_iops_device()),
    ];
    for (key, devices) in throttles {
        for device in devices.iter().flatten() {
            let rate = device.rate();
            let line = format!("{}:{} {key}={rate}", device.major(), device.minor());
            group.write("io.max", &line)?;
        }
    }
    Ok(())
}

fn or_max(limit: i64) -> String {
    if limit > 0 {
        limit.to_string()
    } else {
        "max".to_owned()
    }
}

pub(super) fn stats(group: Directory<'_>) -> CgroupStats {
    const US: u64 = 1_000;
    let memory_stat = group.read("memory.stat").unwrap_or_default();
    CgroupStats {
        cpu: CpuUsage {
            total_ns: group.read_key("cpu.stat", "usage_usec") * US,
            user_ns: group.read_key("cpu.stat", "user_usec") * US,
            system_ns: group.read_key("cpu.stat", "system_usec") * US,
            periods: group.read_key("cpu.stat", "nr_periods"),
            throttled_periods: group.read_key("cpu.stat", "nr_throttled"),
            throttled_ns: group.read_key("cpu.stat", "throttled_usec") * US,
        },
        memory: MemoryUsage {
            usage_bytes: group.read_number("memory.current"),
            max_usage_bytes: group.read_limit("memory.peak"),
            limit_bytes: group.read_limit("memory.max"),
            failures: group.read_key("memory.events", "max"),
            stat: key_values(&memory_stat)
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        },
        pids_current: group.read_number("pids.current"),
        pids_limit: group.read_limit("pids.max"),
        block_io: block_io(&group.read("io.stat").unwrap_or_default()),
    }
}

/// The `rbytes=` and `wbytes=` of `io.stat`.
fn block_io(text: &str) -> Vec<BlockIoUsage> {
    let mut usage = Vec::new();
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let device = fields.next().and_then(|field| field.split_once(':'));
        let Some((Ok(major), Ok(minor))) = device.map(|(a, b)| (a.parse(), b.parse())) else {
            continue;
        };
        for field in fields {
            let (operation, bytes) = match field.split_once('=') {
                Some(("rbytes", bytes)) => ("read", bytes),
                Some(("wbytes", bytes)) => ("write", bytes),
                _ => continue,
            };
            usage.push(BlockIoUsage {
                major,
                minor,
                operation: operation.to_owned(),
                bytes: bytes.parse().unwrap_or(0),
            });
        }
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights_at_both_ends() {
        for (shares, weight) in [(2, 1), (1024, 39), (262_144, 10_000), (1, 1)] {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
    }

    #[test]
    fn swap_is_counted_without_memory() {
        for (swap, limit, expected) in [
            (-1, Some(100), Some("max")),
            (300, Some(100), Some("200")),
            (100, Some(100), Some("0")),
            (100, Some(200), None),
            (100, None, None),
        ] {
            assert_eq!(swap_alone(swap, limit).ok().as_deref(), expected);
        }
    }

    #[test]
    fn io_stat_is_read() {
        let usage = block_io("254:0 rbytes=5 wbytes=7 rios=1\nbroken\n");
        let short: Vec<_> = usage
            .iter()
            .map(|it| (it.major, it.operation.as_str(), it.bytes))
            .collect();
        assert_eq!(short, [(254, "read", 5), (254, "write", 7)]);
    }
}
