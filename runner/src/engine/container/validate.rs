//! What a create request may not ask for, in docker's words.

use super::cpuset;
use crate::engine::EngineError;
use crate::spec::signal;
use crate::spec::{ContainerConfig, HostConfig, NetworkMode, Resources, RestartPolicy};

const MIN_MEMORY_BYTES: i64 = 6 << 20;

/// Refuses what contradicts itself or cannot be.
pub(super) fn validate(config: &ContainerConfig, host: &HostConfig) -> Result<(), EngineError> {
    let refuse = |text: &str| Err(EngineError::InvalidParameter(text.to_owned()));
    if host.auto_remove && host.restart_policy != RestartPolicy::No {
        return refuse("can't create 'AutoRemove' container with restart policy");
    }
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        return Err(EngineError::InvalidParameter(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            config.working_dir
        )));
    }
    if !config.stop_signal.is_empty() {
        signal::parse(&config.stop_signal)?;
    }
    if config.hostname.len() > 63 || config.hostname.contains(['/', '\n', '\0']) {
        return Err(EngineError::InvalidParameter(format!(
            "invalid hostname format: {}",
            config.hostname
        )));
    }
    if let Some(entry) = config
        .env
        .iter()
        .find(|entry| entry.starts_with('=') || entry.is_empty())
    {
        return Err(EngineError::InvalidParameter(format!(
            "invalid environment variable: {entry}"
        )));
    }
    health(config)?;
    network(config, host)?;
    resources(host)
}

/// What can be done, but hardly is what was meant.
pub(super) fn warnings(host: &HostConfig) -> Vec<String> {
    let asked = &host.resources;
    let cases = [
        (
            asked.oom_kill_disable && asked.memory_bytes.is_none(),
            "OOM killer is disabled for the container, but no memory limit is set, this can \
             result in the system running out of resources.",
        ),
        (
            host.network_mode == NetworkMode::Host && !host.port_bindings.is_empty(),
            "Published ports are discarded when using host network mode",
        ),
        (
            // `disable` asks for none.
            host.selinux_labels.iter().any(|label| label != "disable"),
            "SELinux labels are not supported and were ignored.",
        ),
    ];
    let holding = cases.into_iter().filter(|(holds, _)| *holds);
    holding.map(|(_, text)| text.to_owned()).collect()
}

fn health(config: &ContainerConfig) -> Result<(), EngineError> {
    let Some(check) = &config.healthcheck else {
        return Ok(());
    };
    let shortest = 1_000_000;
    for (what, nanoseconds) in [
        ("Interval", check.interval_ns),
        ("Timeout", check.timeout_ns),
        ("StartPeriod", check.start_period_ns),
        ("StartInterval", check.start_interval_ns),
    ] {
        if nanoseconds != 0 && nanoseconds < shortest {
            return Err(EngineError::InvalidParameter(format!(
                "{what} in Healthcheck cannot be less than 1ms"
            )));
        }
    }
    if check.retries < 0 {
        return Err(EngineError::InvalidParameter(
            "Retries in Healthcheck cannot be negative".to_owned(),
        ));
    }
    Ok(())
}

fn network(config: &ContainerConfig, host: &HostConfig) -> Result<(), EngineError> {
    let refuse = |text: &str| Err(EngineError::InvalidParameter(text.to_owned()));
    let names_itself = !config.hostname.is_empty();
    let publishes = !host.port_bindings.is_empty() || host.publish_all_ports;
    match &host.network_mode {
        NetworkMode::Container(_) if publishes => {
            refuse("conflicting options: port publishing and the container type network mode")
        }
        NetworkMode::Container(_) if names_itself => {
            refuse("conflicting options: hostname and the network mode")
        }
        NetworkMode::Container(_) if !host.dns.is_empty() => {
            refuse("conflicting options: dns and the network mode")
        }
        NetworkMode::Container(_) if !host.extra_hosts.is_empty() => {
            refuse("conflicting options: custom host-to-IP mapping and the network mode")
        }
        _ => Ok(()),
    }
}

fn resources(host: &HostConfig) -> Result<(), EngineError> {
    let asked = &host.resources;
    let refuse = |text: &str| Err(EngineError::InvalidParameter(text.to_owned()));
    let memory = asked.memory_bytes.unwrap_or(0);
    let swap = asked.memory_swap_bytes.unwrap_or(0);
    if memory != 0 && memory < MIN_MEMORY_BYTES {
        return refuse("Minimum memory limit allowed is 6MB");
    }
    if memory == 0 && swap > 0 {
        return refuse(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        );
    }
    if memory > 0 && swap > 0 && swap < memory {
        return refuse("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if let Some(percent) = asked.memory_swappiness
        && !(-1..=100).contains(&percent)
    {
        return Err(EngineError::InvalidParameter(format!(
            "Invalid value: {percent}, valid memory swappiness range is 0-100"
        )));
    }
    let reservation = asked.memory_reservation_bytes.unwrap_or(0);
    if reservation > 0 && memory > 0 && memory < reservation {
        return refuse(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        );
    }
    cpu(asked)?;
    cpuset::check(asked)?;
    if let Some(weight) = asked.blkio.weight
        && weight != 0
        && !(10..=1000).contains(&weight)
    {
        return refuse("Range of blkio weight is from 10 to 1000");
    }
    if host.oom_score_adj < -1000 || host.oom_score_adj > 1000 {
        return Err(EngineError::InvalidParameter(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        )));
    }
    Ok(())
}

fn cpu(asked: &Resources) -> Result<(), EngineError> {
    let refuse = |text: &str| Err(EngineError::InvalidParameter(text.to_owned()));
    if let Some(period) = asked.cpu.period_us.filter(|&period| period != 0)
        && !(1_000..=1_000_000).contains(&period)
    {
        return refuse(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        );
    }
    if let Some(quota) = asked.cpu.quota_us
        && quota > 0
        && quota < 1_000
    {
        return refuse("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    if let Some(nano_cpus) = asked.cpu.nano_cpus {
        let available = i64::try_from(std::thread::available_parallelism().map_or(1, usize::from));
        let available = available.unwrap_or(i64::MAX);
        if nano_cpus < 0 || nano_cpus > available.saturating_mul(1_000_000_000) {
            return Err(EngineError::InvalidParameter(format!(
                "range of CPUs is from 0.01 to {available}.00, as there are only {available} CPUs available"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::CpuLimit;

    fn host(resources: Resources) -> HostConfig {
        HostConfig {
            resources,
            ..HostConfig::default()
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let cases = [
            host(Resources {
                memory_bytes: Some(4 << 20),
                ..Resources::default()
            }),
            host(Resources {
                memory_bytes: Some(64 << 20),
                memory_swap_bytes: Some(32 << 20),
                ..Resources::default()
            }),
            host(Resources {
                memory_swap_bytes: Some(32 << 20),
                ..Resources::default()
            }),
            host(Resources {
                cpu: CpuLimit {
                    period_us: Some(10),
                    ..CpuLimit::default()
                },
                ..Resources::default()
            }),
            host(Resources {
                cpu: CpuLimit {
                    nano_cpus: Some(i64::MAX),
                    ..CpuLimit::default()
                },
                ..Resources::default()
            }),
            HostConfig {
                auto_remove: true,
                restart_policy: RestartPolicy::Always,
                ..HostConfig::default()
            },
            HostConfig {
                network_mode: NetworkMode::Container("x".to_owned()),
                publish_all_ports: true,
                ..HostConfig::default()
            },
        ];
        for host in cases {
            assert!(
                validate(&ContainerConfig::default(), &host).is_err(),
                "{host:?}"
            );
        }
        assert!(validate(&ContainerConfig::default(), &HostConfig::default()).is_ok());
    }

    #[test]
    fn what_is_hardly_meant_is_told() {
        let mut host = host(Resources {
            oom_kill_disable: true,
            ..Resources::default()
        });
        assert_eq!(warnings(&host).len(), 1);
        host.resources.memory_bytes = Some(64 << 20);
        assert!(warnings(&host).is_empty());
    }

    #[test]
    fn configurations_are_checked() {
        let with = |change: fn(&mut ContainerConfig)| {
            let mut config = ContainerConfig::default();
            change(&mut config);
            validate(&config, &HostConfig::default())
        };
        assert!(with(|c| c.working_dir = "x".to_owned()).is_err());
        assert!(with(|c| c.stop_signal = "SIGFOO".to_owned()).is_err());
        assert!(with(|c| c.env = vec!["=x".to_owned()]).is_err());
        assert!(with(|c| c.hostname = "a".repeat(64)).is_err());
        assert!(with(|c| c.working_dir = "/x".to_owned()).is_ok());
    }
}
