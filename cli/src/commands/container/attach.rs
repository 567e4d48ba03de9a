//! `hythe attach`.

use clap::Args;

use super::run::Proxy;
use super::wait::{Condition, Waiting};
use crate::api::{Api, Call};
use crate::commands::session::{self, Ended, Session};
use crate::failure::Outcome;
use crate::terminal::{DetachKeys, Signals};

#[derive(Debug, Args)]
pub(crate) struct AttachArguments {
    /// Do not attach standard input
    #[arg(long)]
    no_stdin: bool,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Pass signals on to the process
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    sig_proxy: bool,
    #[arg(value_name = "CONTAINER")]
    container: String,
}

pub(super) async fn run(api: &Api, arguments: &AttachArguments) -> Outcome {
    let detach_keys = DetachKeys::parse(arguments.detach_keys.as_deref())?;
    let inspected = super::inspect(api, &arguments.container).await?;
    if !inspected.state.running {
        return Err(anyhow::anyhow!("cannot attach to a stopped container, start it first").into());
    }
    if inspected.state.paused {
        return Err(
            anyhow::anyhow!("cannot attach to a paused container, unpause it first").into(),
        );
    }
    if inspected.state.restarting {
        return Err(anyhow::anyhow!(
            "cannot attach to a restarting container, wait until it is running"
        )
        .into());
    }
    let tty = inspected.config.tty;
    let input = !arguments.no_stdin && inspected.config.open_stdin;
    session::check_terminal(input, tty)?;
    let id = &inspected.id;
    let attach = Call::post(super::path(id, "/attach"))
        .flag("stream", true)
        .flag("stdin", input)
        .flag("stdout", true)
        .flag("stderr", true)
        .query_option("detachKeys", arguments.detach_keys.as_ref());
    let (connection, waiting) = tokio::try_join!(
        api.hijack(attach),
        Waiting::register(api, id, Condition::NotRunning)
    )?;
    let _signals = if arguments.sig_proxy && !tty {
        Some(Proxy::spawn(api, id, Signals::catch()?))
    } else {
        None
    };
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
        Ended::Output => Ok(waiting.exit_code().await?),
        Ended::Signal(code) => Ok(code),
        Ended::Detached => {
            crate::output::remark("read escape sequence");
            Ok(0)
        }
    }
}
