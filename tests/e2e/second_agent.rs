//! What one agent pushes, another one pulls: the same image, not a likeness of it.

use hythe_tests::{Agent, CommandExt as _, Host, Server, debian_nginx};

use crate::push;

#[test]
fn an_image_pushed_by_one_agent_has_the_same_id_on_another() {
    let host = Host::new();
    let server = Server::start(&host);
    let layout = debian_nginx();
    let image = push(&host, &server, &layout, "nginx:1");
    let copy = format!("{}/copies/nginx:2", server.address());

    let first = Agent::start(&host);
    first.docker(&["pull", &image]).finish().ok();
    first.docker(&["tag", &image, &copy]).finish().ok();
    let pushed = first.docker(&["push", &copy]).finish().ok();
    assert!(
        pushed
            .text()
            .contains(&format!("2: digest: {}", layout.manifest_digest)),
        "{pushed:?}"
    );
    let id = image_id(&first, &copy);
    assert_eq!(id, layout.image_id);
    drop(first);

    let second = Agent::start(&host);
    second.docker(&["pull", &copy]).finish().ok();
    assert_eq!(image_id(&second, &copy), id);

    let listed = second
        .docker(&[
            "images",
            "--no-trunc",
            "--format",
            "{{.Repository}}:{{.Tag}} {{.ID}}",
        ])
        .finish()
        .ok();
    assert_eq!(listed.lines(), [format!("{copy} {id}")]);

    second.docker(&["rmi", &copy]).finish().ok();
    assert_eq!(second.docker(&["images", "-q"]).finish().ok().text(), "");
}

#[track_caller]
fn image_id(agent: &Agent<'_>, image: &str) -> String {
    agent
        .docker(&["image", "inspect", "-f", "{{.Id}}", image])
        .finish()
        .ok()
        .text()
}
