//! The node agent: a container engine that pulls from a registry, runs containers with
//! namespaces and cgroups, and speaks the Docker Engine API.
//!
//! Floors, highest first; none imports a higher one and folders on one floor do not import each
//! other (`tests/floors.rs` holds this):
//!
//! | floor | folders |
//! | --- | --- |
//! | 4 | `http` |
//! | 3 | `engine` |
//! | 2 | `image`, `launch`, `network`, `store` |
//! | 1 | `sys`, `dockerfile`, `spec` |
//!
//! `app` is the composition root and stands outside, as does `idle`, which it starts.

mod app;
pub mod config;
pub mod dockerfile;
pub mod engine;
pub mod http;
mod idle;
pub mod image;
pub mod launch;
pub mod network;
pub mod spec;
pub mod store;
pub mod sys;

pub use app::{Ready, RunError, run};
pub use config::AgentConfig;
pub use image::Neighbour;
pub use launch::{runtime, shim_main};
