//! `hythe image prune` and `hythe builder prune`.

use clap::Args;
use serde::Deserialize;

use super::remove::{Removed, told};
use crate::api::{Api, Call, Filters};
use crate::commands::confirmed;
use crate::failure::Outcome;
use crate::format::decimal_size;
use crate::output;
use crate::values;

#[derive(Debug, Args)]
pub(crate) struct PruneArguments {
    /// Remove all images without containers, not only unnamed ones
    #[arg(long, short)]
    all: bool,
    /// Remove only images that match
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::parse_filter)]
    filter: Vec<(String, String)>,
    /// Do not ask for confirmation
    #[arg(long, short)]
    force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CachePruneArguments {
    /// Remove all of the cache, not only what nothing refers to
    #[arg(long, short)]
    all: bool,
    /// Remove only what matches
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::parse_filter)]
    filter: Vec<(String, String)>,
    /// Do not ask for confirmation
    #[arg(long, short)]
    force: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pruned {
    images_deleted: Option<Vec<Removed>>,
    #[serde(default)]
    space_reclaimed: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PrunedCache {
    caches_deleted: Option<Vec<String>>,
    #[serde(default)]
    space_reclaimed: i64,
}

pub(super) async fn run(api: &Api, arguments: &PruneArguments) -> Outcome {
    let filters = Filters::new(&arguments.filter);
    let question = if arguments.all {
        "WARNING! This will remove all images without at least one container associated to them."
    } else {
        "WARNING! This will remove all dangling images."
    };
    if !confirmed(arguments.force, question)? {
        return Ok(0);
    }
    let (text, space) = prune(api, arguments.all, filters).await?;
    let space = decimal_size(space, 4);
    output::print(&format!("{text}Total reclaimed space: {space}\n"))?;
    Ok(0)
}

/// Removes the images; returns what to say of it and the bytes that became free.
pub(in super::super) async fn prune(
    api: &Api,
    all: bool,
    mut filters: Filters,
) -> anyhow::Result<(String, i64)> {
    if !filters.contains("dangling") {
        filters.add("dangling", if all { "false" } else { "true" });
    }
    let pruned: Pruned = api
        .json(Call::post("/images/prune").filters(&filters))
        .await?;
    let mut text = told(&pruned.images_deleted.unwrap_or_default());
    if !text.is_empty() {
        text = format!("Deleted Images:\n{text}\n");
    }
    Ok((text, pruned.space_reclaimed))
}

pub(super) async fn run_cache(api: &Api, arguments: &CachePruneArguments) -> Outcome {
    let filters = Filters::new(&arguments.filter);
    let question = if arguments.all {
        "WARNING! This will remove all build cache."
    } else {
        "WARNING! This will remove all dangling build cache."
    };
    if !confirmed(arguments.force, question)? {
        return Ok(0);
    }
    let (text, space) = prune_cache(api, arguments.all, &filters).await?;
    let space = decimal_size(space, 4);
    output::print(&format!("{text}Total reclaimed space: {space}\n"))?;
    Ok(0)
}

/// Removes the cache; returns what to say of it and the bytes that became free.
pub(in super::super) async fn prune_cache(
    api: &Api,
    all: bool,
    filters: &Filters,
) -> anyhow::Result<(String, i64)> {
    let call = Call::post("/build/prune").flag("all", all).filters(filters);
    let pruned: PrunedCache = api.json(call).await?;
    let mut text = String::new();
    let deleted = pruned.caches_deleted.unwrap_or_default();
    if !deleted.is_empty() {
        text = format!("Deleted build cache objects:\n{}\n\n", deleted.join("\n"));
    }
    Ok((text, pruned.space_reclaimed))
}
