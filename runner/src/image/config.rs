//! The configuration of an image (image-spec `config.md`, with the fields that Docker adds).
//!
//! Read here rather than with `oci-spec`, whose type has no health check, shell or `ONBUILD`, and
//! refuses the `null`s that older builders wrote. The bytes themselves stay as they came: their
//! digest is the image's id.

use std::collections::BTreeMap;

use hythe_oci::{DiffId, Platform};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use crate::spec::{ContainerConfig, HealthCheck};

/// What an image says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    pub created: Option<Timestamp>,
    pub author: String,
    pub comment: String,
    pub docker_version: String,
    pub platform: Platform,
    /// What runs in its containers unless they say otherwise.
    pub config: ContainerConfig,
    /// Instructions for builds that start from it.
    pub on_build: Vec<String>,
    /// Lowest layer first.
    pub diff_ids: Vec<DiffId>,
    /// Oldest step first.
    pub history: Vec<BuildStep>,
}

/// One step of the build that made an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildStep {
    pub created: Option<Timestamp>,
    pub created_by: String,
    pub author: String,
    pub comment: String,
    /// The step made no layer.
    pub is_empty_layer: bool,
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A time that is none is as good as no time.
fn lenient_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

#[derive(Debug, Deserialize)]
struct WireImage {
    #[serde(default, deserialize_with = "lenient_time")]
    created: Option<Timestamp>,
    #[serde(default, deserialize_with = "null_is_default")]
    author: String,
    #[serde(default, deserialize_with = "null_is_default")]
    comment: String,
    #[serde(default, deserialize_with = "null_is_default")]
    docker_version: String,
    #[serde(default, deserialize_with = "null_is_default")]
    architecture: String,
    #[serde(default, deserialize_with = "null_is_default")]
    variant: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    os: String,
    #[serde(default, rename = "os.version", deserialize_with = "null_is_default")]
    os_version: Option<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    config: WireConfig,
    rootfs: WireRootfs,
    #[serde(default, deserialize_with = "null_is_default")]
    history: Vec<WireStep>,
}

#[derive(Debug, Deserialize)]
struct WireRootfs {
    #[serde(default, deserialize_with = "null_is_default")]
    diff_ids: Vec<DiffId>,
}

#[derive(Debug, Deserialize)]
struct WireStep {
    #[serde(default, deserialize_with = "lenient_time")]
    created: Option<Timestamp>,
    #[serde(default, deserialize_with = "null_is_default")]
    created_by: String,
    #[serde(default, deserialize_with = "null_is_default")]
    author: String,
    #[serde(default, deserialize_with = "null_is_default")]
    comment: String,
    #[serde(default, deserialize_with = "null_is_default")]
    empty_layer: bool,
}

/// An object whose keys matter and whose values are `{}`.
#[derive(Debug, Default)]
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = BTreeMap::<String, serde_json::Value>::deserialize(deserializer)?;
        Ok(Self(object.into_keys().collect()))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct WireConfig {
    #[serde(deserialize_with = "null_is_default")]
    hostname: String,
    #[serde(deserialize_with = "null_is_default")]
    domainname: String,
    #[serde(deserialize_with = "null_is_default")]
    user: String,
    #[serde(deserialize_with = "null_is_default")]
    exposed_ports: Keys,
    #[serde(deserialize_with = "null_is_default")]
    env: Vec<String>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    #[serde(deserialize_with = "null_is_default")]
    volumes: Keys,
    #[serde(deserialize_with = "null_is_default")]
    working_dir: String,
    #[serde(deserialize_with = "null_is_default")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_default")]
    stop_signal: String,
    stop_timeout: Option<i64>,
    healthcheck: Option<WireHealthcheck>,
    #[serde(deserialize_with = "null_is_default")]
    on_build: Vec<String>,
    shell: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct WireHealthcheck {
    #[serde(deserialize_with = "null_is_default")]
    test: Vec<String>,
    interval: i64,
    timeout: i64,
    start_period: i64,
    start_interval: i64,
    retries: i64,
}

impl ImageConfig {
    /// Reads the bytes of a configuration.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let wire: WireImage = serde_json::from_slice(bytes)?;
        let on_build = wire.config.on_build.clone();
        Ok(Self {
            created: wire.created,
            author: wire.author,
            comment: wire.comment,
            docker_version: wire.docker_version,
            platform: Platform {
                architecture: wire.architecture,
                os: wire.os,
                variant: wire.variant.filter(|variant| !variant.is_empty()),
                os_version: wire.os_version.filter(|version| !version.is_empty()),
            },
            config: wire.config.into(),
            on_build,
            diff_ids: wire.rootfs.diff_ids,
            history: wire.history.into_iter().map(BuildStep::from).collect(),
        })
    }
}

impl From<WireStep> for BuildStep {
    fn from(step: WireStep) -> Self {
        Self {
            created: step.created,
            created_by: step.created_by,
            author: step.author,
            comment: step.comment,
            is_empty_layer: step.empty_layer,
        }
    }
}

impl From<WireConfig> for ContainerConfig {
    fn from(wire: WireConfig) -> Self {
        Self {
            hostname: wire.hostname,
            domainname: wire.domainname,
            user: wire.user,
            // A port that is none cannot be published either; the image still runs.
            exposed_ports: wire
                .exposed_ports
                .0
                .iter()
                .filter_map(|port| port.parse().ok())
                .collect(),
            env: wire.env,
            entrypoint: wire.entrypoint,
            cmd: wire.cmd,
            volumes: wire.volumes.0,
            working_dir: wire.working_dir,
            labels: wire.labels,
            stop_signal: wire.stop_signal,
            stop_timeout: wire.stop_timeout,
            healthcheck: wire.healthcheck.map(HealthCheck::from),
            shell: wire.shell,
            ..Self::default()
        }
    }
}

impl From<WireHealthcheck> for HealthCheck {
    fn from(wire: WireHealthcheck) -> Self {
        Self {
            test: wire.test,
            interval_ns: wire.interval,
            timeout_ns: wire.timeout,
            start_period_ns: wire.start_period,
            start_interval_ns: wire.start_interval,
            retries: wire.retries,
        }
    }
}

/// The `config` object of a configuration, as docker writes it: empty things are left out.
pub(super) fn container_config_json(
    config: &ContainerConfig,
    on_build: &[String],
) -> serde_json::Value {
    use serde_json::{Value, json};
    let keys =
        |names: Vec<String>| -> Value { names.into_iter().map(|name| (name, json!({}))).collect() };
    let ports = config
        .exposed_ports
        .iter()
        .map(ToString::to_string)
        .collect();
    let health = config.healthcheck.as_ref().map(|health| {
        json!({
            "Test": health.test,
            "Interval": health.interval_ns,
            "Timeout": health.timeout_ns,
            "StartPeriod": health.start_period_ns,
            "StartInterval": health.start_interval_ns,
            "Retries": health.retries,
        })
    });
    let said = [
        ("User", json!(config.user)),
        ("ExposedPorts", keys(ports)),
        ("Env", json!(config.env)),
        ("Entrypoint", json!(config.entrypoint)),
        ("Cmd", json!(config.cmd)),
        ("Volumes", keys(config.volumes.clone())),
        ("WorkingDir", json!(config.working_dir)),
        ("Labels", json!(config.labels)),
        ("StopSignal", json!(config.stop_signal)),
        ("StopTimeout", json!(config.stop_timeout)),
        ("Healthcheck", json!(health)),
        ("Shell", json!(config.shell)),
        ("OnBuild", json!(on_build)),
    ];
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    let said = said.into_iter().filter(|(_, value)| !is_empty(value));
    said.map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dockers_configuration_is_read() {
        let bytes = br#"{"architecture":"amd64","os":"linux","created":"2024-05-06T07:08:09.5Z",
            "config":{"Hostname":"","User":"www","ExposedPorts":{"80/tcp":{},"53/udp":{},"x":{}},
              "Env":["A=b"],"Cmd":null,"Entrypoint":["/e"],"Volumes":{"/data":{}},"WorkingDir":"/w",
              "Labels":{"k":"v"},"OnBuild":["RUN x"],"StopSignal":"SIGQUIT","Shell":["/bin/bash","-c"],
              "Healthcheck":{"Test":["CMD","true"],"Interval":5}},
            "rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},
            "history":[{"created":"never","created_by":"x"},{"empty_layer":true,"comment":null}]}"#;
        let image = ImageConfig::parse(bytes).unwrap();
        assert_eq!(image.created.unwrap().to_string(), "2024-05-06T07:08:09.5Z");
        assert_eq!(image.config.exposed_ports.len(), 2);
        assert_eq!(image.config.volumes, ["/data"]);
        assert_eq!(
            (image.config.cmd, image.config.user),
            (None, "www".to_owned())
        );
        assert_eq!(image.config.healthcheck.unwrap().interval_ns, 5);
        assert_eq!(image.on_build, ["RUN x"]);
        assert_eq!((image.diff_ids.len(), image.history.len()), (1, 2));
        assert!(image.history[1].is_empty_layer && image.history[0].created.is_none());
    }

    #[test]
    fn nulls_and_gaps_are_defaults() {
        for text in [
            r#"{"rootfs":{}}"#,
            r#"{"rootfs":{"diff_ids":null},"config":null,"history":null,"author":null,"variant":""}"#,
            r#"{"rootfs":{},"config":{"Env":null,"Labels":null,"ExposedPorts":null,"User":null}}"#,
        ] {
            assert_eq!(
                ImageConfig::parse(text.as_bytes()).unwrap(),
                ImageConfig::default()
            );
        }
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"rootfs":{"diff_ids":["sha256:x"]}}"#,
            r#"{"rootfs":5}"#,
        ] {
            assert!(ImageConfig::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in "\\PC{0,80}") {
            drop(ImageConfig::parse(bytes.as_bytes()));
        }
    }
}
