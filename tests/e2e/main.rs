//! The product from outside: one module for each promise.
//!
//! Needs root, a kernel with namespaces and overlayfs, and the clients that `tests/run`
//! installs. A missing one fails the test that needs it, by name.

#![expect(
    clippy::expect_used,
    clippy::too_many_lines,
    reason = "a scenario reads top to bottom, and one that cannot go on says why and ends"
)]

mod agent_chaos;
mod agent_crash;
mod archives;
mod bad_layers;
mod bad_links;
mod build;
mod cli;
mod compose;
mod docker_cli;
mod docker_py;
mod dockerd;
mod exec_survival;
mod exhausted;
mod exit_codes;
mod images;
mod isolation;
mod leave_nothing;
mod limits;
mod many_containers;
mod network_crash;
mod networks;
mod pull_crash;
mod registry_accounts;
mod registry_admin;
mod registry_artifacts;
mod registry_clients;
mod registry_containerd;
mod registry_crash;
mod registry_crash_rounds;
mod registry_faults;
mod registry_large_blob;
mod registry_policies;
mod replicas;
mod runtime;
mod scrub;
mod search;
mod second_agent;
mod stdio;
mod tcp;
mod traces;
mod unpacked;
mod unsupported;
mod userns;
mod volumes;
mod volumes_and_ports;

use hythe_tests::{Agent, CommandExt as _, Host, Layout, Server};

/// Puts an image into a registry with skopeo, as `127.0.0.1:5000/NAME`.
#[track_caller]
fn push(host: &Host, server: &Server<'_>, image: &Layout, name: &str) -> String {
    let reference = format!("{}/{name}", server.address());
    host.command("skopeo")
        .args([
            "copy",
            "--insecure-policy",
            "--dest-tls-verify=false",
            "--quiet",
        ])
        .arg(image.transport())
        .arg(format!("docker://{reference}"))
        .finish()
        .ok();
    reference
}

/// Puts busybox on a registry and returns its reference.
#[track_caller]
fn push_busybox(host: &Host, server: &Server<'_>) -> String {
    push(host, server, &hythe_tests::busybox(), "busybox:1")
}

/// The full id of a container.
#[track_caller]
fn full_id(agent: &Agent<'_>, container: &str) -> String {
    agent
        .docker(&["inspect", "-f", "{{.Id}}", container])
        .finish()
        .ok()
        .text()
}
