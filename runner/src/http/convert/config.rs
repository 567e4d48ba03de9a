//! `Config`: what runs in the container.

use std::collections::BTreeMap;

use super::{Result, bad, ports};
use crate::http::wire;
use crate::spec::{ContainerConfig, HealthCheck};

pub(crate) fn config_from_wire(wire: wire::Config) -> Result<ContainerConfig> {
    let exposed_ports = wire.exposed_ports.keys();
    let exposed_ports = exposed_ports
        .map(|text| ports::spec_range(text))
        .collect::<Result<Vec<_>>>()?;
    Ok(ContainerConfig {
        image: wire.image,
        user: wire.user,
        env: wire.env.unwrap_or_default(),
        // An empty entrypoint clears the image's; an empty command does not.
        entrypoint: wire.entrypoint,
        cmd: wire.cmd.filter(|words| !words.is_empty()),
        working_dir: wire.working_dir,
        hostname: wire.hostname,
        domainname: wire.domainname,
        labels: wire.labels,
        tty: wire.tty,
        open_stdin: wire.open_stdin,
        stdin_once: wire.stdin_once,
        attach_stdin: wire.attach_stdin,
        attach_stdout: wire.attach_stdout,
        attach_stderr: wire.attach_stderr,
        exposed_ports: exposed_ports.into_iter().flatten().collect(),
        volumes: wire.volumes.unwrap_or_default().into_keys().collect(),
        stop_signal: wire.stop_signal,
        stop_timeout: wire.stop_timeout,
        healthcheck: wire.healthcheck.map(health_from_wire).transpose()?,
        shell: wire.shell.filter(|words| !words.is_empty()),
    })
}

pub(crate) fn config_to_wire(config: &ContainerConfig) -> wire::Config {
    let exposed = config.exposed_ports.iter();
    let exposed_ports = exposed.map(|port| (port.to_string(), Some(wire::Empty {})));
    let volumes: BTreeMap<_, _> = config
        .volumes
        .iter()
        .map(|path| (path.clone(), Some(wire::Empty {})))
        .collect();
    wire::Config {
        hostname: config.hostname.clone(),
        domainname: config.domainname.clone(),
        user: config.user.clone(),
        attach_stdin: config.attach_stdin,
        attach_stdout: config.attach_stdout,
        attach_stderr: config.attach_stderr,
        exposed_ports: exposed_ports.collect(),
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        env: Some(config.env.clone()),
        cmd: config.cmd.clone(),
        healthcheck: config.healthcheck.as_ref().map(health_to_wire),
        image: config.image.clone(),
        volumes: Some(volumes).filter(|volumes| !volumes.is_empty()),
        working_dir: config.working_dir.clone(),
        entrypoint: config.entrypoint.clone(),
        labels: config.labels.clone(),
        stop_signal: config.stop_signal.clone(),
        stop_timeout: config.stop_timeout,
        shell: config.shell.clone(),
        ..wire::Config::default()
    }
}

fn health_from_wire(wire: wire::HealthConfig) -> Result<HealthCheck> {
    match wire.test.first().map(String::as_str) {
        None | Some("" | "NONE" | "CMD" | "CMD-SHELL") => {}
        Some(other) => return bad(format!("unknown type in Healthcheck.Test: {other}")),
    }
    Ok(HealthCheck {
        test: wire.test,
        interval_ns: wire.interval,
        timeout_ns: wire.timeout,
        start_period_ns: wire.start_period,
        start_interval_ns: wire.start_interval,
        retries: wire.retries,
    })
}

fn health_to_wire(check: &HealthCheck) -> wire::HealthConfig {
    wire::HealthConfig {
        test: check.test.clone(),
        interval: check.interval_ns,
        timeout: check.timeout_ns,
        start_period: check.start_period_ns,
        start_interval: check.start_interval_ns,
        retries: check.retries,
    }
}
