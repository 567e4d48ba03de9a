//! `hythe commit`.

use bollard_stubs::models::ContainerConfig;
use clap::Args;
use serde::Deserialize;

use crate::api::{Api, Call};
use crate::commands::image::split_tag;
use crate::failure::Outcome;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct CommitArguments {
    /// Author of the image
    #[arg(long, short, value_name = "NAME")]
    author: Option<String>,
    /// Apply a Dockerfile instruction to the image
    #[arg(long, short, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Commit message
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// Pause the container meanwhile
    #[arg(long, short, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pause: bool,
    #[arg(value_name = "CONTAINER")]
    container: String,
    #[arg(value_name = "REPOSITORY[:TAG]")]
    image: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Committed {
    id: String,
}

pub(super) async fn run(api: &Api, arguments: &CommitArguments) -> Outcome {
    let (repository, tag) = match &arguments.image {
        Some(image) => split_tag(image),
        None => ("", ""),
    };
    let mut call = Call::post("/commit")
        .query("container", &arguments.container)
        .query("repo", repository)
        .query("tag", tag)
        .query_option("author", arguments.author.as_ref())
        .query_option("comment", arguments.message.as_ref())
        .query("pause", if arguments.pause { "1" } else { "0" });
    for change in &arguments.change {
        call = call.query("changes", change);
    }
    let committed: Committed = api.json(call.json(&ContainerConfig::default())?).await?;
    output::line(&committed.id)?;
    Ok(0)
}
