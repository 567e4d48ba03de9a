//! Events.

use crate::engine::{Event, EventKind};
use crate::http::wire;

pub(crate) fn event_to_wire(event: Event) -> wire::EventMessage {
    let for_old_clients = matches!(event.kind, EventKind::Container | EventKind::Image);
    let image = event.attributes.get("image").cloned();
    wire::EventMessage {
        status: for_old_clients.then(|| event.action.clone()),
        id: for_old_clients.then(|| event.actor.clone()),
        from: image.filter(|_| event.kind == EventKind::Container),
        kind: event.kind.name(),
        action: event.action,
        actor: wire::EventActor {
            id: event.actor,
            attributes: event.attributes,
        },
        scope: "local",
        time: event.time.as_second(),
        // Until the year 2262.
        time_nano: i64::try_from(event.time.as_nanosecond()).unwrap_or(i64::MAX),
    }
}
