//! `hythe volume …`.

use std::collections::HashMap;

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::{any, confirmed, for_each};
use crate::api::{Api, Call, Filters, segment};
use crate::failure::Outcome;
use crate::format::{Field, Listing, Row, decimal_size};
use crate::output;
use crate::values;

const TABLE: &str = "{{.Driver}}\t{{.Name}}";

const FIELDS: &[Field] = &[
    ("Driver", "DRIVER"),
    ("Name", "VOLUME NAME"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Scope", "SCOPE"),
    ("Links", "LINKS"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum VolumeCommand {
    /// Create a volume
    Create(CreateArguments),
    /// Display detailed information on one or more volumes
    Inspect(any::KindInspectArguments),
    /// List volumes
    #[command(visible_alias = "list")]
    Ls(ListArguments),
    /// Remove unused local volumes
    Prune(PruneArguments),
    /// Remove one or more volumes
    #[command(visible_alias = "remove")]
    Rm(RemoveArguments),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArguments {
    /// Driver of the volume
    #[arg(long, short, value_name = "NAME", default_value = "local")]
    driver: String,
    /// Set a label
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
    /// Option of the driver
    #[arg(long, short, value_name = "KEY=VALUE")]
    opt: Vec<String>,
    #[arg(value_name = "VOLUME")]
    name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Show only volumes that match
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = values::parse_filter)]
    filter: Vec<(String, String)>,
    /// table, json, a Go template, or `table TEMPLATE`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show only names
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PruneArguments {
    /// Remove all unused volumes, not only unnamed ones
    #[arg(long, short)]
    all: bool,
    /// Remove only volumes that match
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::parse_filter)]
    filter: Vec<(String, String)>,
    /// Do not ask for confirmation
    #[arg(long, short)]
    force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArguments {
    /// Do not fail on a volume that is not there
    #[arg(long, short)]
    force: bool,
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Volumes {
    volumes: Option<Vec<Volume>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Volume {
    name: String,
    driver: String,
    mountpoint: String,
    #[serde(default)]
    scope: String,
    labels: Option<HashMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pruned {
    volumes_deleted: Option<Vec<String>>,
    #[serde(default)]
    space_reclaimed: i64,
}

impl VolumeCommand {
    pub(super) async fn run(self, api: &Api) -> Outcome {
        match self {
            Self::Create(arguments) => create(api, &arguments).await,
            Self::Inspect(arguments) => any::run_kind(api, any::Kind::Volume, &arguments).await,
            Self::Ls(arguments) => list(api, &arguments).await,
            Self::Prune(arguments) => prune_asking(api, &arguments).await,
            Self::Rm(arguments) => remove(api, &arguments).await,
        }
    }
}

async fn create(api: &Api, arguments: &CreateArguments) -> Outcome {
    let call = Call::post("/volumes/create").json(&serde_json::json!({
        "Name": arguments.name.as_deref().unwrap_or_default(),
        "Driver": arguments.driver,
        "DriverOpts": values::pairs("opt", &arguments.opt)?,
        "Labels": values::labels(&[], &arguments.label)?,
    }))?;
    let volume: Volume = api.json(call).await?;
    output::line(&volume.name)?;
    Ok(0)
}

async fn list(api: &Api, arguments: &ListArguments) -> Outcome {
    let format = match arguments.format.as_deref() {
        None | Some("table") if arguments.quiet => Some("{{.Name}}"),
        format => format,
    };
    let listing = Listing::parse(format, TABLE)?;
    let call = Call::get("/volumes").filters(&Filters::new(&arguments.filter));
    let volumes: Volumes = api.json(call).await?;
    let mut volumes = volumes.volumes.unwrap_or_default();
    volumes.sort_by(|one, other| one.name.cmp(&other.name));
    let rows = volumes.iter().map(|volume| {
        Row::default()
            .with("Name", volume.name.as_str())
            .with("Driver", volume.driver.as_str())
            .with("Mountpoint", volume.mountpoint.as_str())
            .with("Scope", volume.scope.as_str())
            // Counting is what `system df -v` is for.
            .with("Links", "N/A")
            .with("Size", "N/A")
            .with_labels(volume.labels.iter().flatten())
    });
    output::print(&listing.render(FIELDS, rows)?)?;
    Ok(0)
}

async fn remove(api: &Api, arguments: &RemoveArguments) -> Outcome {
    for_each(&arguments.volumes, async |name| {
        let call =
            Call::delete(format!("/volumes/{}", segment(&name))).flag("force", arguments.force);
        api.status(call).await?;
        Ok(())
    })
    .await
}

async fn prune_asking(api: &Api, arguments: &PruneArguments) -> Outcome {
    let filters = Filters::new(&arguments.filter);
    let question = if arguments.all {
        "WARNING! This will remove all local volumes not used by at least one container."
    } else {
        "WARNING! This will remove anonymous local volumes not used by at least one container."
    };
    if !confirmed(arguments.force, question)? {
        return Ok(0);
    }
    let (text, space) = prune(api, arguments.all, filters).await?;
    let space = decimal_size(space, 4);
    output::print(&format!("{text}Total reclaimed space: {space}\n"))?;
    Ok(0)
}

/// Removes the volumes; returns what to say of it and the bytes that became free.
pub(super) async fn prune(
    api: &Api,
    all: bool,
    mut filters: Filters,
) -> anyhow::Result<(String, i64)> {
    if all {
        filters.add("all", "true");
    }
    let pruned: Pruned = api
        .json(Call::post("/volumes/prune").filters(&filters))
        .await?;
    let mut text = String::new();
    let deleted = pruned.volumes_deleted.unwrap_or_default();
    if !deleted.is_empty() {
        text = format!("Deleted Volumes:\n{}\n\n", deleted.join("\n"));
    }
    Ok((text, pruned.space_reclaimed))
}
