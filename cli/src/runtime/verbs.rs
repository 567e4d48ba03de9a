//! Each verb of the runtime, from its arguments to the exit code.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use hythe_runner::runtime::{
    self, CreateOptions, ExecOptions, Executed, Listed, ProcessSource, Root,
};
use hythe_runner::spec::signal;

use super::arguments::{Arguments, CreateArguments, ExecArguments, Format, Verb};
use super::log::Log;

const DEFAULT_ROOT: &str = "/run/hythe-runtime";

pub(super) fn carry_out(arguments: Arguments, log: &Log) -> anyhow::Result<u8> {
    if arguments.systemd_cgroup {
        bail!("--systemd-cgroup is not supported: control groups are made without systemd");
    }
    let root = Root::at(arguments.root.unwrap_or_else(default_root));
    if matches!(
        arguments.verb,
        Verb::Create(_) | Verb::Run { .. } | Verb::Exec(_)
    ) {
        runtime::protect_executable()?;
    }
    match arguments.verb {
        Verb::Create(create) => {
            let warnings = runtime::create(&root, &create_options(create)?)?;
            log.warnings(&warnings);
        }
        Verb::Run {
            detach,
            keep,
            create,
        } => {
            let options = create_options(create)?;
            let warn = |text: &str| log.warning(text);
            return exit_code(runtime::run(&root, &options, (detach, keep), warn)?);
        }
        Verb::Exec(exec) => return exit_code(runtime::exec(&root, &exec_options(*exec)?)?),
        Verb::Start { id } => runtime::start(&root, &id)?,
        Verb::State { id } => print_json(&runtime::state(&root, &id)?)?,
        Verb::Kill { all, id, signal } => {
            runtime::kill(&root, &id, signal::parse(&signal)?, all)?;
        }
        Verb::Delete { force, id } => {
            let complaints = runtime::delete(&root, &id, force)?;
            log.warnings(&complaints);
        }
        Verb::Ps {
            format,
            id,
            options,
        } => print_processes(&runtime::processes(&root, &id)?, format, &options)?,
        Verb::List { format, quiet } => print_list(&runtime::list(&root)?, format, quiet)?,
        Verb::Pause { id } => runtime::pause(&root, &id)?,
        Verb::Resume { id } => runtime::resume(&root, &id)?,
        Verb::Update { resources, id } => runtime::update(&root, &id, &read(&resources)?)?,
        Verb::Features => print_json(&runtime::features())?,
    }
    Ok(0)
}

fn default_root() -> PathBuf {
    PathBuf::from(DEFAULT_ROOT)
}

fn exit_code(executed: Executed) -> anyhow::Result<u8> {
    match executed {
        Executed::Running => Ok(0),
        Executed::Ended(code) => u8::try_from(code).context("an exit code"),
    }
}

fn create_options(create: CreateArguments) -> anyhow::Result<CreateOptions> {
    Ok(CreateOptions {
        id: create.id,
        bundle: create.bundle,
        console_socket: create.console_socket,
        pid_file: create.pid_file,
        n_preserved: create.preserve_fds + listen_fds()?,
    })
}

/// Sockets of systemd's socket activation, which are the program's.
fn listen_fds() -> anyhow::Result<u32> {
    match std::env::var("LISTEN_FDS") {
        Ok(number) => number.parse().context("LISTEN_FDS is not a number"),
        Err(_) => Ok(0),
    }
}

fn exec_options(exec: ExecArguments) -> anyhow::Result<ExecOptions> {
    let process = match &exec.process {
        Some(file) => ProcessSource::Json(read(file)?),
        None if exec.command.is_empty() => bail!("exec needs a command, or --process"),
        None => ProcessSource::Words {
            args: exec.command,
            terminal: exec.tty,
            cwd: exec.cwd,
            env: exec.env,
            user: exec.user,
            additional_gids: exec.additional_gids,
            capabilities: exec.cap,
            no_new_privileges: exec.no_new_privs,
            apparmor: exec.apparmor,
        },
    };
    Ok(ExecOptions {
        id: exec.id,
        process,
        console_socket: exec.console_socket,
        pid_file: exec.pid_file,
        n_preserved: exec.preserve_fds,
        detach: exec.detach,
        ignore_paused: exec.ignore_paused,
    })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text)?;
        return Ok(text);
    }
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn print_json(value: &serde_json::Value) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{value:#}")?;
    Ok(())
}

/// The lines of ps(1) that are about the container's processes.
fn print_processes(pids: &[i32], format: Format, options: &[String]) -> anyhow::Result<()> {
    if format == Format::Json {
        writeln!(io::stdout(), "{}", serde_json::json!(pids))?;
        return Ok(());
    }
    let default = ["-ef".to_owned()];
    let options = if options.is_empty() {
        &default
    } else {
        options
    };
    let output = std::process::Command::new("ps")
        .args(options)
        .output()
        .context("cannot run ps")?;
    if !output.status.success() {
        bail!("ps: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let title = lines.next().unwrap_or_default();
    let column = title.split_whitespace().position(|word| word == "PID");
    let column = column.context("ps shows no column PID with these options")?;
    let mut out = io::stdout().lock();
    writeln!(out, "{title}")?;
    for line in lines {
        let pid = line.split_whitespace().nth(column);
        if pid
            .and_then(|it| it.parse().ok())
            .is_some_and(|pid| pids.contains(&pid))
        {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

fn print_list(all: &[Listed], format: Format, quiet: bool) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if quiet {
        for it in all {
            writeln!(out, "{}", it.id)?;
        }
        return Ok(());
    }
    match format {
        Format::Json => writeln!(out, "{}", serde_json::to_string(all)?)?,
        Format::Table => {
            writeln!(
                out,
                "{:<24} {:<9} {:<9} {:<32} CREATED",
                "ID", "PID", "STATUS", "BUNDLE"
            )?;
            for it in all {
                let Listed {
                    id,
                    pid,
                    status,
                    bundle,
                    created,
                } = it;
                writeln!(out, "{id:<24} {pid:<9} {status:<9} {bundle:<32} {created}")?;
            }
        }
    }
    Ok(())
}
