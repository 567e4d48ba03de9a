//! `hythe history`.

use clap::Args;
use jiff::Timestamp;
use serde::Deserialize;

use crate::api::{Api, Call, segment};
use crate::failure::Outcome;
use crate::format::{Field, Listing, Row, decimal_size, duration_ago, short_id, truncated};
use crate::output;

const TABLE: &str = "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";

/// With dates and bytes as they are.
const EXACT_TABLE: &str = "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";

const FIELDS: &[Field] = &[
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];

/// Characters of an instruction that fit into the table.
const CREATED_BY_LENGTH: usize = 45;

#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    /// table, json, a Go template, or `table TEMPLATE`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Print sizes and dates for people
    #[arg(long, short = 'H', value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    human: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Show only ids
    #[arg(long, short)]
    quiet: bool,
    #[arg(value_name = "IMAGE")]
    image: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Layer {
    id: String,
    created: i64,
    created_by: String,
    size: i64,
    comment: String,
}

pub(super) async fn run(api: &Api, arguments: &HistoryArguments) -> Outcome {
    let format = match arguments.format.as_deref() {
        None | Some("table") if arguments.quiet => Some("{{.ID}}"),
        format => format,
    };
    let table = if arguments.human { TABLE } else { EXACT_TABLE };
    let listing = Listing::parse(format, table)?;
    let call = Call::get(format!("/images/{}/history", segment(&arguments.image)));
    let layers: Vec<Layer> = api.json(call).await?;
    let now = Timestamp::now();
    let rows = layers.iter().map(|layer| row(layer, arguments, now));
    output::print(&listing.render(FIELDS, rows)?)?;
    Ok(0)
}

fn row(layer: &Layer, arguments: &HistoryArguments, now: Timestamp) -> Row {
    let id = if arguments.no_trunc {
        layer.id.as_str()
    } else {
        short_id(&layer.id)
    };
    let created_by = layer.created_by.replace('\t', " ");
    let created_by = if arguments.no_trunc {
        created_by
    } else {
        truncated(&created_by, CREATED_BY_LENGTH)
    };
    let created_at = Timestamp::from_second(layer.created)
        .map(|timestamp| timestamp.to_string())
        .unwrap_or_default();
    let (since, size) = if arguments.human {
        (
            duration_ago(layer.created, now),
            decimal_size(layer.size, 3),
        )
    } else {
        (created_at.clone(), layer.size.to_string())
    };
    Row::default()
        .with("ID", id)
        .with("CreatedSince", since)
        .with("CreatedAt", created_at)
        .with("CreatedBy", created_by)
        .with("Size", size)
        .with("Comment", layer.comment.as_str())
}
