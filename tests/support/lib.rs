//! What the black-box tests say and do: hosts, servers, agents, images, and the wish that
//! something becomes true.
//!
//! Each test gets a host of its own: a network namespace with a loopback device, so that ports,
//! bridges and firewall rules of tests that run side by side never meet. Nothing here links
//! against the product: it is the binary, over sockets, and the clients people use.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::return_self_not_must_use,
    reason = "a test that cannot go on says why and ends, and often the end is all it wants to know"
)]

mod agent;
mod bundle;
mod command;
mod connection;
mod docker_version;
mod faults;
mod fixture;
mod host;
mod image;
mod issuer;
mod kernel;
mod leftovers;
mod postgres;
mod private_etc;
mod s3;
mod server;
mod sink;
mod terminal;
mod wait;

pub use agent::{Agent, AgentOptions};
pub use bundle::Bundle;
pub use command::{CommandExt, Finished};
pub use connection::Connection;
pub use docker_version::docker_is_recent;
pub use faults::Faults;
pub use fixture::{buildah_layers, busybox, debian_nginx};
pub use host::{Host, Response};
pub use image::{ImageBuilder, Layer, Layout, TarBuilder, sha256_digest};
pub use issuer::Issuer;
pub use kernel::Kernel;
pub use leftovers::{Leftovers, shims};
pub use postgres::Postgres;
pub use private_etc::PrivateEtc;
pub use s3::S3;
pub use server::{Server, ServerOptions};
pub use sink::Sink;
pub use terminal::Terminal;
pub use wait::{SHORT, eventually};

use std::path::PathBuf;

/// The binary under test: `HYTHE_BIN`, else the one cargo built beside the tests.
pub fn hythe_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("HYTHE_BIN") {
        return path.into();
    }
    let tests = std::env::current_exe().expect("the test knows its own path");
    let profile = tests.parent().and_then(|deps| deps.parent());
    let path = profile.expect("cargo's layout").join("hythe");
    assert!(
        path.exists(),
        "{} is missing: `cargo build -p hythe` first, as tests/run does",
        path.display()
    );
    path
}
