//! `hythe container prune`.

use clap::Args;
use serde::Deserialize;

use crate::api::{Api, Call, Filters};
use crate::commands::confirmed;
use crate::failure::Outcome;
use crate::format::decimal_size;
use crate::output;
use crate::values;

#[derive(Debug, Args)]
pub(crate) struct PruneArguments {
    /// Remove only containers that match
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::parse_filter)]
    filter: Vec<(String, String)>,
    /// Do not ask for confirmation
    #[arg(long, short)]
    force: bool,
}

/// What a prune of containers removed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct Pruned {
    containers_deleted: Option<Vec<String>>,
    #[serde(default)]
    space_reclaimed: i64,
}

pub(super) async fn run(api: &Api, arguments: &PruneArguments) -> Outcome {
    let filters = Filters::new(&arguments.filter);
    if !confirmed(
        arguments.force,
        "WARNING! This will remove all stopped containers.",
    )? {
        return Ok(0);
    }
    let (text, space) = prune(api, &filters).await?;
    let space = decimal_size(space, 4);
    output::print(&format!("{text}Total reclaimed space: {space}\n"))?;
    Ok(0)
}

/// Removes the containers; returns what to say of it and the bytes that became free.
pub(in super::super) async fn prune(api: &Api, filters: &Filters) -> anyhow::Result<(String, i64)> {
    let pruned: Pruned = api
        .json(Call::post("/containers/prune").filters(filters))
        .await?;
    let mut text = String::new();
    let deleted = pruned.containers_deleted.unwrap_or_default();
    if !deleted.is_empty() {
        text = format!("Deleted Containers:\n{}\n\n", deleted.join("\n"));
    }
    Ok((text, pruned.space_reclaimed))
}
