//! `hythe save`.

use std::path::PathBuf;

use clap::Args;

use crate::api::{Api, Call};
use crate::commands::archive;
use crate::failure::Outcome;

#[derive(Debug, Args)]
pub(crate) struct SaveArguments {
    /// Write to a file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

pub(super) async fn run(api: &Api, arguments: &SaveArguments) -> Outcome {
    archive::refuse_terminal(arguments.output.as_deref())?;
    let mut call = Call::get("/images/get");
    for image in &arguments.images {
        call = call.query("names", image);
    }
    archive::save(api.send(call).await?, arguments.output.as_deref()).await?;
    Ok(0)
}
