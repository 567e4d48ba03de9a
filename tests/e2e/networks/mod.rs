//! Networks: every `docker network` command with its options, names, isolation, ports and what
//! survives, with the real docker command line and other hosts beside ours.

mod commands;
mod drivers;
mod gateway;
mod names;
mod ports;

use hythe_tests::{
    Agent, CommandExt as _, Finished, Host, SHORT, Server, debian_nginx, eventually,
};
use serde_json::Value;

use crate::{push, push_busybox};

#[track_caller]
fn inspect(agent: &Agent<'_>, network: &str) -> Value {
    let run = agent.docker(&["network", "inspect", network]).finish().ok();
    let all: Value = serde_json::from_slice(&run.stdout).expect("JSON of inspect");
    all[0].clone()
}

/// Starts a container that sleeps.
#[track_caller]
fn sleeper(agent: &Agent<'_>, image: &str, options: &[&str]) {
    let mut words = vec!["run", "-d"];
    words.extend_from_slice(options);
    words.extend_from_slice(&[image, "sleep", "1000"]);
    agent.docker(&words).finish().ok();
}

/// Starts a container `web` that answers on port 80 with `page`.
#[track_caller]
fn web(agent: &Agent<'_>, image: &str, page: &str, options: &[&str]) {
    let serve = format!("echo {page} > /tmp/index.html; exec httpd -f -p 80 -h /tmp");
    let run = ["run", "-d", "--name", "web"];
    let words = [&run, options, &[image, "sh", "-c", &serve]].concat();
    agent.docker(&words).finish().ok();
}

fn exec(agent: &Agent<'_>, container: &str, script: &str) -> Finished {
    agent
        .docker(&["exec", container, "sh", "-c", script])
        .finish()
}
