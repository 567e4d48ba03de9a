//! The main job: a web server runs, answers, is looked into, stops, and leaves no trace.

use std::time::{Duration, Instant};

use hythe_tests::{
    Agent, CommandExt as _, Host, Leftovers, SHORT, Server, debian_nginx, eventually,
};

use crate::{full_id, push};

/// Older clients say how large the terminal is only after the shell has begun.
const SIZE_COMMANDS: &[u8] =
    b"tty; until stty size | grep -v '^0 0'; do sleep 0.1; done; echo a$((40+2))b\n";

#[test]
fn nginx_runs_under_the_docker_cli_and_leaves_nothing_behind() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push(&host, &server, &debian_nginx(), "nginx:1");
    let agent = Agent::start(&host);
    agent.docker(&["pull", &image]).finish().ok();
    // The first container brings the default bridge up; it stays, as docker0 does.
    agent.docker(&["run", "--rm", &image, "true"]).finish().ok();
    let before = Leftovers::list(&agent, &[]);

    let id = agent
        .docker(&["run", "-d", "--name", "web", "-p", "18080:80", &image])
        .finish()
        .ok()
        .text();
    assert_eq!(id, full_id(&agent, "web"));
    wait_for_page(&host, "http://127.0.0.1:18080/");

    let logs = agent.docker(&["logs", "web"]).finish().ok();
    assert_eq!(logs.code, 0);
    let version = agent.docker(&["exec", "web", "nginx", "-v"]).finish().ok();
    assert!(
        version.error_text().starts_with("nginx version: nginx/"),
        "{version:?}"
    );

    let mut shell = agent.docker_on_terminal(&["exec", "-it", "web", "sh"]);
    shell.type_after("#", SIZE_COMMANDS);
    shell.type_after("a42b", b"exit 3\n");
    let shell = shell.finish();
    assert_eq!(shell.code, 3, "{shell:?}");
    assert!(shell.text().contains("/dev/pts/"), "{shell:?}");
    assert!(
        shell.text().contains("33 101"),
        "the terminal has the client's size: {shell:?}"
    );
    assert!(shell.text().contains("a42b"), "{shell:?}");

    let ps = agent
        .docker(&["ps", "--format", "{{.Names}} {{.Ports}} {{.Status}}"])
        .finish()
        .ok();
    assert!(ps.text().starts_with("web 0.0.0.0:18080->80/tcp"), "{ps:?}");
    assert!(ps.text().contains(" Up "), "{ps:?}");

    let start = Instant::now();
    agent.docker(&["stop", "web"]).finish().ok();
    assert!(
        start.elapsed() < Duration::from_secs(9),
        "nginx ends on SIGQUIT, not on SIGKILL"
    );
    let code = agent
        .docker(&["inspect", "-f", "{{.State.ExitCode}}", "web"])
        .finish()
        .ok();
    assert_eq!(code.text(), "0");

    agent.docker(&["rm", "web"]).finish().ok();
    agent
        .docker(&["inspect", "web"])
        .finish()
        .fails_saying("No such object: web");
    Leftovers::wait_until_same(&agent, &[&id], &before);
}

#[track_caller]
fn wait_for_page(host: &Host, url: &str) {
    eventually("nginx shows its page", SHORT, || {
        let run = host
            .command("curl")
            .args(["--silent", "--max-time", "5", url])
            .finish();
        run.text().contains("Welcome to nginx").then_some(())
    });
}
