//! What is kept on disk about a container.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::view::MountView;
use crate::network::Endpoint;
use crate::spec::{
    ContainerConfig, ContainerId, ContainerName, ContainerState, HostConfig, NetworkAttachment,
    NetworkId, Submounts,
};
use crate::store::Survives;

/// Everything about a container that a restart of the agent must find again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: ContainerId,
    pub(crate) name: ContainerName,
    pub(crate) created_at: Timestamp,
    /// With the image's part merged in.
    pub(crate) config: ContainerConfig,
    pub(crate) host: HostConfig,
    /// `sha256:…` of the image's config.
    pub(crate) image_id: String,
    pub(crate) platform: String,
    /// Entrypoint and command in one; never empty.
    pub(crate) argv: Vec<String>,
    pub(crate) mounts: Vec<ResolvedMount>,
    /// By network name, in the order of attachment.
    pub(crate) networks: BTreeMap<String, Membership>,
    pub(crate) state: ContainerState,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) restarts: Restarts,
}

impl Record {
    /// Every endpoint the container has right now.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.networks
            .values()
            .filter_map(|membership| membership.endpoint.as_ref())
    }

    /// Whether it has an address on some network right now.
    pub(crate) fn has_addresses(&self) -> bool {
        self.endpoints()
            .any(|endpoint| endpoint.ipv4.is_some() || endpoint.ipv6.is_some())
    }

    /// Its anonymous volumes, which go with it when it is removed with its volumes.
    pub(crate) fn anonymous_volumes(&self) -> impl Iterator<Item = &str> {
        self.mounts
            .iter()
            .filter(|mount| mount.anonymous)
            .map(|mount| mount.view.name.as_str())
    }

    /// What this record has to survive. A container that removes itself ends with the machine,
    /// and all that could be done with its record then is to remove it, unless volumes are to go
    /// with it.
    pub(crate) fn survives(&self) -> Survives {
        if self.host.auto_remove && self.anonymous_volumes().next().is_none() {
            Survives::Restart
        } else {
            Survives::PowerLoss
        }
    }
}

/// A mount whose source is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ResolvedMount {
    pub(crate) view: MountView,
    /// The volume was made for this container alone.
    #[serde(default)]
    pub(crate) anonymous: bool,
    #[serde(default)]
    pub(crate) submounts: Submounts,
    /// `mount(8)` options of a tmpfs.
    #[serde(default)]
    pub(crate) tmpfs_options: Vec<String>,
}

/// A network the container is to be on, and its endpoint while it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Membership {
    pub(crate) network: NetworkId,
    pub(crate) attachment: NetworkAttachment,
    #[serde(default)]
    pub(crate) endpoint: Option<Endpoint>,
}

/// What the restart policy remembers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Restarts {
    /// By the policy, since the last start by hand.
    pub(crate) count: u32,
    /// The wait before the current run, in milliseconds; zero after a start by hand.
    pub(crate) last_wait_ms: u64,
    /// Somebody stopped it: `unless-stopped` leaves it alone, also over a restart of the agent.
    pub(crate) stopped_by_hand: bool,
}

impl Restarts {
    pub(crate) fn last_wait(self) -> Duration {
        Duration::from_millis(self.last_wait_ms)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A created container with nothing particular.
    pub(in super::super) fn record(name: &str) -> Record {
        Record {
            id: ContainerId::random(),
            name: name.parse().unwrap(),
            created_at: Timestamp::now(),
            config: ContainerConfig::default(),
            host: HostConfig::default(),
            image_id: format!("sha256:{}", "a".repeat(64)),
            platform: "linux/amd64".to_owned(),
            argv: vec!["true".to_owned()],
            mounts: Vec::new(),
            networks: BTreeMap::new(),
            state: ContainerState::Created,
            started_at: None,
            finished_at: None,
            restarts: Restarts::default(),
        }
    }

    #[test]
    fn only_what_is_gone_with_the_machine_is_not_synced() {
        let mut record = record("job");
        assert_eq!(record.survives(), Survives::PowerLoss);
        record.host.auto_remove = true;
        assert_eq!(record.survives(), Survives::Restart);
        record.mounts.push(ResolvedMount {
            view: MountView {
                kind: super::super::view::MountKind::Volume,
                name: "0123".to_owned(),
                source: "/v/0123/_data".into(),
                destination: "/data".to_owned(),
                driver: "local".to_owned(),
                read_write: true,
                propagation: None,
            },
            anonymous: true,
            submounts: Submounts::Follow,
            tmpfs_options: Vec::new(),
        });
        assert_eq!(record.survives(), Survives::PowerLoss);
    }

    #[test]
    fn records_survive_the_disk() {
        let record = record("web");
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}
