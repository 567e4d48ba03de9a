//! The binary `hythe`: registry, agent, both, and the docker-style client, told apart by the
//! first word.
//!
//! What the user typed (`arguments`, one clap struct per command) is resolved (`values`,
//! `credentials`) into calls of the agent's API (`api`), whose answers are shown (`format`,
//! `terminal`). The long-running modes live in `serve` and only start the library crates;
//! `registry_admin` works on a registry's stores themselves.
//!
//! `runtime` is the OCI runtime for other engines.
//!
//! No runtime and no thread exists before the mode is known: `hythe shim` must stay one thread,
//! and a client command must start in a few milliseconds.

mod api;
mod arguments;
mod audit_log;
mod commands;
mod credentials;
mod failure;
mod format;
mod output;
mod registry_admin;
mod runtime;
mod serve;
mod terminal;
mod values;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything is read or allocated for people: this process holds a container.
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|mode| mode == "shim") {
        return hythe_runner::shim_main(words);
    }
    if let Some(words) = runtime::arguments_for_runtime() {
        return runtime::run(words);
    }
    let outcome = arguments::parse().and_then(run);
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}

/// One match on the mode; each arm builds the runtime it needs.
fn run(arguments: arguments::Arguments) -> failure::Outcome {
    if arguments.command.is_served() {
        serve::prepare();
    }
    match arguments.command {
        arguments::Command::Server(server) => serve::server::run(server),
        arguments::Command::Agent(agent) => serve::agent::run(*agent),
        arguments::Command::Up(up) => serve::up::run(*up),
        // It is no client, and was told from one before.
        arguments::Command::Runtime { .. } => Err(failure::Failure::new(
            failure::NOT_RUN,
            anyhow::Error::msg("`runtime` must be the first word"),
        )),
        arguments::Command::Registry(registry) => registry_admin::run(registry),
        arguments::Command::Client(command) => {
            let variable = |name: &str| std::env::var(name).ok();
            let address = api::Address::resolve(arguments.host.as_deref(), variable)?;
            commands::run(command, &api::Api::new(address))
        }
    }
}
