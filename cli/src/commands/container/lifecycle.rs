//! Verbs that change a container's state and answer with its name: stop, restart, kill, pause,
//! unpause, rm, rename.

use clap::Args;

use crate::api::{Api, Call};
use crate::commands::for_each;
use crate::failure::{Failure, Outcome, say};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct NamesArguments {
    #[arg(required = true, value_name = "CONTAINER")]
    pub(super) containers: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct StopArguments {
    /// Signal to send
    #[arg(long, short, value_name = "SIGNAL")]
    signal: Option<String>,
    /// Seconds to wait before the container is killed
    #[arg(
        long,
        visible_alias = "time",
        short = 't',
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    timeout: Option<i64>,
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct KillArguments {
    /// Signal to send
    #[arg(long, short, value_name = "SIGNAL", default_value = "KILL")]
    signal: String,
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArguments {
    /// Kill the container if it runs
    #[arg(long, short)]
    force: bool,
    /// Remove the link, not the container
    #[arg(long, short)]
    link: bool,
    /// Remove the container's anonymous volumes
    #[arg(long, short)]
    volumes: bool,
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RenameArguments {
    #[arg(value_name = "CONTAINER")]
    container: String,
    #[arg(value_name = "NEW_NAME")]
    name: String,
}

/// Pause, unpause: no parameters.
pub(super) async fn post(api: &Api, arguments: &NamesArguments, verb: &str) -> Outcome {
    for_each(&arguments.containers, async |name| {
        api.status(Call::post(super::path(&name, &format!("/{verb}"))))
            .await?;
        Ok(())
    })
    .await
}

/// Stop and restart, which differ in the verb only.
pub(super) async fn stop(api: &Api, arguments: &StopArguments, verb: &str) -> Outcome {
    for_each(&arguments.containers, async |name| {
        let call = Call::post(super::path(&name, &format!("/{verb}")))
            .query_option("signal", arguments.signal.as_ref())
            .query_option("t", arguments.timeout);
        api.status(call).await?;
        Ok(())
    })
    .await
}

pub(super) async fn kill(api: &Api, arguments: &KillArguments) -> Outcome {
    for_each(&arguments.containers, async |name| {
        let call = Call::post(super::path(&name, "/kill")).query("signal", &arguments.signal);
        api.status(call).await?;
        Ok(())
    })
    .await
}

pub(super) async fn remove(api: &Api, arguments: &RemoveArguments) -> Outcome {
    let mut failed = false;
    for name in &arguments.containers {
        let name = name.trim_start_matches('/');
        let call = Call::delete(super::path(name, ""))
            .flag("force", arguments.force)
            .flag("link", arguments.link)
            .flag("v", arguments.volumes);
        match api.status(call).await {
            Ok(_) => output::line(name)?,
            Err(error) => {
                // Being gone already is what force is for.
                failed |= !(arguments.force && error.is_not_found());
                say(&error.into());
            }
        }
    }
    if failed {
        Err(Failure::silent(1))
    } else {
        Ok(0)
    }
}

pub(super) async fn rename(api: &Api, arguments: &RenameArguments) -> Outcome {
    let call =
        Call::post(super::path(&arguments.container, "/rename")).query("name", &arguments.name);
    api.status(call).await?;
    Ok(0)
}
