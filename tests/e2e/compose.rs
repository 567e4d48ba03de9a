//! `docker-compose` brings up, scales and takes down a project of three services.

use hythe_tests::{Agent, CommandExt as _, Finished, Host, SHORT, Server, eventually};

use crate::push_busybox;

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/fixtures/compose/docker-compose.yml"
);

#[test]
fn a_project_comes_up_scales_and_goes() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let command = |words: &[&str]| {
        let mut command = host.command("docker-compose");
        command
            .args(["--no-ansi", "--project-name", "trip", "--file", FILE])
            .args(words)
            .env(
                "DOCKER_HOST",
                format!("unix://{}", agent.socket().display()),
            )
            .env("COMPOSE_HTTP_TIMEOUT", "120")
            .env("IMAGE", &image);
        command
    };
    let compose = |words: &[&str]| -> Finished { command(words).finish() };
    let docker = |words: &[&str]| agent.docker(words).finish();

    // The app waits for a store that is not well until somebody makes it so.
    let mut up = command(&["up", "-d"]);
    let up = std::thread::spawn(move || up.finish());
    eventually("the store runs", SHORT, || {
        (docker(&["exec", "trip_store_1", "test", "-f", "/data/page"]).code == 0).then_some(())
    });
    let names = docker(&["ps", "-a", "--format", "{{.Names}}"]).ok();
    assert_eq!(names.text(), "trip_store_1", "nothing starts before it");
    docker(&["exec", "trip_store_1", "touch", "/data/well"]).ok();
    up.join().expect("up ends").ok();

    let ps = compose(&["ps"]).ok().text();
    let state = |name: &str| {
        let mut lines = ps.lines();
        let line = lines.find(|line| line.starts_with(name)).unwrap_or("");
        line.to_owned()
    };
    assert!(state("trip_store_1").contains("Up (healthy)"), "{ps}");
    assert!(state("trip_app_1").contains("Up"), "{ps}");
    assert!(
        state("trip_web_1").contains("0.0.0.0:18080->80/tcp"),
        "{ps}"
    );
    eventually("the app has what the store keeps", SHORT, || {
        compose(&["logs", "--no-color", "app"])
            .ok()
            .text()
            .contains("fetched")
            .then_some(())
    });

    // By the service's name, by its alias, by the link.
    for name in ["app", "application", "app_1"] {
        let url = format!("http://{name}/page");
        let page = compose(&["exec", "-T", "web", "wget", "-q", "-O", "-", &url]).ok();
        assert_eq!(page.text(), "kept", "{name}");
    }
    compose(&[
        "exec", "-T", "web", "ping", "-c", "1", "-W", "1", "database",
    ])
    .fails_saying("");
    let role = compose(&["exec", "-T", "app", "sh", "-c", "echo $ROLE"]).ok();
    assert_eq!(role.text(), "app");
    assert_eq!(compose(&["port", "web", "80"]).ok().text(), "0.0.0.0:18080");
    assert!(compose(&["top"]).ok().text().contains("sleep 1000"));

    compose(&["up", "-d", "--scale", "app=3", "--no-recreate"]).ok();
    let apps = docker(&["ps", "-q", "-f", "label=com.docker.compose.service=app"]).ok();
    assert_eq!(apps.lines().len(), 3);
    let found = compose(&["exec", "-T", "web", "nslookup", "app"]).text();
    assert!(
        found.matches("Address").count() >= 4,
        "the server and all three: {found}"
    );
    compose(&["up", "-d", "--scale", "app=1", "--no-recreate"]).ok();
    let apps = docker(&["ps", "-aq", "-f", "label=com.docker.compose.service=app"]).ok();
    assert_eq!(apps.lines().len(), 1);

    // An unchanged project is left alone; a restart keeps what the volume holds.
    let before = docker(&["ps", "-q", "--no-trunc"]).ok().text();
    compose(&["up", "-d"]).ok();
    assert_eq!(docker(&["ps", "-q", "--no-trunc"]).ok().text(), before);
    compose(&["restart", "store"]).ok();
    eventually("the store wrote once more", SHORT, || {
        let page = compose(&["exec", "-T", "store", "cat", "/data/page"]);
        (page.text() == "kept\nkept").then_some(())
    });
    compose(&["pause", "web"]).ok();
    assert!(compose(&["ps", "web"]).ok().text().contains("Paused"));
    compose(&["unpause", "web"]).ok();
    let once = compose(&["run", "--rm", "-T", "app", "echo", "once"]).ok();
    assert_eq!(once.text(), "once");
    compose(&["stop", "web"]).ok();
    assert!(compose(&["ps", "web"]).ok().text().contains("Exit"));
    compose(&["start", "web"]).ok();
    compose(&["kill", "-s", "KILL", "web"]).ok();

    compose(&["down", "-v"]).ok();
    assert_eq!(docker(&["ps", "-aq"]).ok().text(), "");
    assert_eq!(docker(&["volume", "ls", "-q"]).ok().text(), "");
    let networks = docker(&["network", "ls", "--format", "{{.Name}}"]).ok();
    assert_eq!(networks.lines(), ["bridge", "host", "none"]);
}
