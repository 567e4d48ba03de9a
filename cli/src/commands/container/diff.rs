//! `hythe diff`.

use clap::Args;
use serde::Deserialize;

use crate::api::{Api, Call};
use crate::failure::Outcome;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    #[arg(value_name = "CONTAINER")]
    container: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    path: String,
    kind: u8,
}

pub(super) async fn run(api: &Api, arguments: &DiffArguments) -> Outcome {
    let call = Call::get(super::path(&arguments.container, "/changes"));
    // An engine says null for "nothing changed".
    let changes: Option<Vec<Change>> = api.json(call).await?;
    let mut text = String::new();
    for change in changes.unwrap_or_default() {
        let letter = match change.kind {
            0 => "C",
            1 => "A",
            2 => "D",
            _ => "?",
        };
        text.push_str(letter);
        text.push(' ');
        text.push_str(&change.path);
        text.push('\n');
    }
    output::print(&text)?;
    Ok(0)
}
