//! Building images, by the classic builder's parameters.

use axum::extract::State;
use axum::response::Response;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use super::Result;
use super::convert::{network_mode, progress_to_wire, resources_from_wire};
use super::error::ApiError;
use super::request::{Query, RegistryConfigHeader, StreamBody, from_value};
use super::stream::{LineEnd, json_lines};
use super::wire;
use crate::engine::{BuildRequest, Engine};

pub(super) async fn build(
    State(engine): State<Engine>,
    RegistryConfigHeader(credentials): RegistryConfigHeader,
    query: Query,
    StreamBody(body): StreamBody,
) -> Result<Response> {
    refuse_unsupported(&query)?;
    let limits = limits(&query)?;
    let request = BuildRequest {
        dockerfile: query.given("dockerfile").unwrap_or("Dockerfile").to_owned(),
        tags: query
            .all("t")
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect(),
        quiet: query.flag("q"),
        no_cache: query.flag("nocache"),
        pull: query.flag("pull"),
        remove: query.flag_or("rm", true),
        force_remove: query.flag("forcerm"),
        arguments: json(&query, "buildargs")?,
        labels: json(&query, "labels")?,
        target: query.text("target").to_owned(),
        platform: query.text("platform").to_owned(),
        network: network_mode(query.text("networkmode"))?,
        extra_hosts: query
            .all("extrahosts")
            .filter(|host| !host.is_empty())
            .map(str::to_owned)
            .collect(),
        resources: resources_from_wire(&limits)?,
        shm_size_bytes: query.number("shmsize")?.filter(|size| *size != 0),
        cgroup_parent: query.text("cgroupparent").to_owned(),
        credentials,
    };
    let lines = engine.build_image(request, body).await?;
    Ok(json_lines(lines.map(progress_to_wire), LineEnd::CrLf))
}

/// What this builder would have to ignore.
fn refuse_unsupported(query: &Query) -> Result<()> {
    let refuse = |message: &str| Err(ApiError::not_implemented(message));
    if !matches!(query.text("version"), "" | "1") {
        return refuse("BuildKit is not supported by this engine; set DOCKER_BUILDKIT=0");
    }
    if query.given("remote").is_some() {
        return refuse(
            "building from a URL is not supported by this engine; download the context and send \
             it instead",
        );
    }
    if query.flag("squash") {
        return refuse("squash is not supported by this engine");
    }
    let cache_from: Vec<String> = json(query, "cachefrom")?;
    if !cache_from.is_empty() {
        return refuse("cache-from is not supported by this engine; its own cache is always used");
    }
    if !matches!(query.text("outputs"), "" | "[]" | "null") {
        return refuse("outputs are not supported by this engine");
    }
    Ok(())
}

/// Limits of RUN's containers, under the names that containers have for them.
fn limits(query: &Query) -> Result<wire::HostConfig> {
    Ok(wire::HostConfig {
        memory: query.number("memory")?.unwrap_or(0),
        memory_swap: query.number("memswap")?.unwrap_or(0),
        cpu_shares: query.number("cpushares")?.unwrap_or(0),
        cpu_period: query.number("cpuperiod")?.unwrap_or(0),
        cpu_quota: query.number("cpuquota")?.unwrap_or(0),
        cpuset_cpus: query.text("cpusetcpus").to_owned(),
        cpuset_mems: query.text("cpusetmems").to_owned(),
        ulimits: json(query, "ulimits")?,
        ..wire::HostConfig::default()
    })
}

/// A parameter that is JSON; nothing and `null` are the zero value.
fn json<T: DeserializeOwned + Default>(query: &Query, key: &str) -> Result<T> {
    let Some(text) = query.given(key) else {
        return Ok(T::default());
    };
    let wrong =
        |error: serde_json::Error| ApiError::bad_parameter(format!("error reading {key}: {error}"));
    match serde_json::from_str(text).map_err(wrong)? {
        serde_json::Value::Null => Ok(T::default()),
        value => from_value(value)
            .map_err(|error| ApiError::bad_parameter(format!("error reading {key}: {error}"))),
    }
}
