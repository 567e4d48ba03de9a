//! Docker's command line and ours, through the agent.

use hythe_tests::{Agent, CommandExt as _, Host};

use super::{PASSWORD, Registry};

#[test]
fn docker_logs_in_pushes_and_pulls_through_the_agent() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let address = registry.address();
    registry.push_as("root", PASSWORD, "team/base:1").ok();
    registry.push_as("root", PASSWORD, "secret/base:1").ok();
    let agent = Agent::start(&host);
    let login = |user: &str, secret: &str| {
        agent
            .docker(&["login", "--username", user, "--password-stdin", &address])
            .finish_with_input(secret.as_bytes())
    };
    let base = format!("{address}/team/base:1");
    agent
        .docker(&["pull", &base])
        .finish()
        .fails_saying("authentication required");
    login("alice", "wrong password").fails_saying("wrong user name or password");
    let said = login("alice", PASSWORD).ok();
    assert!(said.text().contains("Login Succeeded"), "{said:?}");

    agent.docker(&["pull", "--quiet", &base]).finish().ok();
    let mine = format!("{address}/team/mine:1");
    agent.docker(&["tag", &base, &mine]).finish().ok();
    agent.docker(&["push", "--quiet", &mine]).finish().ok();
    registry.pull_as("alice", PASSWORD, "team/mine:1").ok();

    let theirs = format!("{address}/other/mine:1");
    agent.docker(&["tag", &base, &theirs]).finish().ok();
    for mut pushing in [
        agent.docker(&["push", &theirs]),
        agent.hythe(&["push", &theirs]),
    ] {
        pushing
            .finish()
            .fails_with(1)
            .fails_saying("alice may not push other/mine");
    }
    agent
        .docker(&["pull", &format!("{address}/secret/base:1")])
        .finish()
        .fails_saying("alice may not pull secret/base");

    // What is found is what may be pulled.
    let found = |words: &[&str]| {
        let term = format!("{address}/base");
        let words = [&["search", "--format", "{{.Name}}"], words, &[&term]].concat();
        let docker = agent.docker(&words).finish().ok().lines();
        assert_eq!(agent.hythe(&words).finish().ok().lines(), docker);
        docker
    };
    assert_eq!(found(&[]), [format!("{address}/team/base")]);
    login("root", PASSWORD).ok();
    let all = ["secret/base", "team/base"].map(|name| format!("{address}/{name}"));
    let mut names = found(&["--no-trunc", "--limit", "5"]);
    names.sort();
    assert_eq!(names, all);
    login("alice", PASSWORD).ok();

    // Our own command line, with the same file of credentials; who logs out is nobody again.
    agent.hythe(&["pull", "--quiet", &mine]).finish().ok();
    agent.docker(&["logout", &address]).finish().ok();
    agent
        .hythe(&["pull", &mine])
        .finish()
        .fails_saying("authentication required");
    agent
        .hythe(&["login", "--username", "alice", "--password-stdin", &address])
        .finish_with_input(PASSWORD.as_bytes())
        .ok();
    agent.docker(&["pull", "--quiet", &mine]).finish().ok();
}
