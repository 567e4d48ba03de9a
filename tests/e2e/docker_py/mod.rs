//! Programs written with docker-py cannot tell the difference. The scenarios are in the `.py`
//! files beside this one; `tests/run` makes the Python that has docker-py.

use hythe_tests::{Agent, CommandExt as _, Host, Server};

use crate::push_busybox;

/// Runs the tests of one file against an agent of its own.
#[track_caller]
fn scenarios(file: &str) {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    agent.docker(&["pull", "--quiet", &image]).finish().ok();
    let python = std::env::var("HYTHE_TEST_PYTHON").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../target/python/bin/python").to_owned()
    });
    host.command(python)
        .arg(format!(
            "{}/e2e/docker_py/{file}",
            env!("CARGO_MANIFEST_DIR")
        ))
        .env("HYTHE_TEST_IMAGE", &image)
        .env(
            "DOCKER_HOST",
            format!("unix://{}", agent.socket().display()),
        )
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .finish()
        .ok();
}

#[test]
fn lives_of_containers() {
    scenarios("lives.py");
}

#[test]
fn streams_of_containers() {
    scenarios("streams.py");
}

#[test]
fn images_networks_and_volumes() {
    scenarios("stores.py");
}
