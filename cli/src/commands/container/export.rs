//! `hythe export`.

use std::path::PathBuf;

use clap::Args;

use crate::api::{Api, Call};
use crate::commands::archive;
use crate::failure::Outcome;

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// Write to a file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[arg(value_name = "CONTAINER")]
    container: String,
}

pub(super) async fn run(api: &Api, arguments: &ExportArguments) -> Outcome {
    archive::refuse_terminal(arguments.output.as_deref())?;
    let call = Call::get(super::path(&arguments.container, "/export"));
    archive::save(api.send(call).await?, arguments.output.as_deref()).await?;
    Ok(0)
}
