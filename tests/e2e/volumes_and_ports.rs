//! Bind mounts and published ports: where a container meets its host and other hosts.

use hythe_tests::{Agent, CommandExt as _, Host, SHORT, Server, eventually};

use crate::push_busybox;

#[test]
fn bind_mounts_carry_files_both_ways() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("in"), "from the host").expect("a file");
    let path = directory.path().display();

    let script = "cat /mnt/data/in; echo from inside > /mnt/data/out";
    let bind = format!("{path}:/mnt/data");
    let run = agent
        .docker(&["run", "--rm", "-v", &bind, &image, "sh", "-c", script])
        .finish()
        .ok();
    assert_eq!(run.text(), "from the host");
    let out = std::fs::read_to_string(directory.path().join("out")).expect("written inside");
    assert_eq!(out, "from inside\n");

    let bind = format!("{path}:/mnt/data:ro");
    agent
        .docker(&["run", "--rm", "-v", &bind, &image, "touch", "/mnt/data/x"])
        .finish()
        .fails_saying("Read-only file system");
}

#[test]
fn a_published_port_answers_the_host_and_other_hosts() {
    let host = Host::new();
    let other = Host::new();
    host.link("10.199.7.1/24", &other, "10.199.7.2/24");
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let serve = "echo page > /tmp/index.html; exec httpd -f -p 80 -h /tmp";
    agent
        .docker(&[
            "run", "-d", "--name", "web", "-p", "18080:80", &image, "sh", "-c", serve,
        ])
        .finish()
        .ok();

    for (from, address) in [
        (&host, "127.0.0.1"),
        (&host, "10.199.7.1"),
        (&other, "10.199.7.1"),
    ] {
        let url = format!("http://{address}:18080/index.html");
        eventually(&format!("{address} answers"), SHORT, || {
            let run = from
                .command("curl")
                .args(["-s", "--max-time", "5", &url])
                .finish();
            (run.text() == "page").then_some(())
        });
    }
    agent
        .docker(&["run", "--rm", "-p", "18080:80", &image, "true"])
        .finish()
        .fails_with(125)
        .fails_saying("port is already allocated");

    // Outwards: the other host has no route back to the container, so an answer proves NAT.
    let seen = eventually("the container reaches the other host", SHORT, || {
        let run = agent
            .docker(&["exec", "web", "ping", "-c", "1", "-W", "2", "10.199.7.2"])
            .finish();
        (run.code == 0).then_some(run)
    });
    assert!(seen.text().contains("1 packets received"), "{seen:?}");

    agent.docker(&["rm", "-f", "web"]).finish().ok();
    let gone = host
        .command("curl")
        .args(["-s", "--max-time", "5", "http://127.0.0.1:18080/"])
        .finish();
    assert_ne!(gone.code, 0, "{gone:?}");
}
