//! The list of containers and its filters.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use super::request::ListContainers;
use super::view::{ContainerView, HealthStatus};
use crate::engine::{Engine, EngineError, Filters};
use crate::spec::{ContainerRef, ContainerState, PortSpec};

const KEYS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "label!",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];
const STATUSES: &[&str] = &[
    "created",
    "dead",
    "exited",
    "paused",
    "removing",
    "restarting",
    "running",
];

/// What filters mean once the engine was asked.
struct Chosen {
    filters: Filters,
    /// Ids of the images that `ancestor` names, and of those built on them.
    ancestors: Option<BTreeSet<String>>,
    created_before: Option<jiff::Timestamp>,
    created_since: Option<jiff::Timestamp>,
    exit_codes: Option<Vec<i32>>,
}

impl Engine {
    /// Newest first.
    pub async fn list_containers(
        &self,
        request: ListContainers,
    ) -> Result<Vec<ContainerView>, EngineError> {
        let limit = usize::try_from(request.limit).ok().filter(|&n| n > 0);
        // Asking for a status, for exit codes or for a number of containers asks for stopped
        // ones as well.
        let stopped_too = request.all
            || limit.is_some()
            || ["status", "exited", "before", "since"]
                .iter()
                .any(|key| request.filters.has(key));
        let chosen = self.choose(request.filters)?;
        let mut views: Vec<ContainerView> = self
            .shared
            .containers
            .all()
            .iter()
            .map(|container| self.view(container))
            .filter(|view| stopped_too || view.state.live().is_some() || is_restarting(view))
            .filter(|view| chosen.matches(view))
            .collect();
        views.sort_by(|a, b| {
            b.created_at
                .cmp(&a.created_at)
                .then_with(|| a.id.cmp(&b.id))
        });
        views.truncate(limit.unwrap_or(usize::MAX));
        if request.size {
            for view in &mut views {
                view.size = Some(self.container_size(view).await);
            }
        }
        Ok(views)
    }

    fn choose(&self, filters: Filters) -> Result<Chosen, EngineError> {
        filters.check_keys(KEYS)?;
        let invalid = |key: &str, value: &str| {
            EngineError::InvalidParameter(format!("invalid filter '{key}={value}'"))
        };
        if let Some(value) = filters
            .values("status")
            .find(|value| !STATUSES.contains(value))
        {
            return Err(invalid("status", value));
        }
        let healths = ["starting", "healthy", "unhealthy", "none"];
        if let Some(value) = filters
            .values("health")
            .find(|value| !healths.contains(value))
        {
            return Err(invalid("health", value));
        }
        for key in ["publish", "expose"] {
            if let Some(value) = filters.values(key).find(|value| ports(value).is_none()) {
                return Err(invalid(key, value));
            }
        }
        let created_at = |key: &str| -> Result<_, EngineError> {
            let Some(other) = filters.values(key).next() else {
                return Ok(None);
            };
            let container = self.find_container(&ContainerRef::new(other))?;
            Ok(Some(container.read(|record| record.created_at)))
        };
        let exit_codes = filters
            .has("exited")
            .then(|| {
                let parse = |value: &str| value.parse().map_err(|_| invalid("exited", value));
                filters.values("exited").map(parse).collect()
            })
            .transpose()?;
        Ok(Chosen {
            ancestors: filters
                .has("ancestor")
                .then(|| self.images_built_on(filters.values("ancestor"))),
            created_before: created_at("before")?,
            created_since: created_at("since")?,
            exit_codes,
            filters,
        })
    }
}

fn is_restarting(view: &ContainerView) -> bool {
    matches!(view.state, ContainerState::Restarting(_))
}

impl Chosen {
    fn matches(&self, view: &ContainerView) -> bool {
        let filters = &self.filters;
        filters.any("id", |wanted| view.id.as_str().starts_with(wanted))
            && filters.any("name", |wanted| name_matches(view, wanted))
            && filters.any("status", |wanted| view.state.name() == wanted)
            && filters.any("health", |wanted| health_name(view) == wanted)
            && filters.any("isolation", |wanted| wanted == "default")
            && filters.any("is-task", |wanted| wanted == "false")
            && filters.any("network", |wanted| on_network(view, wanted))
            && filters.any("volume", |wanted| has_volume(view, wanted))
            && filters.any("publish", |wanted| publishes(view, wanted))
            && filters.any("expose", |wanted| exposes(view, wanted))
            && filters.labels_match(&view.config.labels)
            && self
                .ancestors
                .as_ref()
                .is_none_or(|ids| ids.contains(&view.image_id))
            && self
                .created_before
                .is_none_or(|time| view.created_at < time)
            && self.created_since.is_none_or(|time| view.created_at > time)
            && self
                .exit_codes
                .as_ref()
                .is_none_or(|codes| exited_with(view, codes))
    }
}

/// A part of the name, or docker's anchored forms: `^/web$`, `^web`.
fn name_matches(view: &ContainerView, wanted: &str) -> bool {
    let name = format!("/{}", view.name);
    let from_start = wanted.strip_prefix('^');
    let (pattern, to_end) = match from_start.unwrap_or(wanted) {
        text if text.ends_with('$') => (&text[..text.len() - 1], true),
        text => (text, false),
    };
    let bare = &name[1..];
    match (from_start.is_some(), to_end) {
        (true, true) => name == pattern || bare == pattern,
        (true, false) => name.starts_with(pattern) || bare.starts_with(pattern),
        (false, true) => name.ends_with(pattern),
        (false, false) => name.contains(pattern),
    }
}

fn health_name(view: &ContainerView) -> &'static str {
    view.health
        .as_ref()
        .map_or("none", |health| HealthStatus::name(health.status))
}

fn on_network(view: &ContainerView, wanted: &str) -> bool {
    view.networks
        .iter()
        .any(|(name, endpoint)| name == wanted || endpoint.network_id.starts_with(wanted))
}

/// By the volume's name, or by where it is mounted.
fn has_volume(view: &ContainerView, wanted: &str) -> bool {
    view.mounts.iter().any(|mount| {
        mount.name == wanted || mount.destination == wanted || mount.source.to_str() == Some(wanted)
    })
}

fn publishes(view: &ContainerView, wanted: &str) -> bool {
    let Some((first, last)) = ports(wanted) else {
        return false;
    };
    view.published_ports.iter().any(|port| {
        port.container.protocol == first.protocol
            && ((first.port..=last).contains(&port.host_port)
                || (first.port..=last).contains(&port.container.port))
    })
}

fn exposes(view: &ContainerView, wanted: &str) -> bool {
    let Some((first, last)) = ports(wanted) else {
        return false;
    };
    let exposed = &view.config.exposed_ports;
    exposed
        .iter()
        .any(|port| port.protocol == first.protocol && (first.port..=last).contains(&port.port))
}

/// `80`, `80/udp`, `8000-8010/tcp`: the first port and the number of the last.
fn ports(text: &str) -> Option<(PortSpec, u16)> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let first = PortSpec::from_str(&format!("{first}/{protocol}")).ok()?;
    Some((first, last.parse().ok()?))
}

fn exited_with(view: &ContainerView, codes: &[i32]) -> bool {
    match &view.state {
        ContainerState::Exited(exit) => codes.contains(&exit.code),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ports_parse() {
        let port = |text: &str| ports(text).map(|(first, last)| (first.to_string(), last));
        assert_eq!(port("80"), Some(("80/tcp".to_owned(), 80)));
        assert_eq!(port("80-90/udp"), Some(("80/udp".to_owned(), 90)));
        for bad in ["", "x", "80-", "80/icmp", "-80"] {
            assert_eq!(port(bad), None, "{bad}");
        }
    }
}
