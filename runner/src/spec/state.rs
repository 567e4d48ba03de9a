//! The life of a container, as one enum with one transition function.
//!
//! ```text
//!                 Started              Paused
//!   ┌─────────┐ ───────────► ┌─────────┐ ─────► ┌────────┐
//!   │ Created │              │ Running │        │ Paused │
//!   └─────────┘   ┌────────► └─────────┘ ◄───── └────────┘
//!        │        │ Started    │  │  │  Resumed    │
//!        │  ┌────────────┐     │  │  │             │
//!        │  │ Restarting │ ◄───┘  │  └──┐          │ Exited
//!        │  └────────────┘ WillRestart  │ Exited   │
//!        │        │ Stopped    Started  ▼          ▼
//!        │        └────────────────► ┌────────────────┐
//!        │  StartFailed              │     Exited     │ ──► Running (Started)
//!        ├─────────────────────────► └────────────────┘
//!        │ RemoveBegun                      │ RemoveBegun
//!        ▼                                  ▼
//!   ┌──────────┐  RemoveFailed  ┌──────┐
//!   │ Removing │ ─────────────► │ Dead │ ──► Removing (RemoveBegun)
//!   └──────────┘                └──────┘
//! ```

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is known while the init process lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Process id of init, as this host counts.
    pub pid: i32,
    pub started_at: Timestamp,
}

/// How the last run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit status, or 128 + signal; 126, 127 or 128 when init never ran.
    pub code: i32,
    pub oom_killed: bool,
    /// Why init never ran; empty otherwise.
    pub error: String,
    /// `None` when init never ran.
    pub started_at: Option<Timestamp>,
    pub finished_at: Timestamp,
}

/// Where a container is in its life. What is known only in one state lives in its variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", content = "detail", rename_all = "lowercase")]
pub enum ContainerState {
    Created,
    Running(Running),
    Paused(Running),
    /// Waiting for the restart policy's next attempt.
    Restarting(Exit),
    Exited(Exit),
    Removing,
    /// A removal failed half-way; only another removal can follow.
    Dead,
}

/// What happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateEvent {
    Started(Running),
    StartFailed(Exit),
    Paused,
    Resumed,
    Exited(Exit),
    /// Init ended and the restart policy wants it back.
    WillRestart(Exit),
    /// A stop came while the policy was waiting.
    Stopped,
    RemoveBegun,
    RemoveFailed,
}

/// The event cannot happen in that state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a container that is {from} cannot take {event}")]
pub struct IllegalTransition {
    pub from: &'static str,
    pub event: String,
}

impl ContainerState {
    /// The state after `event`, or why there is none.
    pub fn after(&self, event: StateEvent) -> Result<Self, IllegalTransition> {
        use ContainerState as S;
        use StateEvent as E;

        let next = match (self, event) {
            (S::Created | S::Exited(_) | S::Restarting(_), E::Started(running)) => {
                S::Running(running)
            }
            (S::Created | S::Exited(_) | S::Restarting(_), E::StartFailed(exit))
            | (S::Running(_) | S::Paused(_), E::Exited(exit)) => S::Exited(exit),
            (S::Running(running), E::Paused) => S::Paused(running.clone()),
            (S::Paused(running), E::Resumed) => S::Running(running.clone()),
            // A restart that failed to start waits for the next attempt as well.
            (S::Running(_) | S::Paused(_) | S::Restarting(_), E::WillRestart(exit)) => {
                S::Restarting(exit)
            }
            (S::Restarting(exit), E::Stopped) => S::Exited(exit.clone()),
            (S::Created | S::Exited(_) | S::Restarting(_) | S::Dead, E::RemoveBegun) => S::Removing,
            (S::Removing, E::RemoveFailed) => S::Dead,
            (state, event) => {
                return Err(IllegalTransition {
                    from: state.name(),
                    event: format!("{event:?}"),
                });
            }
        };
        Ok(next)
    }

    /// Docker's word for the state, as `State.Status` and the `status` filter use it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running(_) => "running",
            Self::Paused(_) => "paused",
            Self::Restarting(_) => "restarting",
            Self::Exited(_) => "exited",
            Self::Removing => "removing",
            Self::Dead => "dead",
        }
    }

    /// The live init process, if there is one.
    pub fn live(&self) -> Option<&Running> {
        match self {
            Self::Running(running) | Self::Paused(running) => Some(running),
            Self::Created | Self::Restarting(_) | Self::Exited(_) | Self::Removing | Self::Dead => {
                None
            }
        }
    }

    /// How the last run ended, if one has.
    pub fn exit(&self) -> Option<&Exit> {
        match self {
            Self::Exited(exit) | Self::Restarting(exit) => Some(exit),
            Self::Created | Self::Running(_) | Self::Paused(_) | Self::Removing | Self::Dead => {
                None
            }
        }
    }
}
