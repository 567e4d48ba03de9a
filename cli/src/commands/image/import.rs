//! `hythe import`.

use std::path::Path;

use clap::Args;

use super::progress::{self, Shown};
use super::split_tag;
use crate::api::{Api, Call};
use crate::commands::archive;
use crate::failure::Outcome;

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// Apply a Dockerfile instruction to the image
    #[arg(long, short, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Message of the image's history
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// Platform of the image
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// A file, a URL that the agent reads, or - for standard input
    #[arg(value_name = "FILE|URL|-")]
    source: String,
    #[arg(value_name = "REPOSITORY[:TAG]")]
    image: Option<String>,
}

pub(super) async fn run(api: &Api, arguments: &ImportArguments) -> Outcome {
    let (repository, tag) = match &arguments.image {
        Some(image) => split_tag(image),
        None => ("", ""),
    };
    let remote =
        arguments.source.starts_with("http://") || arguments.source.starts_with("https://");
    let mut call = Call::post("/images/create")
        .query("fromSrc", if remote { &arguments.source } else { "-" })
        .query("repo", repository)
        .query("tag", tag)
        .query_option("message", arguments.message.as_ref())
        .query_option("platform", arguments.platform.as_ref());
    for change in &arguments.change {
        call = call.query("changes", change);
    }
    if !remote {
        let path = (arguments.source != "-").then(|| Path::new(&arguments.source));
        call = call.stream("application/x-tar", archive::open(path).await?);
    }
    progress::follow(api.json_lines(call).await?, Shown::StandardOutput, |_| ()).await?;
    Ok(0)
}
