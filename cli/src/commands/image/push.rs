//! `hythe push`.

use anyhow::Context as _;
use clap::Args;
use hythe_oci::ImageReference;

use super::progress::{self, Shown};
use super::{DEFAULT_REGISTRY, split_tag};
use crate::api::{Api, Call, segment};
use crate::credentials;
use crate::failure::Outcome;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct PushArguments {
    /// Push all tags of the repository
    #[arg(long, short)]
    all_tags: bool,
    /// Platform of the image, such as linux/arm64
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Suppress verbose output
    #[arg(long, short)]
    quiet: bool,
    #[arg(value_name = "NAME[:TAG]")]
    image: String,
}

pub(super) async fn run(api: &Api, arguments: &PushArguments) -> Outcome {
    let reference = ImageReference::parse(&arguments.image, DEFAULT_REGISTRY)
        .context("invalid reference format")?;
    let (name, tag) = split_tag(&arguments.image);
    if arguments.all_tags && !tag.is_empty() {
        return Err(anyhow::anyhow!("tag can't be used with --all-tags/-a").into());
    }
    if !arguments.all_tags && !arguments.quiet && tag.is_empty() {
        output::line("Using default tag: latest")?;
    }
    let tag = match (arguments.all_tags, tag) {
        (true, _) => None,
        (false, "") => Some("latest"),
        (false, tag) => Some(tag),
    };
    let platform = arguments
        .platform
        .as_deref()
        .map(platform_json)
        .transpose()?;
    let call = Call::post(format!("/images/{}/push", segment(name)))
        .query_option("tag", tag)
        .query_option("platform", platform)
        .header("x-registry-auth", credentials::header_for(&reference.host)?);
    let shown = if arguments.quiet {
        Shown::Nowhere
    } else {
        Shown::StandardOutput
    };
    progress::follow(api.json_lines(call).await?, shown, |_| ()).await?;
    if arguments.quiet {
        output::line(&reference.with_default_tag().to_string())?;
    }
    Ok(0)
}

/// Push names its platform as JSON, unlike everything else.
fn platform_json(text: &str) -> anyhow::Result<String> {
    let mut parts = text.split('/');
    let (Some(os), Some(architecture)) = (parts.next(), parts.next()) else {
        anyhow::bail!("invalid platform: {text}");
    };
    let mut platform = serde_json::json!({"os": os, "architecture": architecture});
    if let Some(variant) = parts.next() {
        platform["variant"] = variant.into();
    }
    Ok(platform.to_string())
}
