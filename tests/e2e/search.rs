//! Search through the agent and from podman, in our registry.

use hythe_tests::{Agent, CommandExt as _, Host, Server, docker_is_recent};

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
fn stars_and_flags_are_what_docker_filters_by() {
    let host = Host::new();
    let server = Server::start(&host);
    let long = "a description that no table has room for, and that ends with a word: platypus";
    let labels = serde_json::json!({"Labels": {"org.opencontainers.image.description": long}});
    let image = hythe_tests::ImageBuilder::new().config(labels);
    let file = hythe_tests::TarBuilder::new().file("x", 0o644, b"x");
    let image = image.layer(hythe_tests::Layer::new(file.finish()));
    push(&host, &server, &image.write_temporary(), "team/described:1");
    for name in ["starred:1", "plain:1"] {
        push(
            &host,
            &server,
            &hythe_tests::busybox(),
            &format!("team/{name}"),
        );
    }
    let change = |method: &str, path: &str, body: &str| {
        let url = server.url(&format!("/api/v1/repositories/team%2F{path}"));
        let answer = host.curl(&["-X", method, "--data", body, &url]);
        assert!([200, 204].contains(&answer.status), "{answer:?}");
    };
    change("PUT", "starred/star", "");
    change("PATCH", "plain", r#"{"is_official": true}"#);
    change("PATCH", "described", r#"{"is_automated": true}"#);

    let agent = Agent::start(&host);
    let address = server.address();
    let names = |words: &[&str], term: &str| {
        let term = format!("{address}/{term}");
        let words = [&["search", "--format", "{{.Name}}"], words, &[&term]].concat();
        let docker = agent.docker(&words).finish().ok().lines();
        assert_eq!(agent.hythe(&words).finish().ok().lines(), docker);
        docker
    };
    let name = |name: &str| format!("{address}/team/{name}");
    // Stars first, and what only the words of a label say.
    let all = ["starred", "plain", "described"].map(name);
    assert_eq!(names(&[], "team"), all);
    assert_eq!(names(&["--limit", "2"], "team"), all[..2]);
    assert_eq!(names(&[], "platypus"), all[2..]);
    assert_eq!(names(&["--filter", "stars=1"], "team"), all[..1]);
    assert_eq!(names(&["--filter", "stars=2"], "team"), [""; 0]);
    assert_eq!(names(&["--filter", "is-official=true"], "team"), all[1..2]);
    let automated = [
        "search",
        "--filter",
        "is-automated=true",
        "--format",
        "{{.Name}}",
    ];
    let term = format!("{address}/team");
    let automated = agent.hythe(&[&automated[..], &[&term]].concat());
    assert_eq!({ automated }.finish().ok().lines(), all[2..]);

    let term = format!("{address}/platypus");
    let whole = agent.docker(&["search", "--no-trunc", &term]).finish().ok();
    assert!(whole.text().contains(long), "{whole:?}");
    let short = agent.docker(&["search", &term]).finish().ok();
    assert!(
        !short.text().contains("platypus:") && !short.text().contains(long),
        "{short:?}"
    );

    let podman = [
        "search",
        "--tls-verify=false",
        "--format",
        "{{.Name}} {{.Stars}}",
    ];
    let podman = host
        .command("podman")
        .args(podman)
        .arg(format!("{address}/starred"))
        .finish();
    assert_eq!(podman.ok().text(), format!("{} 1", name("starred")));
}

/// As the manual of `docker search` has it, on a registry where people have accounts and each of
/// them one star to give.
#[test]
fn docker_search_filters_by_the_stars_of_people() {
    const PASSWORD: &str = "correct horse battery";
    let host = Host::new();
    let mut server = Server::start(&host);
    for name in [
        "redis:7",
        "redis-exporter:1",
        "team/redis:7",
        "secret/redis:7",
    ] {
        push(&host, &server, &hythe_tests::busybox(), name);
    }
    let admin = |server: &Server<'_>, words: &[&str]| {
        std::process::Command::new(hythe_tests::hythe_binary())
            .args(["registry", "--data"])
            .arg(server.data())
            .args(words)
            .finish_with_input(PASSWORD.as_bytes())
            .ok();
    };
    for name in ["ann", "ben", "cid"] {
        admin(&server, &["user", "add", name, "--password-stdin"]);
        for pattern in ["*", "team/*"] {
            admin(
                &server,
                &["grant", "add", &format!("user:{name}"), "pull", pattern],
            );
        }
    }
    server.restart();
    let star = |name: &str, repository: &str| {
        let url = server.url(&format!("/api/v1/repositories/{repository}/star"));
        let by = format!("{name}:{PASSWORD}");
        let given = host.curl(&["--request", "PUT", "--user", &by, &url]);
        given.status
    };
    for (repository, people) in [
        ("team%2Fredis", &["ann", "ben", "cid", "ann"][..]),
        ("redis", &["ann", "ben"]),
    ] {
        for name in people {
            assert_eq!(star(name, repository), 204);
        }
    }
    assert_eq!(star("ann", "secret%2Fredis"), 403);

    let agent = Agent::start(&host);
    let address = server.address();
    let login = ["login", "--username", "ann", "--password-stdin", &address];
    agent
        .docker(&login)
        .finish_with_input(PASSWORD.as_bytes())
        .ok();
    let term = format!("{address}/redis");
    let found = |words: &[&str]| {
        let format = "{{.Name}} {{.StarCount}}";
        let words = [&["search", &term, "--format", format], words].concat();
        let docker = agent.docker(&words).finish().ok().lines();
        let hythe = agent.hythe(&words).finish().ok().lines();
        // Older clients order by stars.
        if docker_is_recent("the order of what is found") {
            assert_eq!(hythe, docker);
        }
        hythe
    };
    let starred = format!("{address}/team/redis 3");
    let (exact, beginning) = (format!("{term} 2"), format!("{term}-exporter 0"));
    assert_eq!(
        found(&["--filter", "stars=3", "--no-trunc", "--limit", "5"]),
        [starred.as_str()]
    );
    assert_eq!(found(&["--filter", "stars=4"]), [""; 0]);
    assert_eq!(
        found(&["--filter", "stars=2", "--no-trunc"]),
        [&exact, &starred].map(String::as_str)
    );
    // The very name comes first, then names that begin so; what may not be pulled never.
    assert_eq!(
        found(&["--limit", "2"]),
        [&exact, &beginning].map(String::as_str)
    );
    assert_eq!(
        found(&[]),
        [&exact, &beginning, &starred].map(String::as_str)
    );
    let table = agent
        .docker(&["search", &term, "--filter", "stars=3"])
        .finish()
        .ok();
    assert!(table.lines()[1].contains("team/redis"), "{table:?}");
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
        ..hythe_tests::AgentOptions::default()
    };
    let agent = Agent::start_with(&host, options);
    let found = agent
        .docker(&["search", "--format", "{{.Name}}", "app"])
        .finish()
        .ok();
    assert_eq!(found.text(), format!("{}/team/app", server.address()));
}
