//! Options of docker's that this engine does not have: each is refused by its name, and nothing is
//! made. What was asked for and silently left out would be found out much later.

use hythe_tests::{Agent, CommandExt as _, Host, Server};

use crate::push_busybox;

#[test]
fn options_that_are_not_there_are_refused_by_name() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let docker = |words: &[&str]| agent.docker(words).finish();
    let networks = || docker(&["network", "ls", "-q", "--no-trunc"]).ok().lines();
    let before = networks();

    for (options, name) in [
        (&["--ingress"][..], "Ingress"),
        (&["--config-only"], "ConfigOnly"),
        (&["--config-from", "bridge"], "ConfigFrom"),
        (&["--scope", "swarm"], "Scope"),
        (&["--ipam-driver", "other"], "IPAM.Driver"),
        (&["--ipam-opt", "key=value"], "IPAM.Options"),
    ] {
        let create = [&["network", "create"], options, &["refused"]].concat();
        docker(&create)
            .fails_with(1)
            .fails_saying(&format!("{name} is not supported for networks"));
    }
    // Command lines of before 28.0 do not know it.
    let body = r#"{"Name":"refused","EnableIPv4":false}"#;
    let json = ["-H", "Content-Type: application/json", "-d", body];
    let said = agent.api("/v1.48/networks/create", &json);
    assert!(
        said.status >= 400 && said.text().contains("EnableIPv4"),
        "{said:?}"
    );
    assert_eq!(networks(), before);

    docker(&["network", "create", "mine"]).ok();
    docker(&["create", "--name", "idle", &image]).ok();
    let connect = [
        "network",
        "connect",
        "--driver-opt=key=value",
        "mine",
        "idle",
    ];
    agent
        .hythe(&connect)
        .finish()
        .fails_with(1)
        .fails_saying("endpoints do not know the driver option key");
    let format = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    let joined = docker(&["inspect", "-f", format, "idle"]).ok().text();
    assert!(!joined.contains("mine"), "{joined}");

    // Platforms: what is one is taken for what it is, another is not found in it.
    let other = "{\"os\":\"linux\",\"architecture\":\"s390x\"}";
    for (method, path) in [
        ("GET", format!("/v1.48/images/{image}/get")),
        ("GET", format!("/v1.48/images/{image}/history")),
        ("GET", format!("/v1.49/images/{image}/json")),
    ] {
        let query = format!("platform={other}");
        let asked = ["-G", "-X", method, "--data-urlencode", &query];
        let said = agent.api(&path, &asked);
        assert!(
            said.status == 404 && said.text().contains("s390x"),
            "{path}: {said:?}"
        );
    }
    // No content trust here, as with docker's daemon: only its command line knew of it.
    docker(&["pull", "-q", "--disable-content-trust", &image]).ok();
}
