//! Limits: memory, CPU, block devices, processes, devices.

use std::path::PathBuf;

use super::{Result, bad, none_if_empty, none_if_zero};
use crate::http::wire;
use crate::spec::{BlockIo, CpuLimit, DeviceMapping, DeviceRate, Resources, Ulimit};

/// What `--cpus` is measured in: the kernel's own default period.
const CPUS_PERIOD_US: u64 = 100_000;
/// Nanoseconds of CPU time a second that make one microsecond of that period.
const NANO_CPUS_PER_US: i64 = 10_000;

pub(crate) fn resources_from_wire(wire: &wire::HostConfig) -> Result<Resources> {
    Ok(Resources {
        memory_bytes: limit("memory", wire.memory)?,
        memory_reservation_bytes: limit("memory reservation", wire.memory_reservation)?,
        memory_swap_bytes: none_if_zero(wire.memory_swap),
        // The command line sends -1 for "not said".
        memory_swappiness: wire.memory_swappiness.filter(|value| *value != -1),
        oom_kill_disable: wire.oom_kill_disable.unwrap_or(false),
        cpu: cpu_limit(wire)?,
        cpu_shares: limit("CPU shares", wire.cpu_shares)?.map(i64::unsigned_abs),
        cpuset_cpus: wire.cpuset_cpus.clone(),
        cpuset_mems: wire.cpuset_mems.clone(),
        pids_limit: wire.pids_limit,
        blkio: block_io(wire),
        devices: wire.devices.iter().map(device).collect::<Result<_>>()?,
        device_cgroup_rules: device_rules(wire)?,
        ulimits: wire.ulimits.iter().map(ulimit).collect::<Result<_>>()?,
    })
}

/// A limit that cannot be negative; zero is none.
fn limit(what: &str, value: i64) -> Result<Option<i64>> {
    if value < 0 {
        return bad(format!("Invalid value for {what}: {value} is negative"));
    }
    Ok(none_if_zero(value))
}

fn cpu_limit(wire: &wire::HostConfig) -> Result<CpuLimit> {
    let Some(nano_cpus) = none_if_zero(wire.nano_cpus) else {
        return Ok(CpuLimit {
            quota_us: none_if_zero(wire.cpu_quota),
            period_us: limit("CPU period", wire.cpu_period)?.map(i64::unsigned_abs),
            nano_cpus: None,
        });
    };
    let conflict = |other: &str| {
        bad(format!(
            "Conflicting options: Nano CPUs and {other} cannot both be set."
        ))
    };
    if wire.cpu_period != 0 {
        return conflict("CPU Period");
    }
    if wire.cpu_quota != 0 {
        return conflict("CPU Quota");
    }
    Ok(CpuLimit {
        quota_us: Some(nano_cpus / NANO_CPUS_PER_US),
        period_us: Some(CPUS_PERIOD_US),
        nano_cpus: Some(nano_cpus),
    })
}

fn block_io(wire: &wire::HostConfig) -> BlockIo {
    let rates = |list: &[wire::ThrottleDevice]| -> Vec<DeviceRate> {
        let rate = |device: &wire::ThrottleDevice| DeviceRate {
            path: PathBuf::from(&device.path),
            rate: device.rate,
        };
        list.iter().map(rate).collect()
    };
    let weight = |device: &wire::WeightDevice| DeviceRate {
        path: PathBuf::from(&device.path),
        rate: device.weight.into(),
    };
    BlockIo {
        weight: Some(wire.blkio_weight).filter(|weight| *weight != 0),
        weight_device: wire.blkio_weight_device.iter().map(weight).collect(),
        read_bps: rates(&wire.blkio_device_read_bps),
        write_bps: rates(&wire.blkio_device_write_bps),
        read_iops: rates(&wire.blkio_device_read_iops),
        write_iops: rates(&wire.blkio_device_write_iops),
    }
}

fn device(wire: &wire::DeviceMapping) -> Result<DeviceMapping> {
    let permissions = match wire.cgroup_permissions.as_str() {
        "" => "rwm",
        given => given,
    };
    let each_once = "rwm".chars().all(|c| permissions.matches(c).count() <= 1);
    if !each_once || !permissions.chars().all(|c| "rwm".contains(c)) {
        return bad(format!("invalid device mode: {permissions}"));
    }
    if wire.path_on_host.is_empty() {
        return bad("invalid device mapping: PathOnHost is empty");
    }
    let inside = match wire.path_in_container.as_str() {
        "" => &wire.path_on_host,
        _ => &wire.path_in_container,
    };
    Ok(DeviceMapping {
        path_on_host: PathBuf::from(&wire.path_on_host),
        path_in_container: PathBuf::from(inside),
        permissions: permissions.to_owned(),
    })
}

/// `c 1:3 rwm`, with `a` for every type and `*` for every number.
fn device_rules(wire: &wire::HostConfig) -> Result<Vec<String>> {
    let rules = wire.device_cgroup_rules.clone().unwrap_or_default();
    match rules.iter().find(|rule| !is_device_rule(rule)) {
        Some(rule) => bad(format!("invalid device cgroup rule format: '{rule}'")),
        None => Ok(rules),
    }
}

fn is_device_rule(rule: &str) -> bool {
    let number =
        |text: &str| text == "*" || (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    let words: Vec<&str> = rule.split(' ').collect();
    let [kind, numbers, access] = words[..] else {
        return false;
    };
    let Some((major, minor)) = numbers.split_once(':') else {
        return false;
    };
    matches!(kind, "a" | "b" | "c")
        && number(major)
        && number(minor)
        && (1..=3).contains(&access.len())
        && access.bytes().all(|b| b"rwm".contains(&b))
}

fn ulimit(wire: &wire::Ulimit) -> Result<Ulimit> {
    // -1 is no limit.
    if wire.hard != -1 && (wire.soft > wire.hard || wire.soft == -1) {
        return bad(format!(
            "ulimit soft limit must be less than or equal to hard limit: {} > {}",
            wire.soft, wire.hard
        ));
    }
    Ok(Ulimit {
        name: wire.name.clone(),
        soft: wire.soft,
        hard: wire.hard,
    })
}

/// Writes the limits into the fields that `HostConfig` has for them.
pub(super) fn write_resources(resources: &Resources, wire: &mut wire::HostConfig) {
    wire.memory = resources.memory_bytes.unwrap_or(0);
    wire.memory_reservation = resources.memory_reservation_bytes.unwrap_or(0);
    wire.memory_swap = resources.memory_swap_bytes.unwrap_or(0);
    wire.memory_swappiness = resources.memory_swappiness;
    wire.oom_kill_disable = Some(resources.oom_kill_disable);
    wire.cpu_shares = resources.cpu_shares.map_or(0, clamp);
    if let Some(nano_cpus) = resources.cpu.nano_cpus {
        wire.nano_cpus = nano_cpus;
    } else {
        wire.cpu_quota = resources.cpu.quota_us.unwrap_or(0);
        wire.cpu_period = resources.cpu.period_us.map_or(0, clamp);
    }
    wire.cpuset_cpus.clone_from(&resources.cpuset_cpus);
    wire.cpuset_mems.clone_from(&resources.cpuset_mems);
    wire.pids_limit = resources.pids_limit;
    wire.device_cgroup_rules = none_if_empty(resources.device_cgroup_rules.clone());
    wire.devices = resources.devices.iter().map(device_to_wire).collect();
    wire.ulimits = resources.ulimits.iter().map(ulimit_to_wire).collect();
    write_block_io(&resources.blkio, wire);
}

fn write_block_io(blkio: &BlockIo, wire: &mut wire::HostConfig) {
    let rates = |list: &[DeviceRate]| -> Vec<wire::ThrottleDevice> {
        let rate = |device: &DeviceRate| wire::ThrottleDevice {
            path: device.path.display().to_string(),
            rate: device.rate,
        };
        list.iter().map(rate).collect()
    };
    wire.blkio_weight = blkio.weight.unwrap_or(0);
    wire.blkio_weight_device = blkio
        .weight_device
        .iter()
        .map(|device| wire::WeightDevice {
            path: device.path.display().to_string(),
            weight: u16::try_from(device.rate).unwrap_or(u16::MAX),
        })
        .collect();
    wire.blkio_device_read_bps = rates(&blkio.read_bps);
    wire.blkio_device_write_bps = rates(&blkio.write_bps);
    wire.blkio_device_read_iops = rates(&blkio.read_iops);
    wire.blkio_device_write_iops = rates(&blkio.write_iops);
}

fn device_to_wire(device: &DeviceMapping) -> wire::DeviceMapping {
    wire::DeviceMapping {
        path_on_host: device.path_on_host.display().to_string(),
        path_in_container: device.path_in_container.display().to_string(),
        cgroup_permissions: device.permissions.clone(),
    }
}

fn ulimit_to_wire(ulimit: &Ulimit) -> wire::Ulimit {
    wire::Ulimit {
        name: ulimit.name.clone(),
        hard: ulimit.hard,
        soft: ulimit.soft,
    }
}

fn clamp(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(change: impl FnOnce(&mut wire::HostConfig)) -> wire::HostConfig {
        let mut host = wire::HostConfig::default();
        change(&mut host);
        host
    }

    #[test]
    fn cpus_and_quota_are_shown_as_they_were_given() {
        let cpus = host(|host| host.nano_cpus = 500_000_000);
        let limit = resources_from_wire(&cpus).unwrap().cpu;
        assert_eq!(
            (limit.quota_us, limit.period_us),
            (Some(50_000), Some(100_000))
        );
        let quota = host(|host| (host.cpu_quota, host.cpu_period) = (50_000, 100_000));
        for given in [cpus, quota] {
            let mut shown = wire::HostConfig::default();
            write_resources(&resources_from_wire(&given).unwrap(), &mut shown);
            assert_eq!(shown.nano_cpus, given.nano_cpus);
            assert_eq!(
                (shown.cpu_quota, shown.cpu_period),
                (given.cpu_quota, given.cpu_period)
            );
        }
    }

    #[test]
    fn bad_limits_are_refused() {
        let ulimit = |soft, hard| wire::Ulimit {
            name: "nofile".to_owned(),
            soft,
            hard,
        };
        let device = |path: &str, permissions: &str| wire::DeviceMapping {
            path_on_host: path.to_owned(),
            path_in_container: String::new(),
            cgroup_permissions: permissions.to_owned(),
        };
        let bad = vec![
            host(|host| host.memory = -1),
            host(|host| host.cpu_period = -1),
            host(|host| (host.nano_cpus, host.cpu_quota) = (1_000_000_000, 1000)),
            host(|host| (host.nano_cpus, host.cpu_period) = (1_000_000_000, 1000)),
            host(|host| host.device_cgroup_rules = Some(vec!["c 1:3".to_owned()])),
            host(|host| host.ulimits = vec![ulimit(5, 3)]),
            host(|host| host.ulimits = vec![ulimit(-1, 3)]),
            host(|host| host.devices = vec![device("/dev/null", "rx")]),
            host(|host| host.devices = vec![device("/dev/null", "rr")]),
            host(|host| host.devices = vec![device("", "")]),
        ];
        for wire in bad {
            assert!(resources_from_wire(&wire).is_err(), "{wire:?}");
        }
        let good = host(|host| {
            host.ulimits = vec![ulimit(-1, -1), ulimit(3, -1), ulimit(3, 3)];
            host.devices = vec![device("/dev/null", "")];
            host.memory_swappiness = Some(-1);
        });
        let read = resources_from_wire(&good).unwrap();
        assert_eq!(read.devices[0].permissions, "rwm");
        assert_eq!(
            read.devices[0].path_in_container,
            PathBuf::from("/dev/null")
        );
        assert_eq!(read.memory_swappiness, None);
    }

    #[test]
    fn device_rules_have_three_words() {
        for good in ["c 1:3 rwm", "a *:* r", "b 8:* rw"] {
            assert!(is_device_rule(good), "{good}");
        }
        for bad in [
            "",
            "c 1:3",
            "d 1:3 r",
            "c 1 r",
            "c x:3 r",
            "c 1:3 rwmr",
            "c 1:3 x",
            "c :3 r",
        ] {
            assert!(!is_device_rule(bad), "{bad}");
        }
    }
}
