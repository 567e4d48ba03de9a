//! The commands about containers.

mod attach;
mod commit;
mod copy;
mod create;
mod diff;
mod exec;
mod export;
mod lifecycle;
pub(super) mod list;
mod logs;
mod options;
mod port;
pub(super) mod prune;
mod run;
mod start;
mod stats;
mod top;
mod update;
mod wait;

use clap::Subcommand;

use super::any;
use crate::api::{Api, ApiError, Call, segment};
use crate::failure::Outcome;

/// Verbs that stand alone (`hythe stop`) and in the group (`hythe container stop`).
#[derive(Debug, Subcommand)]
pub(crate) enum ContainerVerb {
    /// Create and run a new container from an image
    #[command(disable_help_flag = true)]
    Run(Box<run::RunArguments>),
    /// Create a new container
    #[command(disable_help_flag = true)]
    Create(Box<create::CreateArguments>),
    /// Start one or more stopped containers
    Start(start::StartArguments),
    /// Stop one or more running containers
    Stop(lifecycle::StopArguments),
    /// Restart one or more containers
    Restart(lifecycle::StopArguments),
    /// Kill one or more running containers
    Kill(lifecycle::KillArguments),
    /// Pause all processes within one or more containers
    Pause(lifecycle::NamesArguments),
    /// Unpause all processes within one or more containers
    Unpause(lifecycle::NamesArguments),
    /// Remove one or more containers
    #[command(visible_alias = "remove")]
    Rm(lifecycle::RemoveArguments),
    /// Rename a container
    Rename(lifecycle::RenameArguments),
    /// Fetch the logs of a container
    Logs(logs::LogsArguments),
    /// Execute a command in a running container
    Exec(exec::ExecArguments),
    /// Attach standard input, output, and error to a running container
    Attach(attach::AttachArguments),
    /// Block until one or more containers stop, then print their exit codes
    Wait(lifecycle::NamesArguments),
    /// Display the running processes of a container
    Top(top::TopArguments),
    /// Display resource usage of containers, live
    Stats(stats::StatsArguments),
    /// Copy files between a container and the local file system
    Cp(copy::CopyArguments),
    /// Inspect changes to a container's file system
    Diff(diff::DiffArguments),
    /// Export a container's file system as a tar archive
    Export(export::ExportArguments),
    /// Create a new image from a container's changes
    Commit(commit::CommitArguments),
    /// Update configuration of one or more containers
    Update(update::UpdateArguments),
    /// List port mappings of a container
    Port(port::PortArguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ContainerGroup {
    #[command(flatten)]
    Verb(ContainerVerb),
    /// List containers
    #[command(visible_aliases = ["ps", "list"])]
    Ls(list::ListArguments),
    /// Display detailed information on one or more containers
    Inspect(any::KindInspectArguments),
    /// Remove all stopped containers
    Prune(prune::PruneArguments),
}

impl ContainerVerb {
    pub(super) async fn run(self, api: &Api) -> Outcome {
        match self {
            Self::Run(arguments) => run::run(api, *arguments).await,
            Self::Create(arguments) => create::run(api, &arguments).await,
            Self::Start(arguments) => start::run(api, &arguments).await,
            Self::Stop(arguments) => lifecycle::stop(api, &arguments, "stop").await,
            Self::Restart(arguments) => lifecycle::stop(api, &arguments, "restart").await,
            Self::Kill(arguments) => lifecycle::kill(api, &arguments).await,
            Self::Pause(arguments) => lifecycle::post(api, &arguments, "pause").await,
            Self::Unpause(arguments) => lifecycle::post(api, &arguments, "unpause").await,
            Self::Rm(arguments) => lifecycle::remove(api, &arguments).await,
            Self::Rename(arguments) => lifecycle::rename(api, &arguments).await,
            Self::Logs(arguments) => logs::run(api, &arguments).await,
            Self::Exec(arguments) => exec::run(api, arguments).await,
            Self::Attach(arguments) => attach::run(api, &arguments).await,
            Self::Wait(arguments) => wait::run(api, &arguments).await,
            Self::Top(arguments) => top::run(api, &arguments).await,
            Self::Stats(arguments) => stats::run(api, &arguments).await,
            Self::Cp(arguments) => copy::run(api, &arguments).await,
            Self::Diff(arguments) => diff::run(api, &arguments).await,
            Self::Export(arguments) => export::run(api, &arguments).await,
            Self::Commit(arguments) => commit::run(api, &arguments).await,
            Self::Update(arguments) => update::run(api, &arguments).await,
            Self::Port(arguments) => port::run(api, &arguments).await,
        }
    }
}

impl ContainerGroup {
    pub(super) async fn run(self, api: &Api) -> Outcome {
        match self {
            Self::Verb(verb) => verb.run(api).await,
            Self::Ls(arguments) => list::run(api, &arguments).await,
            Self::Inspect(arguments) => any::run_kind(api, any::Kind::Container, &arguments).await,
            Self::Prune(arguments) => prune::run(api, &arguments).await,
        }
    }
}

/// The path of a call about one container.
fn path(container: &str, rest: &str) -> String {
    format!("/containers/{}{rest}", segment(container))
}

/// What the commands need to know of a container before they act on it.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    state: InspectedState,
    config: InspectedConfig,
    host_config: InspectedHostConfig,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedState {
    running: bool,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    restarting: bool,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedConfig {
    #[serde(default)]
    tty: bool,
    #[serde(default)]
    open_stdin: bool,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedHostConfig {
    #[serde(default)]
    auto_remove: bool,
}

async fn inspect(api: &Api, container: &str) -> Result<Inspected, ApiError> {
    api.json(Call::get(path(container, "/json"))).await
}
