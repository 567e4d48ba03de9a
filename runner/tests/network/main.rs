//! Networks for real: namespaces play this host, its containers and other hosts.
//!
//! As root only, like the agent itself.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod host;
mod support;

mod bridge;
mod drivers;
mod names;
mod published;
mod restart;
