//! What a user types, as values: sizes, ports, mounts, durations and their kin. Pure functions,
//! one file per kind; each knows docker's grammar for its flag and docker's words for a mistake.

mod bytes;
mod cpus;
mod device;
mod duration;
mod filter;
mod key_value;
mod moment;
mod mount;
mod network;
mod ports;
mod restart;
mod ulimit;
mod volume;

pub(crate) use bytes::{parse_bytes, parse_bytes_or_unlimited};
pub(crate) use cpus::parse_cpus;
pub(crate) use device::{
    parse_device, parse_rate_bytes, parse_rate_operations, parse_weight_device,
};
pub(crate) use duration::parse_duration;
pub(crate) use filter::parse_filter;
pub(crate) use key_value::{environment, labels, pairs};
pub(crate) use moment::parse_moment;
pub(crate) use mount::parse_mount;
pub(crate) use network::{NetworkAttachment, parse_network};
pub(crate) use ports::{expose_ports, host_address, publish_ports, sorted_ports};
pub(crate) use restart::parse_restart;
pub(crate) use ulimit::parse_ulimit;
pub(crate) use volume::{VolumeSpec, parse_volume};

use thiserror::Error;

/// A value that does not follow its grammar, in docker's words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub(crate) struct InvalidValue(String);

impl InvalidValue {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}
