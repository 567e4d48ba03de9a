//! What can be asked about containers.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use futures_util::StreamExt as _;

use super::Container;
use crate::engine::{Change, Engine, ListContainers, StatsOptions};
use crate::http::Result;
use crate::http::convert::{container_to_wire, none_if_empty, stats_to_wire, summary_to_wire};
use crate::http::request::Query;
use crate::http::stream::{LineEnd, json_lines};
use crate::http::wire;

pub(crate) async fn list(
    State(engine): State<Engine>,
    query: Query,
) -> Result<Json<Vec<wire::ContainerSummary>>> {
    let request = ListContainers {
        all: query.flag("all"),
        limit: query.number("limit")?.unwrap_or(0),
        size: query.flag("size"),
        filters: query.filters()?,
    };
    let containers = engine.list_containers(request).await?;
    let now = jiff::Timestamp::now();
    let wire = containers
        .iter()
        .map(|container| summary_to_wire(container, now));
    Ok(Json(wire.collect()))
}

pub(crate) async fn inspect(
    State(engine): State<Engine>,
    Container(container): Container,
    query: Query,
) -> Result<Json<wire::ContainerInspect>> {
    let size = query.flag("size");
    let view = engine.inspect_container(&container, size).await?;
    Ok(Json(container_to_wire(&view)))
}

pub(crate) async fn top(
    State(engine): State<Engine>,
    Container(container): Container,
    query: Query,
) -> Result<Json<wire::TopAnswer>> {
    let top = engine
        .top_container(&container, query.given("ps_args"))
        .await?;
    Ok(Json(wire::TopAnswer {
        processes: top.processes,
        titles: top.titles,
    }))
}

/// A stream of samples, or one. A source that fails ends the stream; there is no way to say why.
pub(crate) async fn stats(
    State(engine): State<Engine>,
    Container(container): Container,
    query: Query,
) -> Result<Response> {
    let options = StatsOptions {
        stream: query.flag_or("stream", true),
        one_shot: query.flag("one-shot"),
    };
    let samples = engine.container_stats(&container, options).await?;
    let samples = samples
        .take_while(|sample| std::future::ready(sample.is_ok()))
        .filter_map(|sample| std::future::ready(sample.ok()));
    Ok(json_lines(samples.map(stats_to_wire), LineEnd::Lf))
}

pub(crate) async fn changes(
    State(engine): State<Engine>,
    Container(container): Container,
) -> Result<Json<Option<Vec<wire::ChangedPath>>>> {
    let changes = engine.container_changes(&container).await?;
    let wire = changes
        .into_iter()
        .map(|Change { path, kind }| wire::ChangedPath {
            path,
            kind: kind as u8,
        });
    Ok(Json(none_if_empty(wire.collect())))
}
