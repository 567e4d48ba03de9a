//! Answers recorded from a real dockerd: every field it has, ours has too, of the same type.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{
    container_to_wire, exec_to_wire, image_inspect_to_wire, image_summary_to_wire, stats_to_wire,
    summary_to_wire,
};
use crate::engine::{
    ContainerSize, ContainerView, EndpointView, ExecConfig, ExecView, Health, HealthProbe,
    HealthStatus, ImageView, MountKind, MountView, Stats,
};
use crate::http::target::ApiVersion;
use crate::spec::{
    ContainerConfig, ContainerId, ContainerState, ExecId, HealthCheck, HostConfig, MountForm,
    MountSource, MountSpec, NetworkMode, Running, Submounts,
};

fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// The container that the recordings are of: `--network none`, a volume, a bind, two tmpfs, a
/// health check.
fn container() -> ContainerView {
    ContainerView {
        id: ContainerId::random(),
        name: "web".parse().unwrap(),
        created_at: now(),
        state: ContainerState::Running(Running {
            pid: 7,
            started_at: now(),
        }),
        started_at: Some(now()),
        finished_at: None,
        config: config(),
        host: host(),
        image_id: "sha256:ab".to_owned(),
        path: "sh".to_owned(),
        args: vec!["-c".to_owned(), "echo hi".to_owned()],
        platform: "linux/amd64".to_owned(),
        restart_count: 0,
        health: Some(health()),
        mounts: vec![
            mount(MountKind::Volume, "/v/vol1", "/data"),
            mount(MountKind::Bind, "/tmp", "/t"),
            mount(MountKind::Tmpfs, "", "/run"),
            mount(MountKind::Tmpfs, "", "/tt"),
        ],
        networks: BTreeMap::from([("none".to_owned(), EndpointView::default())]),
        published_ports: Vec::new(),
        exec_ids: Vec::new(),
        log_path: "/log".into(),
        hostname_path: "/hostname".into(),
        hosts_path: "/hosts".into(),
        resolv_conf_path: "/resolv.conf".into(),
        size: Some(ContainerSize {
            writable_bytes: 1,
            rootfs_bytes: 2,
        }),
    }
}

fn host() -> HostConfig {
    let tmpfs = |target: &str, form| MountSpec {
        source: MountSource::Tmpfs {
            size_bytes: Some(1 << 20),
            mode: None,
            options: Vec::new(),
        },
        target: target.to_owned(),
        read_only: false,
        propagation: None,
        submounts: Submounts::Follow,
        form,
    };
    HostConfig {
        network_mode: NetworkMode::None,
        mounts: vec![
            tmpfs("/run", MountForm::Short),
            tmpfs("/tt", MountForm::Long),
        ],
        masked_paths: Some(vec!["/proc/kcore".to_owned()]),
        readonly_paths: Some(vec!["/proc/sys".to_owned()]),
        ..HostConfig::default()
    }
}

fn mount(kind: MountKind, source: &str, destination: &str) -> MountView {
    let of_volume = |text: &str| if kind == MountKind::Volume { text } else { "" }.to_owned();
    MountView {
        kind,
        name: of_volume("vol1"),
        source: source.into(),
        destination: destination.to_owned(),
        driver: of_volume("local"),
        read_write: true,
        propagation: None,
    }
}

fn health() -> Health {
    Health {
        status: HealthStatus::Healthy,
        failing_streak: 0,
        log: vec![HealthProbe {
            started_at: now(),
            ended_at: now(),
            exit_code: 0,
            output: String::new(),
        }],
    }
}

fn config() -> ContainerConfig {
    ContainerConfig {
        image: "bb:1".to_owned(),
        exposed_ports: vec!["80/tcp".parse().unwrap()],
        labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        stop_timeout: Some(3),
        healthcheck: Some(HealthCheck {
            test: vec!["CMD-SHELL".to_owned(), "true".to_owned()],
            interval_ns: 1_000_000_000,
            ..HealthCheck::default()
        }),
        cmd: Some(vec!["sleep".to_owned()]),
        ..ContainerConfig::default()
    }
}

/// Fields of `recorded` that `ours` lacks or has of another type. `null` fits a list, a map or
/// an optional number; keys that are data are not compared.
fn differences(recorded: &Value, ours: &Value, path: &str, found: &mut Vec<String>) {
    const DATA: [&str; 4] = [
        ".GraphDriver.Data",
        ".memory_stats.stats",
        ".Labels",
        ".networks",
    ];
    match (recorded, ours) {
        (Value::Object(_), Value::Object(_)) if DATA.iter().any(|data| path.ends_with(data)) => {}
        (Value::Object(recorded), Value::Object(ours)) => {
            for (key, value) in recorded {
                match ours.get(key) {
                    Some(own) => differences(value, own, &format!("{path}.{key}"), found),
                    None => found.push(format!("{path}.{key} is missing")),
                }
            }
        }
        (Value::Array(recorded), Value::Array(ours)) => {
            if let (Some(value), Some(own)) = (recorded.first(), ours.first()) {
                differences(value, own, &format!("{path}[]"), found);
            }
        }
        (Value::Null, Value::Array(_) | Value::Object(_))
        | (Value::Array(_) | Value::Object(_) | Value::Number(_), Value::Null) => {}
        _ if std::mem::discriminant(recorded) == std::mem::discriminant(ours) => {}
        _ => found.push(format!("{path} is {ours}, Docker has {recorded}")),
    }
}

fn compare(recorded: &str, ours: impl Serialize) {
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    let mut found = Vec::new();
    differences(
        &recorded,
        &serde_json::to_value(ours).unwrap(),
        "",
        &mut found,
    );
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn containers_have_dockers_shape() {
    let view = container();
    compare(
        include_str!("fixtures/docker_inspect.json"),
        container_to_wire(&view),
    );
    compare(
        include_str!("fixtures/docker_list.json"),
        summary_to_wire(&view, now()),
    );
}

#[test]
fn a_list_shows_the_command_as_it_would_be_typed() {
    let summary = summary_to_wire(&container(), now());
    assert_eq!(summary.command, "sh -c 'echo hi'");
    // `--tmpfs` is no mount, `--mount type=tmpfs` is one.
    assert_eq!(summary.mounts.len(), 3);
}

#[test]
fn execs_have_dockers_shape() {
    let view = ExecView {
        id: ExecId::random(),
        container: ContainerId::random(),
        config: ExecConfig {
            cmd: vec!["true".to_owned()],
            ..ExecConfig::default()
        },
        running: false,
        exit_code: Some(0),
        pid: 7,
        streams_closed: true,
    };
    compare(
        include_str!("fixtures/docker_exec.json"),
        exec_to_wire(view),
    );
}

#[test]
fn stats_have_dockers_shape() {
    let running = Stats {
        read_at: Some(now()),
        previous_read_at: Some(now()),
        cpu: crate::engine::CpuStats {
            host_ns: 1,
            online_cpus: 2,
            ..crate::engine::CpuStats::default()
        },
        previous_cpu: crate::engine::CpuStats {
            host_ns: 1,
            online_cpus: 2,
            ..crate::engine::CpuStats::default()
        },
        memory: crate::engine::MemoryStats {
            max_usage_bytes: 1,
            stats: BTreeMap::from([("cache".to_owned(), 1)]),
            ..crate::engine::MemoryStats::default()
        },
        ..Stats::default()
    };
    compare(
        include_str!("fixtures/docker_stats.json"),
        stats_to_wire(running),
    );
    let stopped = serde_json::to_value(stats_to_wire(Stats::default())).unwrap();
    assert_eq!(stopped["read"], "0001-01-01T00:00:00Z");
    assert_eq!(stopped["pids_stats"], serde_json::json!({}));
    assert_eq!(stopped["memory_stats"], serde_json::json!({}));
}

#[test]
fn images_have_dockers_shape() {
    let view = ImageView {
        manifests: None,
        id: "sha256:ab".to_owned(),
        tags: vec!["bb:1".to_owned()],
        digests: Vec::new(),
        parent: String::new(),
        comment: String::new(),
        created_at: Some(now()),
        architecture: "amd64".to_owned(),
        author: String::new(),
        variant: String::new(),
        os: "linux".to_owned(),
        size_bytes: 1,
        shared_size_bytes: None,
        n_containers: None,
        labels: BTreeMap::new(),
        config: config(),
        diff_ids: vec!["sha256:cd".to_owned()],
        last_tagged_at: None,
    };
    // What was recorded spoke 1.41.
    let old = ApiVersion::new(1, 41);
    compare(
        include_str!("fixtures/docker_image.json"),
        image_inspect_to_wire(&view, old),
    );
    compare(
        include_str!("fixtures/docker_image_list.json"),
        image_summary_to_wire(&view, old),
    );
    let new = image_summary_to_wire(&view, ApiVersion::MAX);
    assert_eq!(
        (new.virtual_size, new.shared_size, new.containers),
        (None, -1, -1)
    );
}
