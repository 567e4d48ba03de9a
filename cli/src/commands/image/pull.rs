//! `hythe pull`, also on behalf of run, create and build.

use anyhow::Context as _;
use clap::Args;
use hythe_oci::ImageReference;

use super::DEFAULT_REGISTRY;
use super::progress::{self, Shown};
use crate::api::{Api, Call};
use crate::credentials;
use crate::failure::{Failure, Outcome};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct PullArguments {
    /// Download all tagged images in the repository
    #[arg(long, short)]
    all_tags: bool,
    /// Platform of the image, such as linux/arm64
    #[arg(long, env = "DOCKER_DEFAULT_PLATFORM", value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Suppress verbose output
    #[arg(long, short)]
    quiet: bool,
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    image: String,
}

/// Who sees a pull's progress.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PullOutput {
    Silent,
    StandardOutput,
    StandardError,
}

/// One pull.
#[derive(Debug)]
pub(crate) struct Pulling<'a> {
    pub(crate) image: &'a str,
    pub(crate) platform: Option<&'a str>,
    pub(crate) all_tags: bool,
    pub(crate) output: PullOutput,
}

pub(super) async fn run(api: &Api, arguments: &PullArguments) -> Outcome {
    let reference = ImageReference::parse(&arguments.image, DEFAULT_REGISTRY)
        .context("invalid reference format")?;
    let whole = reference.clone().with_default_tag();
    if arguments.all_tags && !super::split_tag(&arguments.image).1.is_empty() {
        return Err(anyhow::anyhow!("tag can't be used with --all-tags/-a").into());
    }
    if !arguments.quiet && !arguments.all_tags && whole != reference {
        output::line("Using default tag: latest")?;
    }
    pull(
        api,
        Pulling {
            image: &arguments.image,
            platform: arguments.platform.as_deref(),
            all_tags: arguments.all_tags,
            output: if arguments.quiet {
                PullOutput::Silent
            } else {
                PullOutput::StandardOutput
            },
        },
    )
    .await?;
    let pulled = if arguments.all_tags { reference } else { whole };
    output::line(&pulled.to_string())?;
    Ok(0)
}

pub(crate) async fn pull(api: &Api, pulling: Pulling<'_>) -> Result<(), Failure> {
    let reference = ImageReference::parse(pulling.image, DEFAULT_REGISTRY)
        .context("invalid reference format")?;
    let call = Call::post("/images/create").query_option("platform", pulling.platform);
    let call = if pulling.all_tags {
        call.query("fromImage", pulling.image)
    } else if let Some((name, digest)) = pulling.image.split_once('@') {
        call.query("fromImage", name).query("tag", digest)
    } else {
        let (name, tag) = super::split_tag(pulling.image);
        let tag = if tag.is_empty() { "latest" } else { tag };
        call.query("fromImage", name).query("tag", tag)
    };
    let call = call.header("x-registry-auth", credentials::header_for(&reference.host)?);
    let shown = match pulling.output {
        PullOutput::Silent => Shown::Nowhere,
        PullOutput::StandardOutput => Shown::StandardOutput,
        PullOutput::StandardError => Shown::StandardError,
    };
    progress::follow(api.json_lines(call).await?, shown, |_| ()).await
}
