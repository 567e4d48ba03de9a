//! Limits, in the runtime specification's words.

use std::path::Path;

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxDeviceCgroup, LinuxDeviceType, LinuxMemory, LinuxPids,
    LinuxResources, LinuxThrottleDeviceBuilder, LinuxWeightDeviceBuilder,
};

use crate::engine::error::EngineError;
use crate::launch::defaults;
use crate::spec::{BlockIo, DeviceRate, Resources};

/// Everything but device rules; what is not asked for stays `None`, so that the same function
/// serves a start and an update.
pub(crate) fn resources(asked: &Resources) -> Result<LinuxResources, EngineError> {
    let mut resources = LinuxResources::default();
    resources
        .set_memory(memory(asked))
        .set_cpu(cpu(asked))
        .set_pids(asked.pids_limit.map(|limit| {
            let mut pids = LinuxPids::default();
            // Docker's 0 and -1 are both "unlimited".
            pids.set_limit(if limit <= 0 { -1 } else { limit });
            pids
        }))
        .set_block_io(block_io(&asked.blkio)?);
    Ok(resources)
}

fn memory(asked: &Resources) -> Option<LinuxMemory> {
    let limit = asked.memory_bytes.filter(|&bytes| bytes != 0);
    let swap = match asked.memory_swap_bytes {
        None | Some(0) => limit.map(|bytes| bytes.saturating_mul(2)),
        asked => asked,
    };
    let reservation = asked.memory_reservation_bytes.filter(|&bytes| bytes != 0);
    let swappiness = asked
        .memory_swappiness
        .and_then(|percent| u64::try_from(percent).ok());
    if limit.is_none()
        && swap.is_none()
        && reservation.is_none()
        && swappiness.is_none()
        && !asked.oom_kill_disable
    {
        return None;
    }
    let mut memory = LinuxMemory::default();
    memory
        .set_limit(limit)
        .set_swap(swap)
        .set_reservation(reservation)
        .set_swappiness(swappiness)
        .set_disable_oom_killer(asked.oom_kill_disable.then_some(true));
    Some(memory)
}

fn cpu(asked: &Resources) -> Option<LinuxCpu> {
    let text = |value: &String| (!value.is_empty()).then(|| value.clone());
    let shares = asked.cpu_shares.filter(|&shares| shares != 0);
    let quota = asked.cpu.quota_us.filter(|&quota| quota != 0);
    let period = asked.cpu.period_us.filter(|&period| period != 0);
    let (cpus, mems) = (text(&asked.cpuset_cpus), text(&asked.cpuset_mems));
    if shares.is_none() && quota.is_none() && period.is_none() && cpus.is_none() && mems.is_none() {
        return None;
    }
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(shares)
        .set_quota(quota)
        .set_period(period)
        .set_cpus(cpus)
        .set_mems(mems);
    Some(cpu)
}

fn block_io(asked: &BlockIo) -> Result<Option<LinuxBlockIo>, EngineError> {
    if *asked == BlockIo::default() {
        return Ok(None);
    }
    let throttles = |rates: &[DeviceRate]| -> Result<_, EngineError> {
        let devices = rates.iter().map(|rate| {
            let (major, minor) = block_device(&rate.path)?;
            let device = LinuxThrottleDeviceBuilder::default()
                .major(major)
                .minor(minor)
                .rate(rate.rate);
            device.build().map_err(describing)
        });
        let devices = devices.collect::<Result<Vec<_>, EngineError>>()?;
        Ok((!devices.is_empty()).then_some(devices))
    };
    let weights = asked.weight_device.iter().map(|weight| {
        let (major, minor) = block_device(&weight.path)?;
        let device = LinuxWeightDeviceBuilder::default()
            .major(major)
            .minor(minor)
            .weight(u16::try_from(weight.rate).unwrap_or(u16::MAX));
        device.build().map_err(describing)
    });
    let weights = weights.collect::<Result<Vec<_>, EngineError>>()?;
    let mut block_io = LinuxBlockIo::default();
    block_io
        .set_weight(asked.weight.filter(|&weight| weight != 0))
        .set_weight_device((!weights.is_empty()).then_some(weights))
        .set_throttle_read_bps_device(throttles(&asked.read_bps)?)
        .set_throttle_write_bps_device(throttles(&asked.write_bps)?)
        .set_throttle_read_iops_device(throttles(&asked.read_iops)?)
        .set_throttle_write_iops_device(throttles(&asked.write_iops)?);
    Ok(Some(block_io))
}

/// Major and minor number of a device of the host.
fn block_device(path: &Path) -> Result<(i64, i64), EngineError> {
    let refuse = |reason: &dyn std::fmt::Display| {
        EngineError::InvalidParameter(format!("no such device: {}: {reason}", path.display()))
    };
    let found = defaults::device(path, path, "r").map_err(|error| refuse(&error))?;
    match found.first() {
        Some((node, _)) => Ok((node.major(), node.minor())),
        None => Err(refuse(&"not a device")),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "made for `map_err`, which gives the error away"
)]
fn describing(error: oci_spec::OciSpecError) -> EngineError {
    EngineError::internal("describing a block device", &error)
}

/// `TYPE MAJOR:MINOR ACCESS`, such as `c 42:* rmw`.
pub(super) fn device_rule(text: &str) -> Result<LinuxDeviceCgroup, EngineError> {
    parse_device_rule(text).ok_or_else(|| {
        EngineError::InvalidParameter(format!("invalid device cgroup rule format: '{text}'"))
    })
}

fn parse_device_rule(text: &str) -> Option<LinuxDeviceCgroup> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let &[kind, numbers, access] = words.as_slice() else {
        return None;
    };
    let kind = match kind {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        _ => return None,
    };
    let number = |text: &str| match text {
        "*" => Some(None),
        digits => digits.parse::<u32>().ok().map(|n| Some(i64::from(n))),
    };
    let (major, minor) = numbers.split_once(':')?;
    let known_access = !access.is_empty() && access.chars().all(|c| "rwm".contains(c));
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(true)
        .set_typ(Some(kind))
        .set_major(number(major)?)
        .set_minor(number(minor)?)
        .set_access(Some(access.to_owned()));
    known_access.then_some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::CpuLimit;

    #[test]
    fn unasked_limits_stay_unset() {
        let resources = resources(&Resources::default()).unwrap();
        assert_eq!(resources, LinuxResources::default());
    }

    #[test]
    fn memory_doubles_into_swap_unless_told_otherwise() {
        // Memory, swap asked, limit and swap in the configuration.
        let cases = [
            (Some(64), None, Some(64), Some(128)),
            (Some(64), Some(0), Some(64), Some(128)),
            (Some(64), Some(-1), Some(64), Some(-1)),
            (Some(64), Some(64), Some(64), Some(64)),
        ];
        for (memory_bytes, memory_swap_bytes, limit, swap) in cases {
            let asked = Resources {
                memory_bytes,
                memory_swap_bytes,
                ..Resources::default()
            };
            let memory = memory(&asked).unwrap();
            assert_eq!((memory.limit(), memory.swap()), (limit, swap));
        }
    }

    #[test]
    fn cpu_and_pids_pass_through() {
        let asked = Resources {
            cpu: CpuLimit {
                quota_us: Some(50_000),
                period_us: Some(100_000),
                nano_cpus: None,
            },
            pids_limit: Some(0),
            ..Resources::default()
        };
        let resources = resources(&asked).unwrap();
        let cpu = resources.cpu().as_ref().unwrap();
        assert_eq!((cpu.quota(), cpu.period()), (Some(50_000), Some(100_000)));
        assert_eq!(resources.pids().unwrap().limit(), -1);
    }

    #[test]
    fn device_rules_parse() {
        let rule = device_rule("c 42:* rmw").unwrap();
        assert_eq!((rule.major(), rule.minor()), (Some(42), None));
        for bad in ["", "c 42 r", "x 1:1 r", "c 1:1 x", "c 1:1", "c a:1 r"] {
            assert!(device_rule(bad).is_err(), "{bad}");
        }
    }
}
