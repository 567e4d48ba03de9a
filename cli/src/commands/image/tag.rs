//! `hythe tag`.

use clap::Args;

use super::split_tag;
use crate::api::{Api, Call, segment};
use crate::failure::Outcome;

#[derive(Debug, Args)]
pub(crate) struct TagArguments {
    #[arg(value_name = "SOURCE[:TAG]")]
    source: String,
    #[arg(value_name = "TARGET[:TAG]")]
    target: String,
}

pub(super) async fn run(api: &Api, arguments: &TagArguments) -> Outcome {
    let (repository, tag) = split_tag(&arguments.target);
    let call = Call::post(format!("/images/{}/tag", segment(&arguments.source)))
        .query("repo", repository)
        .query("tag", tag);
    api.status(call).await?;
    Ok(0)
}
