//! `hythe start`, with or without staying attached.

use clap::Args;

use super::run::Proxy;
use super::wait::{Condition, Waiting};
use crate::api::{Api, Call};
use crate::commands::session::{self, Ended, Session};
use crate::failure::Outcome;
use crate::terminal::{DetachKeys, Signals};

#[derive(Debug, Args)]
pub(crate) struct StartArguments {
    /// Attach standard output and error, and pass signals on
    #[arg(long, short)]
    attach: bool,
    /// Attach standard input
    #[arg(long, short)]
    interactive: bool,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(super) async fn run(api: &Api, arguments: &StartArguments) -> Outcome {
    if !(arguments.attach || arguments.interactive) {
        return crate::commands::for_each(&arguments.containers, async |name| {
            api.status(Call::post(super::path(&name, "/start"))).await?;
            Ok(())
        })
        .await;
    }
    let [container] = &arguments.containers[..] else {
        return Err(
            anyhow::anyhow!("you cannot start and attach multiple containers at once").into(),
        );
    };
    start_attached(api, arguments, container).await
}

async fn start_attached(api: &Api, arguments: &StartArguments, container: &str) -> Outcome {
    let detach_keys = DetachKeys::parse(arguments.detach_keys.as_deref())?;
    let inspected = super::inspect(api, container).await?;
    let tty = inspected.config.tty;
    let input = arguments.interactive && inspected.config.open_stdin;
    session::check_terminal(input, tty)?;
    let signals = if tty { None } else { Some(Signals::catch()?) };
    let condition = if inspected.host_config.auto_remove {
        Condition::Removed
    } else {
        Condition::NextExit
    };
    let id = &inspected.id;
    let attach = Call::post(super::path(id, "/attach"))
        .flag("stream", true)
        .flag("stdin", input)
        .flag("stdout", true)
        .flag("stderr", true)
        .query_option("detachKeys", arguments.detach_keys.as_ref());
    let (connection, waiting) =
        tokio::try_join!(api.hijack(attach), Waiting::register(api, id, condition))?;
    let _signals = signals.map(|signals| Proxy::spawn(api, id, signals));
    api.status(Call::post(super::path(id, "/start"))).await?;
    let _resizing = if tty {
        Some(session::follow_size(api, super::path(id, "/resize"))?)
    } else {
        None
    };
    let session = Session {
        input,
        tty,
        detach_keys,
        signals_passed_on: !tty,
    };
    match session.relay(connection).await? {
        Ended::Detached => Ok(0),
        Ended::Signal(code) => Ok(code),
        Ended::Output => Ok(waiting.exit_code().await?),
    }
}
