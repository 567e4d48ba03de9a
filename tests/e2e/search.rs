//! Search through the agent and from podman, in our registry.

use hythe_tests::{Agent, CommandExt as _, Host, Server};

use crate::push;

#[test]
fn docker_search_finds_images_of_our_registry() {
    let host = Host::new();
    let server = Server::start(&host);
    for name in ["redis:7", "team/redis-cache:1", "team/other:1"] {
        push(&host, &server, &hythe_tests::busybox(), name);
    }
    let agent = Agent::start(&host);
    let address = server.address();
    let term = format!("{address}/redis");
    let names = |words: &[&str]| {
        let words = [&["search", "--format", "{{.Name}}"], words].concat();
        let docker = agent.docker(&words).finish().ok().lines();
        assert_eq!(agent.hythe(&words).finish().ok().lines(), docker);
        docker
    };
    let both = [
        format!("{address}/redis"),
        format!("{address}/team/redis-cache"),
    ];
    assert_eq!(names(&[&term]), both);
    assert_eq!(names(&["--limit", "1", &term]), both[..1]);
    assert_eq!(names(&["--no-trunc", &term]), both);
    assert_eq!(names(&["--filter", "stars=3", &term]), [""; 0]);
    assert_eq!(names(&["--filter", "is-official=false", &term]), both);
    let table = agent.docker(&["search", &term]).finish().ok().text();
    assert!(
        table.starts_with("NAME") && table.contains("DESCRIPTION"),
        "{table}"
    );
    for (words, why) in [
        (
            &["search", "--filter", "nosuch=1", &term][..],
            "invalid filter",
        ),
        (&["search", "--filter", "stars=x", &term], "invalid filter"),
        (
            &["search", "--limit", "101", &term],
            "outside the range of [1, 100]",
        ),
        (&["search", "127.0.0.1:1/x"], "127.0.0.1:1"),
    ] {
        agent.docker(words).finish().fails_with(1).fails_saying(why);
    }
    // What was found can be pulled as it is called.
    agent
        .docker(&["pull", "-q", &format!("{}:7", both[0])])
        .finish()
        .ok();

    let podman = host
        .command("podman")
        .args([
            "search",
            "--tls-verify=false",
            "--format",
            "{{.Name}}",
            &term,
        ])
        .finish()
        .ok();
    assert_eq!(podman.lines(), both);
}

#[test]
fn every_tag_of_a_repository_is_pulled() {
    let host = Host::new();
    let server = Server::start(&host);
    for tag in ["redis:6", "redis:7", "redis:latest"] {
        push(&host, &server, &hythe_tests::busybox(), tag);
    }
    let name = format!("{}/redis", server.address());
    for ours in [false, true] {
        let agent = Agent::start(&host);
        let words = ["pull", "-a", &name];
        let mut pull = if ours {
            agent.hythe(&words)
        } else {
            agent.docker(&words)
        };
        pull.finish().ok();
        let mut tags = agent
            .docker(&["images", "--format", "{{.Tag}}", &name])
            .finish()
            .ok()
            .lines();
        tags.sort();
        assert_eq!(tags, ["6", "7", "latest"]);
        let nosuch = format!("{}/nosuch", server.address());
        agent
            .docker(&["pull", "-a", &nosuch])
            .finish()
            .fails_with(1);
    }
}

#[test]
fn a_term_without_a_host_means_the_default_registry() {
    let host = Host::new();
    let server = Server::start(&host);
    push(&host, &server, &hythe_tests::busybox(), "team/app:1");
    let options = hythe_tests::AgentOptions {
        arguments: vec!["--default-registry".to_owned(), server.address()],
    };
    let agent = Agent::start_with(&host, options);
    let found = agent
        .docker(&["search", "--format", "{{.Name}}", "app"])
        .finish()
        .ok();
    assert_eq!(found.text(), format!("{}/team/app", server.address()));
}
