//! Which events a caller wants to hear of. Pure.

use super::{Event, EventKind};
use crate::engine::{EngineError, Filters};

/// Keys docker knows; those of Swarm and plugins are taken and match nothing here.
const KEYS: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

#[derive(Debug)]
pub(super) struct EventFilter(Filters);

impl EventFilter {
    pub(super) fn new(filters: Filters) -> Result<Self, EngineError> {
        filters.check_keys(KEYS)?;
        Ok(Self(filters))
    }

    pub(super) fn matches(&self, event: &Event) -> bool {
        self.0
            .any("event", |wanted| action_matches(&event.action, wanted))
            && self.0.any("type", |wanted| event.kind.name() == wanted)
            && self.0.any("scope", |wanted| wanted == "local")
            && self.0.labels_match(&event.attributes)
            && self.actor_matches("container", EventKind::Container, event)
            && self.actor_matches("volume", EventKind::Volume, event)
            && self.actor_matches("network", EventKind::Network, event)
            && self.actor_matches("daemon", EventKind::Daemon, event)
            && self.image_matches(event)
            && !["config", "node", "plugin", "secret", "service"]
                .iter()
                .any(|key| self.0.has(key))
    }

    /// By id or name, or the start of either. An event about another kind of thing matches when
    /// it names the wanted one, as a network's `connect` names its container.
    fn actor_matches(&self, key: &str, kind: EventKind, event: &Event) -> bool {
        self.0.any(key, |wanted| {
            if event.kind == kind {
                let name = event.attributes.get("name");
                event.actor.starts_with(wanted) || name.is_some_and(|name| name.starts_with(wanted))
            } else {
                event
                    .attributes
                    .get(key)
                    .is_some_and(|other| other.starts_with(wanted))
            }
        })
    }

    /// With or without the tag; containers' events carry their image's name.
    fn image_matches(&self, event: &Event) -> bool {
        self.0.any("image", |wanted| {
            let name = match event.kind {
                EventKind::Image => event.attributes.get("name"),
                EventKind::Container => event.attributes.get("image"),
                EventKind::Network | EventKind::Volume | EventKind::Daemon => return false,
            };
            let without_tag = |name: &str| match name.rsplit_once(':') {
                Some((repository, tag)) if !tag.contains('/') => repository == wanted,
                _ => false,
            };
            (event.kind == EventKind::Image && event.actor == wanted)
                || name.is_some_and(|name| name == wanted || without_tag(name))
        })
    }
}

/// `exec_start` also means `exec_start: sh -c …`, `health_status` also `health_status: healthy`.
fn action_matches(action: &str, wanted: &str) -> bool {
    action == wanted
        || action
            .strip_prefix(wanted)
            .is_some_and(|rest| rest.starts_with(": "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;

    fn event(kind: EventKind, action: &str, attributes: &[(&str, &str)]) -> Event {
        let attributes: BTreeMap<_, _> = attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Event {
            kind,
            action: action.to_owned(),
            actor: "abcdef".to_owned(),
            attributes,
            time: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn filters_choose() {
        let start = event(
            EventKind::Container,
            "start",
            &[("name", "web"), ("image", "nginx:1"), ("tier", "front")],
        );
        let exec = event(EventKind::Container, "exec_start: sh", &[("name", "web")]);
        let connect = event(EventKind::Network, "connect", &[("container", "123456")]);
        let cases = [
            (&start, "event", "start", true),
            (&start, "event", "stop", false),
            (&exec, "event", "exec_start", true),
            (&exec, "event", "exec", false),
            (&start, "type", "container", true),
            (&start, "type", "image", false),
            (&start, "container", "web", true),
            (&start, "container", "abc", true),
            (&start, "container", "db", false),
            (&connect, "container", "1234", true),
            (&start, "image", "nginx", true),
            (&start, "image", "nginx:1", true),
            (&start, "image", "nginx:2", false),
            (&start, "label", "tier=front", true),
            (&start, "label", "tier=back", false),
            (&start, "scope", "swarm", false),
            (&start, "service", "x", false),
        ];
        for (event, key, value, expected) in cases {
            let mut filters = Filters::new();
            filters.insert(key, value);
            let filter = EventFilter::new(filters).unwrap();
            assert_eq!(
                filter.matches(event),
                expected,
                "{key}={value} {}",
                event.action
            );
        }
    }
}
