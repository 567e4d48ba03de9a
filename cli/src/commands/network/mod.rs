//! `hythe network …`.

mod connect;
mod create;

use std::collections::HashMap;

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::{any, confirmed, for_each};
use crate::api::{Api, Call, Filters, segment};
use crate::failure::Outcome;
use crate::format::{Field, Listing, Row, short_id};
use crate::output;
use crate::values;

const TABLE: &str = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}";

const FIELDS: &[Field] = &[
    ("ID", "NETWORK ID"),
    ("Name", "NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("CreatedAt", "CREATED AT"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum NetworkCommand {
    /// Connect a container to a network
    Connect(Box<connect::ConnectArguments>),
    /// Create a network
    Create(Box<create::CreateArguments>),
    /// Disconnect a container from a network
    Disconnect(connect::DisconnectArguments),
    /// Display detailed information on one or more networks
    Inspect(any::KindInspectArguments),
    /// List networks
    #[command(visible_alias = "list")]
    Ls(ListArguments),
    /// Remove all unused networks
    Prune(PruneArguments),
    /// Remove one or more networks
    #[command(visible_alias = "remove")]
    Rm(RemoveArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Show only networks that match
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = values::parse_filter)]
    filter: Vec<(String, String)>,
    /// table, json, a Go template, or `table TEMPLATE`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Show only ids
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PruneArguments {
    /// Remove only networks that match
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::parse_filter)]
    filter: Vec<(String, String)>,
    /// Do not ask for confirmation
    #[arg(long, short)]
    force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArguments {
    /// Do not fail on a network that is not there
    #[arg(long, short)]
    force: bool,
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    id: String,
    name: String,
    driver: String,
    scope: String,
    #[serde(default)]
    internal: bool,
    #[serde(rename = "EnableIPv4", default = "yes")]
    ipv4: bool,
    #[serde(rename = "EnableIPv6", default)]
    ipv6: bool,
    #[serde(default)]
    created: String,
    labels: Option<HashMap<String, String>>,
}

/// Engines that do not say whether a network has IPv4 know no network without it.
fn yes() -> bool {
    true
}

impl NetworkCommand {
    pub(super) async fn run(self, api: &Api) -> Outcome {
        match self {
            Self::Connect(arguments) => connect::connect(api, *arguments).await,
            Self::Create(arguments) => create::run(api, *arguments).await,
            Self::Disconnect(arguments) => connect::disconnect(api, &arguments).await,
            Self::Inspect(arguments) => any::run_kind(api, any::Kind::Network, &arguments).await,
            Self::Ls(arguments) => list(api, &arguments).await,
            Self::Prune(arguments) => prune_asking(api, &arguments).await,
            Self::Rm(arguments) => remove(api, &arguments).await,
        }
    }
}

async fn list(api: &Api, arguments: &ListArguments) -> Outcome {
    let format = match arguments.format.as_deref() {
        None | Some("table") if arguments.quiet => Some("{{.ID}}"),
        format => format,
    };
    let listing = Listing::parse(format, TABLE)?;
    let call = Call::get("/networks").filters(&Filters::new(&arguments.filter));
    let mut networks: Vec<Network> = api.json(call).await?;
    networks.sort_by(|one, other| one.name.cmp(&other.name));
    let rows = networks.iter().map(|network| {
        let id = if arguments.no_trunc {
            network.id.as_str()
        } else {
            short_id(&network.id)
        };
        Row::default()
            .with("ID", id)
            .with("Name", network.name.as_str())
            .with("Driver", network.driver.as_str())
            .with("Scope", network.scope.as_str())
            .with("IPv4", network.ipv4.to_string())
            .with("IPv6", network.ipv6.to_string())
            .with("Internal", network.internal.to_string())
            .with("CreatedAt", network.created.as_str())
            .with_labels(network.labels.iter().flatten())
    });
    output::print(&listing.render(FIELDS, rows)?)?;
    Ok(0)
}

async fn remove(api: &Api, arguments: &RemoveArguments) -> Outcome {
    for_each(&arguments.networks, async |name| {
        match api
            .status(Call::delete(format!("/networks/{}", segment(&name))))
            .await
        {
            Err(error) if arguments.force && error.is_not_found() => Ok(()),
            removed => Ok(removed.map(drop)?),
        }
    })
    .await
}

async fn prune_asking(api: &Api, arguments: &PruneArguments) -> Outcome {
    let filters = Filters::new(&arguments.filter);
    if !confirmed(
        arguments.force,
        "WARNING! This will remove all custom networks not used by at least one container.",
    )? {
        return Ok(0);
    }
    output::print(&prune(api, &filters).await?)?;
    Ok(0)
}

/// Removes the networks; returns what to say of it.
pub(super) async fn prune(api: &Api, filters: &Filters) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Pruned {
        networks_deleted: Option<Vec<String>>,
    }
    let pruned: Pruned = api
        .json(Call::post("/networks/prune").filters(filters))
        .await?;
    let deleted = pruned.networks_deleted.unwrap_or_default();
    Ok(if deleted.is_empty() {
        String::new()
    } else {
        format!("Deleted Networks:\n{}\n\n", deleted.join("\n"))
    })
}
