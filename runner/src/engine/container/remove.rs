//! Removing a container and everything that is only its own.

use std::sync::Arc;

use super::cell::{Container, Verb};
use super::record::Record;
use super::request::RemoveOptions;
use super::view::Pruned;
use crate::engine::{Engine, EngineError, EventKind, Filters};
use crate::spec::signal::SIGKILL;
use crate::spec::{ContainerId, ContainerRef, ContainerState, StateEvent};
use crate::sys::tree;

impl Engine {
    pub async fn remove_container(
        &self,
        container: &ContainerRef,
        options: RemoveOptions,
    ) -> Result<(), EngineError> {
        if options.link {
            return Err(EngineError::NotImplemented(
                "removing a link alone is not supported: it goes with its container".to_owned(),
            ));
        }
        let container = self.find_container(container)?;
        let engine = self.clone();
        self.carry_out(async move { engine.remove(&container, options).await })
            .await
    }

    async fn remove(
        &self,
        container: &Arc<Container>,
        options: RemoveOptions,
    ) -> Result<(), EngineError> {
        if options.force {
            match self.kill(container, SIGKILL).await {
                Ok(()) | Err(EngineError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let mut verb = container.verb().await;
        if verb.watch().borrow().removed {
            // It removed itself while we waited for our turn.
            return if options.force {
                Ok(())
            } else {
                Err(EngineError::no_such_container(container.id()))
            };
        }
        if let Some(refusal) = refusal(container) {
            return Err(refusal);
        }
        self.remove_now(&mut verb, options.volumes).await?;
        // Whoever removes a container by hand may look whether anything of it is left.
        self.shared.networks.settle().await;
        Ok(())
    }

    /// Removes a container that does not run. What fails leaves it dead: it can be tried again.
    pub(super) async fn remove_now(
        &self,
        verb: &mut Verb,
        volumes: bool,
    ) -> Result<(), EngineError> {
        // A full disk must not keep what fills it. A removal that could not be written down and is
        // cut off leaves a container that can be removed again.
        verb.may(StateEvent::RemoveBegun)?;
        verb.transition_regardless(StateEvent::RemoveBegun, |_| {})
            .await;
        self.finish_removal(verb, volumes).await
    }

    /// The part that a restart of the agent repeats for a removal that was interrupted.
    pub(in crate::engine) async fn finish_removal(
        &self,
        verb: &mut Verb,
        volumes: bool,
    ) -> Result<(), EngineError> {
        let record = verb.record();
        let removed = match self.remove_parts(verb, &record).await {
            // The record goes last: as long as it is there, a restart knows what to finish.
            Ok(()) => verb.forget().await,
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            verb.transition_regardless(StateEvent::RemoveFailed, |_| {})
                .await;
            return Err(error);
        }
        self.release_volumes(&record, volumes).await;
        self.strike_off(verb, &record).await;
        Ok(())
    }

    /// Removes a container that was to go with its end. Whoever waits for that hears of it as soon
    /// as nobody can find the container any more; its files go a moment later. What fails lists it
    /// again, dead.
    pub(super) async fn remove_ended(&self, verb: &mut Verb) -> Result<(), EngineError> {
        verb.may(StateEvent::RemoveBegun)?;
        verb.note_transition(StateEvent::RemoveBegun, |_| {});
        let record = verb.record();
        self.release_volumes(&record, true).await;
        let removed = match verb.forget().await {
            Ok(()) => {
                // A restart of the agent knows no such container now, and takes away what is left.
                self.strike_off(verb, &record).await;
                self.remove_parts(verb, &record).await
            }
            Err(error) => Err(error),
        };
        if removed.is_err() {
            verb.transition_regardless(StateEvent::RemoveFailed, |_| {})
                .await;
            let containers = &self.shared.containers;
            containers.insert(Arc::clone(verb));
            // Another container may have the name by now: then this one has its id alone.
            drop(containers.reserve_name(&record.name, &record.id));
            verb.publish(|life| life.removed = false);
        }
        removed
    }

    /// Makes a container unknown, and tells.
    async fn strike_off(&self, verb: &mut Verb, record: &Record) {
        let shared = &self.shared;
        shared.execs.container_removed(&record.id).await;
        shared.containers.remove(&record.id);
        shared.containers.free_name(&record.name, &record.id);
        verb.publish(|life| {
            life.active = false;
            life.removed = true;
        });
        self.container_event(verb, "destroy", &[]);
    }

    async fn remove_parts(&self, verb: &mut Verb, record: &Record) -> Result<(), EngineError> {
        let shared = &self.shared;
        self.leave_networks(verb).await;
        let id = &record.id;
        let directory = |error| EngineError::internal("removing the container's directory", &error);
        tree::remove(&shared.paths.bundle(id))
            .await
            .map_err(directory)?;
        shared
            .images
            .remove_snapshot(id)
            .await
            .map_err(|error| EngineError::internal("removing the container's layer", &error))?;
        tree::remove(&shared.paths.container(id))
            .await
            .map_err(directory)
    }

    async fn release_volumes(&self, record: &Record, remove_anonymous: bool) {
        for mount in record
            .mounts
            .iter()
            .filter(|mount| !mount.view.name.is_empty())
        {
            self.shared.volumes.release(&mount.view.name, &record.id);
        }
        if remove_anonymous {
            for name in record.anonymous_volumes() {
                // Another container may have taken it over.
                match self.remove_volume(name, true).await {
                    Ok(()) | Err(EngineError::Conflict(_)) => {}
                    Err(error) => tracing::warn!(volume = name, %error, "anonymous volume"),
                }
            }
        }
    }

    /// Removes every stopped container that the filters (`until`, `label`) match.
    pub async fn prune_containers(&self, filters: Filters) -> Result<Pruned, EngineError> {
        filters.check_keys(&["label", "label!", "until"])?;
        let until = filters.until()?;
        let engine = self.clone();
        self.carry_out(async move {
            let mut pruned = Pruned::default();
            for container in engine.shared.containers.all() {
                let record = container.record();
                let stopped = matches!(
                    record.state,
                    ContainerState::Created | ContainerState::Exited(_) | ContainerState::Dead
                );
                let old = until.is_none_or(|until| record.created_at < until);
                if !stopped || !old || !filters.labels_match(&record.config.labels) {
                    continue;
                }
                let size = engine.writable_size(&record.id).await;
                let mut verb = container.verb().await;
                // One that was started or removed in the meantime stays, or is gone.
                if refusal(&container).is_none()
                    && engine.remove_now(&mut verb, false).await.is_ok()
                {
                    pruned.removed.push(record.id.to_string());
                    pruned.reclaimed_bytes += size;
                }
            }
            let reclaimed = pruned.reclaimed_bytes.to_string();
            let attributes = [("reclaimed".to_owned(), reclaimed)].into();
            engine
                .shared
                .events
                .report(EventKind::Container, "prune", "", attributes);
            Ok(pruned)
        })
        .await
    }

    /// Bytes of what the container wrote; zero when that cannot be told.
    pub(in crate::engine) async fn writable_size(&self, id: &ContainerId) -> u64 {
        match self.shared.images.snapshot(id) {
            Ok(snapshot) => tree::size(&snapshot.upper).await.unwrap_or(0),
            Err(_) => 0,
        }
    }

    /// Lets go of all volumes that a failed creation held, and removes those made for it.
    pub(super) async fn release_unused_volumes(&self, id: &ContainerId) {
        for name in self.shared.volumes.held_by(id) {
            self.shared.volumes.release(&name, id);
            if self.shared.volumes.is_anonymous(&name) {
                // In use by another one by now, or already gone: both are fine.
                drop(self.remove_volume(&name, true).await);
            }
        }
    }
}

/// Why the container cannot be removed as it is.
fn refusal(container: &Container) -> Option<EngineError> {
    let name = container.read(|record| record.name.clone());
    let hint = match container.state() {
        ContainerState::Created | ContainerState::Exited(_) | ContainerState::Dead => return None,
        // Its process is not there, but it is about to be.
        ContainerState::Restarting(_) => {
            "container is restarting: stop the container before removing or force remove"
        }
        ContainerState::Running(_) => {
            "container is running: stop the container before removing or force remove"
        }
        ContainerState::Paused(_) => "container is paused and must be unpaused first",
        ContainerState::Removing => {
            return Some(EngineError::Conflict(format!(
                "removal of container {} is already in progress",
                container.id()
            )));
        }
    };
    Some(EngineError::Conflict(format!(
        "cannot remove container \"/{name}\": {hint}"
    )))
}
