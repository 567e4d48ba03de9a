//! One container in memory: its record, its lock, and who waits for it.
//!
//! Changing the record takes the container's lock, which the type of [`Verb`] enforces; reading
//! it never waits for a verb that is under way. A change reaches the disk before it is seen.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedMutexGuard, oneshot, watch};

use super::health::HealthMonitor;
use super::record::Record;
use crate::engine::EngineError;
use crate::launch::{AttachStdio, AttachStream, Shim};
use crate::spec::{ContainerId, ContainerState, Exit, IllegalTransition, StateEvent};
use crate::store::Records;

/// What waiters look at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life {
    /// Init lives, or the restart policy is about to start it again.
    pub(crate) active: bool,
    /// How often it has ended since this agent knows it.
    pub(crate) n_exits: u64,
    pub(crate) last_exit: Option<Exit>,
    pub(crate) removed: bool,
}

/// A caller that attached before the container was started.
pub(crate) struct PendingAttach {
    pub(crate) stdio: AttachStdio,
    pub(crate) connected: oneshot::Sender<AttachStream>,
}

/// What exists only while init lives.
pub(crate) struct Live {
    pub(crate) shim: Shim,
    pub(crate) health: Option<HealthMonitor>,
}

/// A container.
pub(crate) struct Container {
    id: ContainerId,
    record: Mutex<Record>,
    records: Records<Record>,
    verb: Arc<tokio::sync::Mutex<()>>,
    life: watch::Sender<Life>,
    live: Mutex<Option<Live>>,
    pending_attaches: Mutex<Vec<PendingAttach>>,
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Container")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A poisoned lock only means that a reader panicked; every value behind these locks is
/// replaced whole, so it is sound.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Container {
    pub(crate) fn new(record: Record, records: Records<Record>) -> Arc<Self> {
        let life = Life {
            active: record.state.live().is_some(),
            last_exit: record.state.exit().cloned(),
            ..Life::default()
        };
        Arc::new(Self {
            id: record.id.clone(),
            record: Mutex::new(record),
            records,
            verb: Arc::default(),
            life: watch::Sender::new(life),
            live: Mutex::new(None),
            pending_attaches: Mutex::default(),
        })
    }

    pub(crate) fn id(&self) -> &ContainerId {
        &self.id
    }

    /// The record as it is now.
    pub(crate) fn record(&self) -> Record {
        held(&self.record).clone()
    }

    /// Looks at the record without copying it.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&Record) -> R) -> R {
        look(&held(&self.record))
    }

    pub(crate) fn state(&self) -> ContainerState {
        self.read(|record| record.state.clone())
    }

    /// Waits until no other verb is under way on this container.
    pub(crate) async fn verb(self: &Arc<Self>) -> Verb {
        let turn = Arc::clone(&self.verb).lock_owned().await;
        Verb {
            container: Arc::clone(self),
            _turn: turn,
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Life> {
        self.life.subscribe()
    }

    /// The shim, while init lives.
    pub(crate) fn shim(&self) -> Option<Shim> {
        held(&self.live).as_ref().map(|live| live.shim.clone())
    }

    /// The shim of a container that must be running and not paused.
    pub(crate) fn running_shim(&self) -> Result<Shim, EngineError> {
        if matches!(self.state(), ContainerState::Paused(_)) {
            return Err(EngineError::paused(&self.id));
        }
        self.shim()
            .ok_or_else(|| EngineError::not_running(&self.id))
    }

    pub(crate) fn with_health<R>(&self, look: impl FnOnce(&HealthMonitor) -> R) -> Option<R> {
        held(&self.live).as_ref()?.health.as_ref().map(look)
    }

    /// Leaves word that a caller wants to be connected as soon as there is a shim.
    pub(crate) fn add_pending_attach(&self, pending: PendingAttach) {
        let mut waiting = held(&self.pending_attaches);
        // Those whose callers have gone are of no use any more.
        waiting.retain(|other| !other.connected.is_closed());
        waiting.push(pending);
    }

    pub(crate) fn take_pending_attaches(&self) -> Vec<PendingAttach> {
        std::mem::take(&mut *held(&self.pending_attaches))
    }
}

/// The right to change a container, held by one verb at a time.
pub(crate) struct Verb {
    container: Arc<Container>,
    _turn: OwnedMutexGuard<()>,
}

impl fmt::Debug for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Verb").field(&self.container.id).finish()
    }
}

impl std::ops::Deref for Verb {
    type Target = Arc<Container>;

    fn deref(&self) -> &Arc<Container> {
        &self.container
    }
}

impl Verb {
    /// Changes the record, on disk first.
    pub(crate) async fn update(
        &mut self,
        change: impl FnOnce(&mut Record),
    ) -> Result<(), EngineError> {
        let mut record = self.container.record();
        change(&mut record);
        let id = self.container.id.as_str();
        self.container
            .records
            .put(id, &record)
            .await
            .map_err(|error| EngineError::internal("keeping the container's record", &error))?;
        *held(&self.container.record) = record;
        Ok(())
    }

    /// Takes the container to its next state, with further changes that belong to it. What the
    /// kernel did is true whether or not it could be written down, and the next start of the
    /// agent finds it out again.
    pub(crate) async fn transition_regardless(
        &mut self,
        event: StateEvent,
        change: impl FnOnce(&mut Record),
    ) {
        if let Some(next) = self.next_state(event) {
            self.update_regardless(|record| {
                record.state = next;
                change(record);
            })
            .await;
        }
    }

    fn next_state(&self, event: StateEvent) -> Option<ContainerState> {
        let next = self.container.state().after(event);
        next.inspect_err(|error| {
            tracing::error!(container.id = %self.container.id, %error, "impossible transition");
        })
        .ok()
    }

    /// Changes the record in memory alone, for what the next start of the agent finds out by
    /// itself; the next change takes it to disk.
    pub(crate) fn note(&mut self, change: impl FnOnce(&mut Record)) {
        change(&mut held(&self.container.record));
    }

    /// Like [`Self::transition_regardless`], as [`Self::note`] does it.
    pub(crate) fn note_transition(&mut self, event: StateEvent, change: impl FnOnce(&mut Record)) {
        if let Some(next) = self.next_state(event) {
            self.note(|record| {
                record.state = next;
                change(record);
            });
        }
    }

    /// Whether the state allows it.
    pub(crate) fn may(&self, event: StateEvent) -> Result<(), EngineError> {
        let next = self.container.state().after(event);
        next.map(drop).map_err(|error| illegal(&error))
    }

    /// Like [`Self::update`] where the disk may fail: what ends a container or gives its room back
    /// has to work on a full one.
    pub(crate) async fn update_regardless(&mut self, change: impl FnOnce(&mut Record)) {
        let mut record = self.container.record();
        change(&mut record);
        let id = self.container.id.as_str();
        if let Err(error) = self.container.records.put(id, &record).await {
            tracing::error!(
                container.id = %self.container.id,
                error = crate::engine::error::chain(&error),
                "the state could not be written down"
            );
        }
        *held(&self.container.record) = record;
    }

    /// Removes the record from disk; the last act of a removal.
    pub(crate) async fn forget(&mut self) -> Result<(), EngineError> {
        self.container
            .records
            .remove(self.container.id.as_str())
            .await
            .map_err(|error| EngineError::internal("removing the container's record", &error))
    }

    pub(crate) fn set_live(&mut self, live: Option<Live>) {
        *held(&self.container.live) = live;
    }

    /// Tells waiters.
    pub(crate) fn publish(&mut self, change: impl FnOnce(&mut Life)) {
        self.container.life.send_modify(change);
    }
}

fn illegal(error: &IllegalTransition) -> EngineError {
    EngineError::Conflict(error.to_string())
}
