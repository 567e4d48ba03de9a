//! JSON shapes of the Engine API, field for field and null for null as Docker has them.
//!
//! Shapes only: `convert` fills them and reads them. They are our own where the public stubs
//! leave out what Docker writes: they drop every `null`, and clients read those.

#![expect(
    clippy::struct_excessive_bools,
    clippy::struct_field_names,
    reason = "the shapes are Docker's"
)]

mod config;
mod container;
mod exec;
mod host_config;
mod image;
mod network;
mod progress;
mod stats;
mod system;
mod volume;

pub(crate) use config::{Config, CreateBody, Empty, HealthConfig, UpdateBody};
pub(crate) use container::*;
pub(crate) use exec::*;
pub(crate) use host_config::*;
pub(crate) use image::*;
pub(crate) use network::*;
pub(crate) use progress::*;
pub(crate) use stats::*;
pub(crate) use system::*;
pub(crate) use volume::*;

use serde::Serialize;

/// What Go prints for a time that never was.
pub(crate) const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// A time on the wire; `None` is Go's zero time.
pub(crate) fn time(time: Option<jiff::Timestamp>) -> String {
    time.map_or_else(|| ZERO_TIME.to_owned(), |time| time.to_string())
}

/// Answers that are an id and nothing else.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Id {
    pub(crate) id: String,
}
