//! What happened, told to whoever listens.

use std::collections::BTreeMap;

use futures_util::stream::BoxStream;
use jiff::Timestamp;

use super::{Engine, EngineError, Filters};

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

impl Engine {
    /// Listening has begun when this returns.
    pub async fn events(
        &self,
        query: EventQuery,
    ) -> Result<BoxStream<'static, Event>, EngineError> {
        let _ = (self, query);
        todo!()
    }
}
