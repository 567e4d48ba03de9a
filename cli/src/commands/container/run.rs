//! `hythe run`: create, attach, start, and end as the container ends.

use clap::Args;
use nix::sys::signal::Signal;
use tokio::task::JoinHandle;

use super::create;
use super::options::ContainerOptions;
use super::wait::{Condition, Waiting};
use crate::api::{Api, ApiError, Call, Hijacked};
use crate::commands::session::{self, Ended, Session};
use crate::failure::{Failure, NOT_RUN, Outcome};
use crate::output;
use crate::terminal::{DetachKeys, Signals};

/// docker's codes for a program that is there but does not run, and for one that is not there.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Run in the background and print the container ID
    #[arg(long, short)]
    detach: bool,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Pass signals on to the process
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    sig_proxy: bool,
    #[command(flatten)]
    options: ContainerOptions,
}

pub(super) async fn run(api: &Api, arguments: RunArguments) -> Outcome {
    run_container(api, arguments)
        .await
        // Whatever kept the container from running, it was not the container's own doing.
        .map_err(|failure| failure.or_code(NOT_RUN))
}

async fn run_container(api: &Api, arguments: RunArguments) -> Outcome {
    let options = &arguments.options;
    let detach_keys = DetachKeys::parse(arguments.detach_keys.as_deref())?;
    let attached = options.process.attached(arguments.detach)?;
    let tty = options.process.tty;
    if !arguments.detach {
        session::check_terminal(attached.stdin, tty)?;
    }
    let body = options.body(arguments.detach)?;
    let id = create::create(api, options, &body).await?;

    if !(attached.stdin || attached.stdout || attached.stderr) {
        start(api, &id).await?;
        output::line(&id)?;
        return Ok(0);
    }

    // From here on signals are the container's, also those that come before it runs.
    let signals = if arguments.sig_proxy {
        Some(Signals::catch()?)
    } else {
        None
    };
    let condition = if options.rm {
        Condition::Removed
    } else {
        Condition::NextExit
    };
    let attach = Call::post(super::path(&id, "/attach"))
        .flag("stream", true)
        .flag("stdin", attached.stdin)
        .flag("stdout", attached.stdout)
        .flag("stderr", attached.stderr)
        .query_option("detachKeys", arguments.detach_keys.as_ref());
    // Both must stand before the start, or a short-lived container's output or code is missed.
    let (connection, waiting) =
        tokio::try_join!(api.hijack(attach), Waiting::register(api, &id, condition))?;
    let session = Session {
        input: attached.stdin,
        tty,
        detach_keys,
        signals_passed_on: signals.is_some(),
    };
    let _signals = signals.map(|signals| Proxy::spawn(api, &id, signals));
    match started_session(api, &id, session, connection).await? {
        Ended::Detached => Ok(0),
        Ended::Signal(code) => Ok(code),
        Ended::Output => Ok(waiting.exit_code().await?),
    }
}

/// Starts the container and stays with it to its end. Reading begins before the start: a
/// container that writes at once would otherwise wait for us.
async fn started_session(
    api: &Api,
    id: &str,
    session: Session,
    connection: Hijacked,
) -> Result<Ended, Failure> {
    let tty = session.tty;
    let starting = async {
        start(api, id).await?;
        Ok::<_, Failure>(if tty {
            Some(session::follow_size(api, super::path(id, "/resize"))?)
        } else {
            None
        })
    };
    let relay = async { session.relay(connection).await.map_err(Failure::from) };
    let (_resizing, ended) = tokio::try_join!(starting, relay)?;
    Ok(ended)
}

/// Starts the container; a program that cannot be run ends with the shell's code for that.
async fn start(api: &Api, id: &str) -> Result<(), Failure> {
    match api.status(Call::post(super::path(id, "/start"))).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::new(start_code(&error), error)),
    }
}

fn start_code(error: &ApiError) -> u8 {
    let ApiError::Answer { message, .. } = error else {
        return NOT_RUN;
    };
    let says = |text| message.contains(text);
    if says("executable file not found") || says("no such file or directory") {
        NOT_FOUND
    } else if says("permission denied") || says("is a directory") {
        NOT_EXECUTABLE
    } else {
        NOT_RUN
    }
}

/// Passes signals on to the container, for as long as the value lives.
pub(super) struct Proxy(JoinHandle<()>);

impl Proxy {
    pub(super) fn spawn(api: &Api, id: &str, mut signals: Signals) -> Self {
        let (api, path) = (api.clone(), super::path(id, "/kill"));
        Self(tokio::spawn(async move {
            while let Some(signal) = signals.next().await {
                let call = Call::post(path.clone()).query("signal", Signal::as_str(signal));
                // A container that ended meanwhile needs no signal.
                _ = api.status(call).await;
            }
        }))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.abort();
    }
}
