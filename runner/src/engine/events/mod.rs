//! What happened, told to whoever listens.
//!
//! Everything in the engine reports here; nothing waits for a listener. The last events are
//! remembered for callers that ask `since` some time ago.

mod filter;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use futures_util::stream::{self, BoxStream, StreamExt as _};
use jiff::Timestamp;
use tokio::sync::broadcast;

use super::{Engine, EngineError, Filters};
use filter::EventFilter;

/// How many events are remembered, and how far a listener may fall behind before it misses some.
const REMEMBERED: usize = 1024;

/// What kind of thing an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Container,
    Image,
    Network,
    Volume,
    Daemon,
}

impl EventKind {
    /// The API's `Type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Daemon => "daemon",
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    /// Such as `start`, `die`, `exec_start: sh`.
    pub action: String,
    /// Id or name of what it happened to.
    pub actor: String,
    /// Name, image, labels, exit code and so on.
    pub attributes: BTreeMap<String, String>,
    pub time: Timestamp,
}

/// `GET /events`.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Also what happened since then, as far as it is remembered.
    pub since: Option<Timestamp>,
    /// End there; one in the past only replays.
    pub until: Option<Timestamp>,
    pub filters: Filters,
}

/// Where events go.
#[derive(Debug)]
pub(crate) struct EventHub {
    remembered: Mutex<VecDeque<Event>>,
    listeners: broadcast::Sender<Event>,
}

impl Default for EventHub {
    fn default() -> Self {
        Self {
            remembered: Mutex::default(),
            listeners: broadcast::Sender::new(REMEMBERED),
        }
    }
}

impl EventHub {
    /// Reports that something happened just now.
    pub(crate) fn report(
        &self,
        kind: EventKind,
        action: impl Into<String>,
        actor: impl Into<String>,
        attributes: BTreeMap<String, String>,
    ) {
        let event = Event {
            kind,
            action: action.into(),
            actor: actor.into(),
            attributes,
            time: Timestamp::now(),
        };
        let mut remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if remembered.len() == REMEMBERED {
            remembered.pop_front();
        }
        remembered.push_back(event.clone());
        // Sent under the lock, so that a new listener gets each event exactly once: from memory
        // or from the channel. Nobody listening is the usual case and no failure.
        drop(self.listeners.send(event));
    }

    pub(crate) fn n_listeners(&self) -> usize {
        self.listeners.receiver_count()
    }

    /// What is remembered since then, and everything from now on.
    fn listen(&self, since: Option<Timestamp>) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let past = match since {
            None => Vec::new(),
            Some(since) => remembered
                .iter()
                .filter(|event| event.time >= since)
                .cloned()
                .collect(),
        };
        (past, self.listeners.subscribe())
    }
}

/// The next event that is not lost to a listener that fell behind.
async fn next(
    mut receiver: broadcast::Receiver<Event>,
) -> Option<(Event, broadcast::Receiver<Event>)> {
    loop {
        match receiver.recv().await {
            Ok(event) => return Some((event, receiver)),
            Err(broadcast::error::RecvError::Lagged(n_lost)) => {
                tracing::warn!(n_lost, "a listener of events is too slow");
            }
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

impl Engine {
    /// Listening has begun when this returns.
    pub async fn events(
        &self,
        query: EventQuery,
    ) -> Result<BoxStream<'static, Event>, EngineError> {
        let filter = EventFilter::new(query.filters)?;
        // An end in the past asks for history only, from the beginning if nothing else is said.
        let since = query.since.or(query.until.map(|_| Timestamp::UNIX_EPOCH));
        let (past, receiver) = self.shared.events.listen(since);
        let until = query.until;
        let past = past
            .into_iter()
            .filter(move |event| until.is_none_or(|until| event.time <= until));
        let future = stream::unfold(receiver, next);
        let future = match until.map(|until| until.duration_since(Timestamp::now())) {
            None => future.boxed(),
            Some(left) => {
                let left = std::time::Duration::try_from(left).unwrap_or_default();
                future
                    .take_until(Box::pin(tokio::time::sleep(left)))
                    .boxed()
            }
        };
        let events = stream::iter(past).chain(future);
        Ok(events
            .filter(move |event| std::future::ready(filter.matches(event)))
            .boxed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_event_reaches_a_listener_once() {
        let hub = EventHub::default();
        let start = Timestamp::now();
        hub.report(EventKind::Container, "create", "a", BTreeMap::new());
        let (past, receiver) = hub.listen(Some(start));
        hub.report(EventKind::Container, "start", "a", BTreeMap::new());
        assert_eq!(past.len(), 1);
        let (event, receiver) = next(receiver).await.unwrap();
        assert_eq!(event.action, "start");
        drop(hub);
        assert!(next(receiver).await.is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let hub = EventHub::default();
        for n in 0..REMEMBERED + 10 {
            hub.report(EventKind::Image, "pull", n.to_string(), BTreeMap::new());
        }
        let (past, _receiver) = hub.listen(Some(Timestamp::UNIX_EPOCH));
        assert_eq!(past.len(), REMEMBERED);
        assert_eq!(past[0].actor, "10");
    }
}
