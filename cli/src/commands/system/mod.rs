//! The commands about the agent itself.

mod disk_usage;
mod events;
mod info;
mod prune;
mod version;

use clap::Subcommand;

use crate::api::Api;
use crate::failure::Outcome;

/// Verbs that stand alone and in the group.
#[derive(Debug, Subcommand)]
pub(crate) enum SystemVerb {
    /// Get events from the agent as they happen
    Events(events::EventsArguments),
    /// Display what the agent runs on and with
    Info(info::InfoArguments),
    /// Show the versions of client and agent
    Version(version::VersionArguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum SystemGroup {
    #[command(flatten)]
    Verb(SystemVerb),
    /// Show disk usage
    Df(disk_usage::DiskUsageArguments),
    /// Remove unused data
    Prune(prune::PruneArguments),
}

impl SystemVerb {
    pub(super) async fn run(self, api: &Api) -> Outcome {
        match self {
            Self::Events(arguments) => events::run(api, &arguments).await,
            Self::Info(arguments) => info::run(api, &arguments).await,
            Self::Version(arguments) => version::run(api, &arguments).await,
        }
    }
}

impl SystemGroup {
    pub(super) async fn run(self, api: &Api) -> Outcome {
        match self {
            Self::Verb(verb) => verb.run(api).await,
            Self::Df(arguments) => disk_usage::run(api, &arguments).await,
            Self::Prune(arguments) => prune::run(api, &arguments).await,
        }
    }
}
