//! `Config`, as create sends it and inspect shows it, of containers and of images.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{EndpointSettings, HostConfig, RestartPolicy};
use crate::http::request::from_value;

/// Keys of Go's `map[string]struct{}`; the values are always empty.
pub(crate) type KeySet = BTreeMap<String, Option<Empty>>;

/// `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Empty {}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Config {
    pub(crate) hostname: String,
    pub(crate) domainname: String,
    pub(crate) user: String,
    pub(crate) attach_stdin: bool,
    pub(crate) attach_stdout: bool,
    pub(crate) attach_stderr: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) exposed_ports: KeySet,
    pub(crate) tty: bool,
    pub(crate) open_stdin: bool,
    pub(crate) stdin_once: bool,
    pub(crate) env: Option<Vec<String>>,
    #[serde(deserialize_with = "words")]
    pub(crate) cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) healthcheck: Option<HealthConfig>,
    pub(crate) image: String,
    pub(crate) volumes: Option<KeySet>,
    pub(crate) working_dir: String,
    #[serde(deserialize_with = "words")]
    pub(crate) entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) network_disabled: bool,
    /// Where clients before 1.44 say it; later in the endpoint.
    #[serde(skip_serializing)]
    pub(crate) mac_address: String,
    pub(crate) on_build: Option<Vec<String>>,
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop_timeout: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shell: Option<Vec<String>>,
}

/// Durations in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct HealthConfig {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) test: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) retries: i64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// A command as a list of words, or as one word.
fn words<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        Value::String(word) => Ok(Some(vec![word])),
        list => from_value(list).map(Some).map_err(D::Error::custom),
    }
}

/// The body of a create: a `Config`, and next to its fields the two below.
#[derive(Debug, Default)]
pub(crate) struct CreateBody {
    /// `None` when there was no body.
    pub(crate) config: Option<Config>,
    pub(crate) host_config: HostConfig,
    pub(crate) networking_config: NetworkingConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct BesidesConfig {
    host_config: HostConfig,
    networking_config: NetworkingConfig,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct NetworkingConfig {
    pub(crate) endpoints_config: BTreeMap<String, Option<EndpointSettings>>,
}

impl<'de> Deserialize<'de> for CreateBody {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(from)?;
        if value.is_null() {
            return Ok(Self::default());
        }
        let besides: BesidesConfig = from_value(value.clone()).map_err(D::Error::custom)?;
        Ok(Self {
            config: Some(from_value(value).map_err(D::Error::custom)?),
            host_config: besides.host_config,
            networking_config: besides.networking_config,
        })
    }
}

/// The body of an update: the limits of a `HostConfig`, and the restart policy.
#[derive(Debug, Default)]
pub(crate) struct UpdateBody {
    pub(crate) limits: HostConfig,
    pub(crate) restart_policy: Option<RestartPolicy>,
}

impl<'de> Deserialize<'de> for UpdateBody {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let limits: HostConfig = from_value(Value::deserialize(from)?).map_err(D::Error::custom)?;
        let named = !limits.restart_policy.name.is_empty();
        Ok(Self {
            restart_policy: named.then(|| limits.restart_policy.clone()),
            limits,
        })
    }
}
