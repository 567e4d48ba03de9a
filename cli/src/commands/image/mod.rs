//! The commands about images.

mod build;
mod context;
mod history;
mod import;
pub(super) mod list;
mod load;
mod progress;
pub(super) mod prune;
pub(super) mod pull;
mod push;
pub(super) mod remove;
mod save;
mod search;
mod tag;

use clap::Subcommand;
use hythe_oci::ImageReference;

use super::any;
use crate::api::Api;
use crate::failure::Outcome;

/// What a short name means to people; the agent may have been told otherwise.
const DEFAULT_REGISTRY: &str = "docker.io";

/// Verbs that stand alone (`hythe pull`) and in the group (`hythe image pull`).
#[derive(Debug, Subcommand)]
pub(crate) enum ImageVerb {
    /// Download an image from a registry
    Pull(pull::PullArguments),
    /// Upload an image to a registry
    Push(push::PushArguments),
    /// Create a tag TARGET that refers to SOURCE
    Tag(tag::TagArguments),
    /// Build an image from a Dockerfile
    Build(Box<build::BuildArguments>),
    /// Show the history of an image
    History(history::HistoryArguments),
    /// Save one or more images to a tar archive
    Save(save::SaveArguments),
    /// Load images from a tar archive or standard input
    Load(load::LoadArguments),
    /// Import a tarball as the file system of a new image
    Import(import::ImportArguments),
    /// Search a registry for images
    Search(search::SearchArguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImageGroup {
    #[command(flatten)]
    Verb(ImageVerb),
    /// List images
    #[command(visible_alias = "list")]
    Ls(list::ListArguments),
    /// Remove one or more images
    #[command(visible_alias = "remove")]
    Rm(remove::RemoveArguments),
    /// Display detailed information on one or more images
    Inspect(any::KindInspectArguments),
    /// Remove unused images
    Prune(prune::PruneArguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum BuilderCommand {
    /// Build an image from a Dockerfile
    Build(Box<build::BuildArguments>),
    /// Remove the build cache
    Prune(prune::CachePruneArguments),
}

impl ImageVerb {
    pub(super) async fn run(self, api: &Api) -> Outcome {
        match self {
            Self::Pull(arguments) => pull::run(api, &arguments).await,
            Self::Push(arguments) => push::run(api, &arguments).await,
            Self::Tag(arguments) => tag::run(api, &arguments).await,
            Self::Build(arguments) => build::run(api, &arguments).await,
            Self::History(arguments) => history::run(api, &arguments).await,
            Self::Save(arguments) => save::run(api, &arguments).await,
            Self::Load(arguments) => load::run(api, &arguments).await,
            Self::Import(arguments) => import::run(api, &arguments).await,
            Self::Search(arguments) => search::run(api, &arguments).await,
        }
    }
}

impl ImageGroup {
    pub(super) async fn run(self, api: &Api) -> Outcome {
        match self {
            Self::Verb(verb) => verb.run(api).await,
            Self::Ls(arguments) => list::run(api, &arguments).await,
            Self::Rm(arguments) => remove::run(api, &arguments).await,
            Self::Inspect(arguments) => any::run_kind(api, any::Kind::Image, &arguments).await,
            Self::Prune(arguments) => prune::run(api, &arguments).await,
        }
    }
}

impl BuilderCommand {
    pub(super) async fn run(self, api: &Api) -> Outcome {
        match self {
            Self::Build(arguments) => build::run(api, &arguments).await,
            Self::Prune(arguments) => prune::run_cache(api, &arguments).await,
        }
    }
}

/// The name with the tag it has or means, as people write it: `nginx` is `nginx:latest`.
pub(super) fn familiar_with_tag(image: &str) -> String {
    ImageReference::parse(image, DEFAULT_REGISTRY).map_or_else(
        |_| image.to_owned(),
        |parsed| parsed.with_default_tag().familiar(),
    )
}

/// Repository and tag; the tag is empty when there is none. A port is no tag.
pub(super) fn split_tag(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (image, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(familiar_with_tag("nginx"), "nginx:latest");
        assert_eq!(
            familiar_with_tag("127.0.0.1:5000/a"),
            "127.0.0.1:5000/a:latest"
        );
        assert_eq!(split_tag("127.0.0.1:5000/a"), ("127.0.0.1:5000/a", ""));
        assert_eq!(split_tag("127.0.0.1:5000/a:1"), ("127.0.0.1:5000/a", "1"));
    }
}
