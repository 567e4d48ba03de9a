//! `hythe exec`.

use std::path::PathBuf;

use bollard_stubs::models::ExecConfig;
use clap::Args;
use serde::Deserialize;

use super::wait::process_code;
use crate::api::{Api, Call, segment};
use crate::commands::session::{self, Ended, Session};
use crate::failure::Outcome;
use crate::terminal::{self, DetachKeys};
use crate::values;

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct ExecArguments {
    /// Run in the background
    #[arg(long, short)]
    detach: bool,
    /// Keys that leave the process running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Set an environment variable
    #[arg(long, short, value_name = "KEY[=VALUE]", allow_hyphen_values = true)]
    env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Keep standard input open
    #[arg(long, short)]
    interactive: bool,
    /// Give extended privileges
    #[arg(long)]
    privileged: bool,
    /// Allocate a pseudo-terminal
    #[arg(long, short)]
    tty: bool,
    /// User, as name or number, and group
    #[arg(long, short, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(long, short, value_name = "DIR")]
    workdir: Option<String>,
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Command and its arguments
    #[arg(
        required = true,
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<String>,
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "Id")]
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    exit_code: Option<i64>,
    running: bool,
}

pub(super) async fn run(api: &Api, arguments: ExecArguments) -> Outcome {
    let detach_keys = DetachKeys::parse(arguments.detach_keys.as_deref())?;
    let (tty, detach) = (arguments.tty, arguments.detach);
    let input = arguments.interactive && !detach;
    session::check_terminal(input, tty)?;
    let path = super::path(&arguments.container, "/exec");
    let config = config(arguments)?;
    let console_size = config.console_size.clone();
    let created: Created = api.json(Call::post(path).json(&config)?).await?;
    let exec = |rest: &str| format!("/exec/{}{rest}", segment(&created.id));
    let start = Call::post(exec("/start")).json(&serde_json::json!({
        "Detach": detach,
        "Tty": tty,
        "ConsoleSize": console_size,
    }))?;
    if detach {
        api.status(start).await?;
        return Ok(0);
    }
    let connection = api.hijack(start).await?;
    let _resizing = if tty {
        Some(session::follow_size(api, exec("/resize"))?)
    } else {
        None
    };
    let session = Session {
        input,
        tty,
        detach_keys,
        signals_passed_on: false,
    };
    match session.relay(connection).await? {
        Ended::Output => {}
        Ended::Signal(code) => return Ok(code),
        Ended::Detached => {
            crate::output::remark("read escape sequence");
            return Ok(0);
        }
    }
    let inspected: Inspected = api.json(Call::get(exec("/json"))).await?;
    match inspected.exit_code {
        Some(code) if !inspected.running => Ok(process_code(code)),
        _ => Err(anyhow::anyhow!("the connection ended while the process was running").into()),
    }
}

fn config(arguments: ExecArguments) -> anyhow::Result<ExecConfig> {
    let variable = |name: &str| std::env::var(name).ok();
    let console_size = match terminal::size() {
        Some(size) if arguments.tty => Some(vec![size.rows.into(), size.columns.into()]),
        _ => None,
    };
    Ok(ExecConfig {
        attach_stdin: Some(arguments.interactive && !arguments.detach),
        attach_stdout: Some(!arguments.detach),
        attach_stderr: Some(!arguments.detach),
        console_size,
        detach_keys: arguments.detach_keys,
        tty: Some(arguments.tty),
        env: Some(values::environment(
            &arguments.env_file,
            &arguments.env,
            variable,
        )?),
        cmd: Some(arguments.command),
        privileged: Some(arguments.privileged),
        user: arguments.user,
        working_dir: arguments.workdir,
    })
}
