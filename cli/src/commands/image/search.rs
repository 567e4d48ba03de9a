//! `hythe search`.

use clap::Args;
use serde::Deserialize;

use crate::api::{Api, Call, Filters};
use crate::credentials;
use crate::failure::Outcome;
use crate::format::{Field, Listing, Row, truncated};
use crate::output;
use crate::values;

const TABLE: &str = "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}";

const FIELDS: &[Field] = &[
    ("Name", "NAME"),
    ("Description", "DESCRIPTION"),
    ("StarCount", "STARS"),
    ("IsOfficial", "OFFICIAL"),
    ("IsAutomated", "AUTOMATED"),
];

/// Characters of a description that fit into the table.
const DESCRIPTION_LENGTH: usize = 45;

#[derive(Debug, Args)]
pub(crate) struct SearchArguments {
    /// Show only images that match, such as stars=3 or is-official=true
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = values::parse_filter)]
    filter: Vec<(String, String)>,
    /// Show only automated builds
    #[arg(long, hide = true)]
    automated: bool,
    /// table, json, a Go template, or `table TEMPLATE`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Most results to show
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    #[arg(value_name = "TERM")]
    term: String,
}

#[derive(Debug, Deserialize)]
struct Found {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    star_count: i64,
    #[serde(default)]
    is_official: bool,
    #[serde(default)]
    is_automated: bool,
}

pub(super) async fn run(api: &Api, arguments: &SearchArguments) -> Outcome {
    let listing = Listing::parse(arguments.format.as_deref(), TABLE)?;
    // A first part with a dot or a port is a registry, as in the name of an image.
    let host = match arguments.term.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "",
    };
    let mut filters = arguments.filter.clone();
    if arguments.automated {
        filters.push(("is-automated".to_owned(), "true".to_owned()));
    }
    let call = Call::get("/images/search")
        .query("term", &arguments.term)
        .query_option("limit", arguments.limit)
        .filters(&Filters::new(&filters))
        .header("x-registry-auth", credentials::header_for(host)?);
    let found: Vec<Found> = api.json(call).await?;
    let rows = found.iter().map(|found| row(found, arguments.no_trunc));
    output::print(&listing.render(FIELDS, rows)?)?;
    Ok(0)
}

fn row(found: &Found, whole: bool) -> Row {
    let description = found.description.replace(['\n', '\r'], " ");
    let description = if whole {
        description
    } else {
        truncated(&description, DESCRIPTION_LENGTH)
    };
    let ok = |is: bool| if is { "[OK]" } else { "" };
    Row::default()
        .with("Name", found.name.as_str())
        .with("Description", description)
        .with("StarCount", found.star_count.to_string())
        .with("IsOfficial", ok(found.is_official))
        .with("IsAutomated", ok(found.is_automated))
}
