//! Docker's command line and ours, through the agent.

use hythe_tests::{Agent, AgentOptions, CommandExt as _, Host};

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

/// A node pulls what nobody at it has a password for.
#[test]
fn the_agent_has_logins_of_its_own() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let address = registry.address();
    registry.push_as("root", PASSWORD, "team/base:1").ok();
    registry.push_as("root", PASSWORD, "secret/base:1").ok();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("registry-auth.json");
    let agent = Agent::start_with(
        &host,
        AgentOptions {
            arguments: vec![format!("--registry-auth-file={}", file.display())],
            ..AgentOptions::default()
        },
    );
    let base = format!("{address}/team/base:1");
    let pull = |image: &str| agent.docker(&["pull", "--quiet", image]).finish();
    pull(&base).fails_saying("registry-auth.json");

    // The file as docker itself writes it; it is read when it is needed.
    let write = |user: &str, password: &str| {
        let auths = serde_json::json!({ &address: {"username": user, "password": password} });
        let content = serde_json::json!({ "auths": auths });
        std::fs::write(&file, content.to_string()).expect("a file");
    };
    write("alice", "wrong");
    pull(&base).fails_with(1);
    write("alice", PASSWORD);
    pull(&base).ok();
    agent
        .hythe(&["run", "--rm", "--pull=always", &base, "true"])
        .finish()
        .ok();
    pull(&format!("{address}/secret/base:1")).fails_saying("alice may not pull secret/base");
    let distribution = format!("/v1.50/distribution/{base}/json");
    assert_eq!(agent.api(&distribution, &[]).status, 200);

    // What a caller brings comes first.
    let login = ["login", "--username", "root", "--password-stdin", &address];
    agent
        .docker(&login)
        .finish_with_input(PASSWORD.as_bytes())
        .ok();
    pull(&format!("{address}/secret/base:1")).ok();
    std::fs::write(&file, "{\"auths\": 1}").expect("a file");
    pull(&base).ok();
    agent.docker(&["logout", &address]).finish().ok();
    let refused = pull(&base);
    refused.fails_saying("is not what docker login writes");
}
