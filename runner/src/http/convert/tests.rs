//! Bodies of `POST /containers/create` as docker 28.2.2 sends them, read and shown back.

use serde_json::Value;

use super::host_config::{host_config_from_wire, host_config_to_wire};
use super::{config::config_to_wire, config_from_wire};
use crate::http::error::ApiError;
use crate::http::request::from_value;
use crate::http::target::ApiVersion;
use crate::http::wire;
use crate::spec::{
    ContainerConfig, HostConfig, IpcMode, MountForm, MountSource, NamespaceMode, NetworkMode,
    Propagation, RestartPolicy,
};

const PLAIN: &str = include_str!("fixtures/plain.json");
const EVERYTHING: &str = include_str!("fixtures/everything.json");
const HOST_NETWORK: &str = include_str!("fixtures/host_network.json");
const NETWORKS: &str = include_str!("fixtures/networks.json");

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn read(body: Value) -> Result<(ContainerConfig, HostConfig), ApiError> {
    let body: wire::CreateBody = from_value(body).unwrap();
    let host = host_config_from_wire(&body, ApiVersion::MAX)?;
    Ok((config_from_wire(body.config.unwrap())?, host))
}

/// The fixture that sets everything, without what is refused.
fn everything_supported() -> Value {
    let mut body = json(EVERYTHING);
    let host = body["HostConfig"].as_object_mut().unwrap();
    host.remove("DeviceRequests");
    host.remove("StorageOpt");
    body["Hostname"] = Value::Null;
    body["Domainname"] = Value::Null;
    body
}

#[test]
fn a_plain_run_asks_for_nothing_special() {
    let (config, host) = read(json(PLAIN)).unwrap();
    assert_eq!(config.image, "busybox");
    assert_eq!(config.cmd, Some(vec!["true".to_owned()]));
    assert_eq!(config.entrypoint, None);
    assert_eq!(host.networks.len(), 1);
    assert_eq!(host.networks[0].network, "bridge");
    let expected = HostConfig {
        networks: host.networks.clone(),
        ..HostConfig::default()
    };
    assert_eq!(host, expected);
}

#[test]
fn every_option_arrives() {
    let (config, host) = read(everything_supported()).unwrap();
    assert_eq!(config.user, "1:2");
    assert_eq!(config.exposed_ports.len(), 6);
    assert_eq!(config.volumes, ["/anon"]);
    assert_eq!(config.stop_timeout, Some(3));
    let health = config.healthcheck.unwrap();
    assert_eq!((health.interval_ns, health.retries), (5_000_000_000, 2));

    assert_eq!(host.mounts.len(), 6);
    assert_eq!(host.mounts[2].form, MountForm::Long);
    assert_eq!(host.mounts[2].propagation, Some(Propagation::Rslave));
    assert!(matches!(
        &host.mounts[2].source,
        MountSource::Bind {
            create_missing: false,
            ..
        }
    ));
    assert_eq!(host.network_mode, NetworkMode::Network("mynet".to_owned()));
    assert_eq!(host.networks[0].ipv4_address, "172.30.0.5".parse().ok());
    assert_eq!(host.port_bindings.len(), 5);
    assert_eq!(host.resources.memory_bytes, Some(64 << 20));
    assert_eq!(host.resources.cpu.quota_us, Some(50_000));
    assert_eq!(host.resources.pids_limit, Some(20));
    assert_eq!(host.pid_mode, NamespaceMode::Host);
    assert_eq!(host.ipc_mode, IpcMode::Host);
    assert_eq!(
        host.restart_policy,
        RestartPolicy::OnFailure {
            max_retries: Some(3)
        }
    );
    assert!(host.no_new_privileges && host.privileged && host.read_only_rootfs && host.init);
    assert_eq!(host.apparmor_profile.as_deref(), Some("unconfined"));
    assert_eq!(host.log.max_files, 3);
}

/// What inspect shows is what was asked for, up to what the engine fills in.
#[test]
fn every_option_is_shown_back() {
    let asked = everything_supported();
    let (config, host) = read(asked.clone()).unwrap();
    let shown_config = serde_json::to_value(config_to_wire(&config)).unwrap();
    let shown_host = serde_json::to_value(host_config_to_wire(&host)).unwrap();

    let filled_in = ["Runtime", "LogConfig", "Tmpfs", "ExtraHosts"];
    for (field, asked) in asked["HostConfig"].as_object().unwrap() {
        if !filled_in.contains(&field.as_str()) {
            assert_eq!(shown_host.get(field), Some(asked), "HostConfig.{field}");
        }
    }
    assert_eq!(
        shown_host["LogConfig"]["Config"],
        asked["HostConfig"]["LogConfig"]["Config"]
    );
    assert_eq!(shown_host["Tmpfs"]["/run"], "size=64k");
    for (field, asked) in asked.as_object().unwrap() {
        let beside = ["HostConfig", "NetworkingConfig", "Hostname", "Domainname"];
        if !beside.contains(&field.as_str()) {
            assert_eq!(shown_config.get(field), Some(asked), "Config.{field}");
        }
    }
}

#[test]
fn empty_lists_of_paths_are_not_the_default() {
    let (_, host) = read(json(HOST_NETWORK)).unwrap();
    assert_eq!(host.masked_paths, Some(Vec::new()));
    assert_eq!(host.readonly_paths, Some(Vec::new()));
    assert_eq!(host.network_mode, NetworkMode::Host);
    assert!(host.auto_remove);
}

/// Field of `HostConfig`, its value, the status and a part of the answer.
const REFUSED: &[(&str, &str, u16, &str)] = &[
    ("Links", r#"["a:b c"]"#, 400, "bad format for links"),
    (
        "StorageOpt",
        r#"{"size":"1g"}"#,
        501,
        "HostConfig.StorageOpt",
    ),
    (
        "CpuRealtimePeriod",
        "1",
        501,
        "HostConfig.CpuRealtimePeriod",
    ),
    (
        "CpuRealtimeRuntime",
        "1",
        501,
        "HostConfig.CpuRealtimeRuntime",
    ),
    ("KernelMemory", "1", 501, "HostConfig.KernelMemory"),
    ("KernelMemoryTCP", "1", 501, "HostConfig.KernelMemoryTCP"),
    ("Cgroup", r#""container:x""#, 501, "HostConfig.Cgroup"),
    ("CpuCount", "1", 400, "HostConfig.CpuCount"),
    ("CpuPercent", "1", 400, "HostConfig.CpuPercent"),
    ("IOMaximumIOps", "1", 400, "HostConfig.IOMaximumIOps"),
    (
        "IOMaximumBandwidth",
        "1",
        400,
        "HostConfig.IOMaximumBandwidth",
    ),
    ("Isolation", r#""hyperv""#, 400, "invalid isolation"),
    (
        "Runtime",
        r#""kata""#,
        400,
        "unknown or invalid runtime name: kata",
    ),
    ("ShmSize", "-1", 400, "SHM size can not be less than 0"),
    ("OomScoreAdj", "2147483648", 400, "range for oom score adj"),
    ("Dns", r#"["x"]"#, 400, "bad nameserver address: x"),
    ("ExtraHosts", r#"["h"]"#, 400, "bad format for add-host"),
    (
        "ExtraHosts",
        r#"["h:x"]"#,
        400,
        "invalid IP address in add-host",
    ),
    (
        "DeviceRequests",
        r#"[{"Count":-1,"Capabilities":[["gpu"]]}]"#,
        501,
        "could not select device driver \"\" with capabilities: [[gpu]]",
    ),
];

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    for (field, value, status, why) in REFUSED {
        let mut body = json(HOST_NETWORK);
        body["HostConfig"][field] = json(value);
        let error = read(body).unwrap_err();
        assert_eq!(error.status, *status, "{field}: {}", error.message);
        assert!(error.message.contains(why), "{field}: {}", error.message);
    }
}

#[test]
fn what_is_asked_of_each_network_is_kept() {
    let mut body = json(NETWORKS);
    let first = &mut body["NetworkingConfig"]["EndpointsConfig"]["n1"];
    first["GwPriority"] = json("-3");
    first["IPAMConfig"] = json(r#"{"LinkLocalIPs":["169.254.1.2"]}"#);
    let (_, host) = read(body).unwrap();
    let networks: Vec<&str> = host.networks.iter().map(|n| n.network.as_str()).collect();
    assert_eq!(networks, ["n1", "n2"]);
    let first = &host.networks[0];
    assert_eq!(first.driver_options["a"], "b");
    assert_eq!(first.gateway_priority, -3);
    assert_eq!(first.link_local_ips[0].to_string(), "169.254.1.2");
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let mut in_container = json(PLAIN);
    in_container["HostConfig"]["NetworkMode"] = "container:web".into();
    in_container["NetworkingConfig"] = Value::Null;
    assert!(read(in_container.clone()).is_ok());
    let changes = [
        ("/Hostname", serde_json::json!("h")),
        ("/ExposedPorts", serde_json::json!({"80/tcp": {}})),
    ];
    for (pointer, value) in changes {
        let mut body = in_container.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[field] = value;
        assert!(read(body).is_err(), "{pointer}");
    }
}

#[test]
fn clients_before_1_44_give_one_network_and_the_mac_address_elsewhere() {
    let mut body = json(PLAIN);
    body["MacAddress"] = "02:42:ac:11:00:02".into();
    let old = ApiVersion::new(1, 43);
    let parsed: wire::CreateBody = from_value(body.clone()).unwrap();
    let host = host_config_from_wire(&parsed, old).unwrap();
    assert_eq!(
        host.networks[0].mac_address.as_deref(),
        Some("02:42:ac:11:00:02")
    );
    body["NetworkingConfig"] = serde_json::json!({"EndpointsConfig": {"a": null, "b": {}}});
    let parsed: wire::CreateBody = from_value(body).unwrap();
    let error = host_config_from_wire(&parsed, old).unwrap_err();
    assert_eq!(
        error.message,
        "Container cannot be connected to network endpoints: a, b"
    );
}

#[test]
fn docker_pys_and_curls_forms_are_read() {
    let (config, host) = read(serde_json::json!({
        "image": "busybox", "Cmd": "date", "Entrypoint": [], "Env": null, "Unknown": 1,
        "HostConfig": {"binds": ["/a:/b"], "PortBindings": {"80/tcp": null}, "Mounts": null},
    }))
    .unwrap();
    assert_eq!(config.cmd, Some(vec!["date".to_owned()]));
    assert_eq!(config.entrypoint, Some(Vec::new()));
    assert_eq!(host.mounts.len(), 1);
    assert_eq!(host.port_bindings, []);
}
