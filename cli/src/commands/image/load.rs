//! `hythe load`.

use std::path::PathBuf;

use clap::Args;

use super::progress::{self, Shown};
use crate::api::{Api, Call};
use crate::commands::archive;
use crate::failure::Outcome;
use crate::output;
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct LoadArguments {
    /// Read from a file instead of standard input
    #[arg(long, short, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Suppress the load output
    #[arg(long, short)]
    quiet: bool,
}

pub(super) async fn run(api: &Api, arguments: &LoadArguments) -> Outcome {
    if arguments.input.is_none() && terminal::input_is_terminal() {
        return Err(anyhow::anyhow!("requested load from stdin, but stdin is empty").into());
    }
    let archive = archive::open(arguments.input.as_deref()).await?;
    let call = Call::post("/images/load")
        .query("quiet", if arguments.quiet { "1" } else { "0" })
        .stream("application/x-tar", archive);
    let mut loaded = String::new();
    let shown = if arguments.quiet {
        Shown::Nowhere
    } else {
        Shown::StandardOutput
    };
    progress::follow(api.json_lines(call).await?, shown, |line| {
        loaded.push_str(&line.stream);
    })
    .await?;
    // Which images there are now is said in any case.
    if arguments.quiet {
        output::print(&loaded)?;
    }
    Ok(0)
}
