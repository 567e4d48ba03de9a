//! `hythe create`, and the part of `hythe run` that makes the container.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use bollard_stubs::models::{ContainerCreateBody, ContainerCreateResponse};
use clap::Args;

use super::options::{ContainerOptions, PullPolicy};
use crate::api::{Api, ApiError, Call};
use crate::commands::image::pull::{PullOutput, Pulling, pull};
use crate::failure::{Failure, NOT_RUN, Outcome};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct CreateArguments {
    #[command(flatten)]
    options: ContainerOptions,
}

pub(super) async fn run(api: &Api, arguments: &CreateArguments) -> Outcome {
    let body = arguments
        .options
        .body(false)
        .map_err(|error| Failure::new(NOT_RUN, error))?;
    let id = create(api, &arguments.options, &body).await?;
    output::line(&id)?;
    Ok(0)
}

/// Makes the container, pulling its image as the policy says, and returns its id.
pub(super) async fn create(
    api: &Api,
    options: &ContainerOptions,
    body: &ContainerCreateBody,
) -> Result<String, Failure> {
    let id_file = options.cidfile.as_deref().map(IdFile::create).transpose()?;
    if options.pull == PullPolicy::Always {
        pull_image(api, options).await?;
    }
    let created = match post(api, options, body).await {
        Err(error) if error.is_not_found() && options.pull == PullPolicy::Missing => {
            if !options.quiet {
                let image = crate::commands::image::familiar_with_tag(&options.image);
                output::remark(&format!("Unable to find image '{image}' locally"));
            }
            pull_image(api, options).await?;
            post(api, options, body).await?
        }
        created => created?,
    };
    for warning in &created.warnings {
        output::remark(&format!("WARNING: {warning}"));
    }
    if let Some(id_file) = id_file {
        id_file.write(&created.id)?;
    }
    Ok(created.id)
}

async fn post(
    api: &Api,
    options: &ContainerOptions,
    body: &ContainerCreateBody,
) -> Result<ContainerCreateResponse, ApiError> {
    let call = Call::post("/containers/create")
        .query_option("name", options.name.as_ref())
        .query_option("platform", options.platform.as_ref())
        .json(body)?;
    api.json(call).await
}

/// The pull's lines go to standard error: standard output belongs to the container.
async fn pull_image(api: &Api, options: &ContainerOptions) -> Result<(), Failure> {
    let output = if options.quiet {
        PullOutput::Silent
    } else {
        PullOutput::StandardError
    };
    pull(
        api,
        Pulling {
            image: &options.image,
            platform: options.platform.as_deref(),
            all_tags: false,
            output,
        },
    )
    .await
}

/// `--cidfile`: taken before the container exists, and given back if it never does.
struct IdFile<'a> {
    path: &'a Path,
    file: std::fs::File,
    written: bool,
}

impl<'a> IdFile<'a> {
    fn create(path: &'a Path) -> anyhow::Result<Self> {
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path);
        match file {
            Ok(file) => Ok(Self {
                path,
                file,
                written: false,
            }),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => anyhow::bail!(
                "container ID file found, make sure the other container isn't running or delete {}",
                path.display()
            ),
            Err(error) => Err(error).context("failed to create the container ID file"),
        }
    }

    fn write(mut self, id: &str) -> anyhow::Result<()> {
        self.file
            .write_all(id.as_bytes())
            .context("failed to write the container ID to the file")?;
        self.written = true;
        Ok(())
    }
}

impl Drop for IdFile<'_> {
    fn drop(&mut self) {
        if !self.written {
            // Best effort: the error that is being told is the one that matters.
            _ = std::fs::remove_file(self.path);
        }
    }
}
