//! `hythe top`.

use clap::Args;
use serde::Deserialize;

use crate::api::{Api, Call};
use crate::failure::Outcome;
use crate::format::align;
use crate::output;

/// ps has wider columns than lists have.
const COLUMN_WIDTH: usize = 20;

#[derive(Debug, Args)]
pub(crate) struct TopArguments {
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Options for ps
    #[arg(
        value_name = "PS_OPTIONS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    options: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Top {
    titles: Vec<String>,
    processes: Option<Vec<Vec<String>>>,
}

pub(super) async fn run(api: &Api, arguments: &TopArguments) -> Outcome {
    let options = arguments.options.join(" ");
    let call = Call::get(super::path(&arguments.container, "/top"))
        .query_option("ps_args", (!options.is_empty()).then_some(options));
    let top: Top = api.json(call).await?;
    let mut text = top.titles.join("\t") + "\n";
    for process in top.processes.unwrap_or_default() {
        text.push_str(&process.join("\t"));
        text.push('\n');
    }
    output::print(&align(&text, COLUMN_WIDTH))?;
    Ok(0)
}
