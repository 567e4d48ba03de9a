//! The client's commands: one file per verb or family, each from its flags to its last line.
//!
//! A command resolves what was typed, asks the agent, shows the answer, and says how it ended.

mod any;
mod archive;
mod container;
mod image;
mod network;
mod registry_login;
mod session;
mod system;
mod volume;

use clap::Subcommand;

use crate::api::Api;
use crate::failure::{Failure, Outcome, say};

/// Everything that is asked of an agent.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    #[command(flatten)]
    Container(container::ContainerVerb),
    /// List containers
    Ps(container::list::ListArguments),
    #[command(flatten)]
    Image(image::ImageVerb),
    /// List images
    Images(image::list::ListArguments),
    /// Remove one or more images
    Rmi(image::remove::RemoveArguments),
    /// Return low-level information on containers, images, volumes and networks
    Inspect(any::InspectArguments),
    /// Authenticate to a registry
    Login(registry_login::LoginArguments),
    /// Log out from a registry
    Logout(registry_login::LogoutArguments),
    #[command(flatten)]
    System(system::SystemVerb),
    /// Manage containers
    #[command(name = "container", subcommand)]
    ContainerGroup(container::ContainerGroup),
    /// Manage images
    #[command(name = "image", subcommand)]
    ImageGroup(image::ImageGroup),
    /// Manage networks
    #[command(subcommand)]
    Network(network::NetworkCommand),
    /// Manage volumes
    #[command(subcommand)]
    Volume(volume::VolumeCommand),
    /// Manage the agent
    #[command(name = "system", subcommand)]
    SystemGroup(system::SystemGroup),
    /// Manage the build cache
    #[command(subcommand)]
    Builder(image::BuilderCommand),
}

/// Runs the command to its end, on one thread.
pub(crate) fn run(command: ClientCommand, api: &Api) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(dispatch(command, api));
    // A thread may be waiting for the terminal, and must not keep the process.
    runtime.shutdown_background();
    outcome
}

async fn dispatch(command: ClientCommand, api: &Api) -> Outcome {
    match command {
        ClientCommand::Container(verb) => verb.run(api).await,
        ClientCommand::Ps(arguments) => container::list::run(api, &arguments).await,
        ClientCommand::Image(verb) => verb.run(api).await,
        ClientCommand::Images(arguments) => image::list::run(api, &arguments).await,
        ClientCommand::Rmi(arguments) => image::remove::run(api, &arguments).await,
        ClientCommand::Inspect(arguments) => any::run(api, &arguments).await,
        ClientCommand::Login(arguments) => registry_login::login(api, arguments).await,
        ClientCommand::Logout(arguments) => registry_login::logout(&arguments),
        ClientCommand::System(verb) => verb.run(api).await,
        ClientCommand::ContainerGroup(group) => group.run(api).await,
        ClientCommand::ImageGroup(group) => group.run(api).await,
        ClientCommand::Network(command) => command.run(api).await,
        ClientCommand::Volume(command) => command.run(api).await,
        ClientCommand::SystemGroup(group) => group.run(api).await,
        ClientCommand::Builder(command) => command.run(api).await,
    }
}

/// Does the same for each name, printing the name when it went well. One failure does not stop
/// the others; the code is 1 if any failed.
async fn for_each<F>(names: &[String], mut act: impl FnMut(String) -> F) -> Outcome
where
    F: Future<Output = anyhow::Result<()>>,
{
    let mut failed = false;
    for name in names {
        match act(name.clone()).await {
            Ok(()) => crate::output::line(name)?,
            Err(error) => {
                failed = true;
                say(&error);
            }
        }
    }
    if failed {
        Err(Failure::silent(1))
    } else {
        Ok(0)
    }
}

/// Asks `question [y/N]` unless `force`; anything but yes is no.
fn confirmed(force: bool, question: &str) -> std::io::Result<bool> {
    if force {
        return Ok(true);
    }
    crate::output::print(&format!(
        "{question}\nAre you sure you want to continue? [y/N] "
    ))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y") || answer.trim().eq_ignore_ascii_case("yes"))
}
