//! Containers: everything that can be asked of one.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `request`, `view` | what callers ask and are told |
//! | `record`, `cell`, `table` | a container on disk, in memory, among the others |
//! | `create`, `merge`, `validate`, `cpuset`, `mount`, `name` | making one |
//! | `start`, `surroundings`, `endpoints`, `links` | making it run |
//! | `exit`, `backoff`, `health` | what happens while and after it runs |
//! | `stop`, `pause`, `remove`, `change` | the other verbs |
//! | `attach`, `logs`, `log_file` | its streams |
//! | `inspect`, `list`, `wait`, `top`, `stats`, `status` | questions |
//! | `archive`, `diff`, `rootfs` | its files |

mod archive;
mod attach;
mod backoff;
mod cell;
mod change;
mod cpuset;
mod create;
mod diff;
mod endpoints;
mod exit;
mod gateway;
mod health;
mod inspect;
mod journal;
mod links;
mod list;
mod log_file;
mod logs;
pub(in crate::engine) mod merge;
mod mount;
mod name;
mod pause;
mod record;
mod remove;
mod request;
pub(in crate::engine) mod rootfs;
mod start;
mod stats;
mod status;
mod stop;
mod surroundings;
mod table;
mod top;
mod validate;
mod view;
mod wait;

pub use request::{
    AttachOptions, CreateRequest, ListContainers, LogOptions, PutArchive, RemoveOptions,
    StatsOptions, StopOptions, StringMap, UpdateRequest, WaitCondition,
};
pub use view::{
    BlockIoEntry, Change, ChangeKind, ContainerSize, ContainerView, CpuStats, CreatedContainer,
    EndpointView, Health, HealthProbe, HealthStatus, InterfaceStats, MemoryStats, MountKind,
    MountView, PathStat, Pruned, Stats, Top, Waited,
};

pub(crate) use attach::connect;
pub(crate) use cell::{Container, Verb};
pub(in crate::engine) use create::check_attachment;
pub(in crate::engine) use endpoints::{Interfaces, Place, options_of};
pub(crate) use endpoints::{clear_endpoints, network_error};
pub(in crate::engine) use gateway::published;
pub(crate) use inspect::endpoint_view;
pub(crate) use record::{Membership, Record, ResolvedMount};
pub(crate) use start::launch_error;
pub(crate) use stats::total_memory;
pub(crate) use surroundings::hostname;
pub(crate) use table::Table;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Engine, EngineError, EventKind};
use crate::spec::ContainerRef;

impl Engine {
    pub(super) fn find_container(
        &self,
        wanted: &ContainerRef,
    ) -> Result<Arc<Container>, EngineError> {
        self.shared.containers.find(wanted)
    }

    /// Reports an event of a container, with its labels, name and image and what is particular.
    pub(super) fn container_event(
        &self,
        container: &Container,
        action: impl Into<String>,
        particular: &[(&str, String)],
    ) {
        let attributes = container.read(|record| {
            let mut attributes: BTreeMap<String, String> = record.config.labels.clone();
            attributes.insert("name".to_owned(), record.name.to_string());
            attributes.insert("image".to_owned(), record.config.image.clone());
            for (key, value) in particular {
                attributes.insert((*key).to_owned(), value.clone());
            }
            attributes
        });
        let id = container.id().as_str();
        self.shared
            .events
            .report(EventKind::Container, action, id, attributes);
    }
}
