//! Every container command of the docker command line and every option of `run`, in tables.
//!
//! One agent serves a whole table: what is looked at is the engine's answer, not its speed.

mod commands;
mod copy;
mod flags;
mod life;
mod log_drivers;
mod options;
mod others;
mod tally;
mod tutorial;

use hythe_tests::{Agent, CommandExt as _, Finished, Host, Server};

use crate::push_busybox;

/// Runs a scenario on an agent that has busybox under `image`.
#[track_caller]
fn with_agent(scenario: impl FnOnce(&mut Agent<'_>, &str)) {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let mut agent = Agent::start(&host);
    agent.docker(&["pull", "--quiet", &image]).finish().ok();
    scenario(&mut agent, &image);
}

/// A docker command, written as in a shell but without quotes.
#[track_caller]
fn docker(agent: &Agent<'_>, line: &str) -> Finished {
    agent
        .docker(&line.split_whitespace().collect::<Vec<_>>())
        .finish()
}

/// Everything that a program said.
fn said(run: &Finished) -> String {
    format!("{}\n{}", run.text(), run.error_text())
}

/// `docker run -d` of a shell script.
#[track_caller]
fn run_script(agent: &Agent<'_>, flags: &str, image: &str, script: &str) {
    let mut words = vec!["run", "-d"];
    words.extend(flags.split_whitespace());
    words.extend([image, "sh", "-c", script]);
    agent.docker(&words).finish().ok();
}

/// What a template of `docker inspect` shows.
#[track_caller]
fn inspect(agent: &Agent<'_>, container: &str, template: &str) -> String {
    agent
        .docker(&["inspect", "-f", template, container])
        .finish()
        .ok()
        .text()
}
