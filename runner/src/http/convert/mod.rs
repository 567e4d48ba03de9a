//! Between the wire and the words of the engine, both directions. Pure: text and values only.
//!
//! What a request asks for is either carried over or refused by name; nothing that was set is
//! dropped silently.

mod archive;
mod config;
mod events;
mod exec;
mod host_config;
mod image;
mod inspect;
mod log;
mod modes;
mod mounts;
mod networks;
mod ports;
mod resources;
mod security;
#[cfg(test)]
mod shape_tests;
mod sizes;
mod stats;
mod summary;
mod system;
#[cfg(test)]
mod tests;

pub(super) use archive::path_stat_to_wire;
pub(super) use config::config_from_wire;
pub(super) use events::event_to_wire;
pub(super) use exec::exec_to_wire;
pub(super) use host_config::{console_size, host_config_from_wire, refuse_unsupported};
pub(super) use image::{
    history_to_wire, image_inspect_to_wire, image_summary_to_wire, progress_to_wire,
    removals_to_wire,
};
pub(super) use inspect::container_to_wire;
pub(super) use modes::{network_mode, restart_policy_from_wire};
pub(super) use networks::{attachment_from_wire, create_network_from_wire, network_to_wire};
pub(super) use resources::resources_from_wire;
pub(super) use stats::stats_to_wire;
pub(super) use summary::summary_to_wire;
pub(super) use system::{disk_usage_to_wire, info_to_wire, version_to_wire, volume_to_wire};

use crate::http::Result;
use crate::http::error::ApiError;

fn bad<T>(message: impl Into<String>) -> Result<T> {
    Err(ApiError::bad_parameter(message))
}

fn unsupported<T>(message: impl Into<String>) -> Result<T> {
    Err(ApiError::not_implemented(message))
}

/// Docker shows an empty list of some fields as `null`.
pub(super) fn none_if_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

/// Go's zero value for "not set".
fn none_if_zero(number: i64) -> Option<i64> {
    Some(number).filter(|number| *number != 0)
}
