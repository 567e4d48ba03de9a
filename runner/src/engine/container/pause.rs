//! The freezer.

use super::start::launch_error;
use crate::engine::{Engine, EngineError};
use crate::spec::{ContainerRef, ContainerState, StateEvent};

impl Engine {
    pub async fn pause_container(&self, container: &ContainerRef) -> Result<(), EngineError> {
        let container = self.find_container(container)?;
        let engine = self.clone();
        self.carry_out(async move {
            let mut verb = container.verb().await;
            let id = verb.id().clone();
            if matches!(verb.state(), ContainerState::Paused(_)) {
                return Err(EngineError::Conflict(format!(
                    "Container {id} is already paused"
                )));
            }
            let shim = verb.shim().ok_or_else(|| EngineError::not_running(&id))?;
            blocking(move || shim.cgroup().pause()).await?;
            verb.transition_regardless(StateEvent::Paused, |_| {}).await;
            engine.container_event(&verb, "pause", &[]);
            Ok(())
        })
        .await
    }

    pub async fn unpause_container(&self, container: &ContainerRef) -> Result<(), EngineError> {
        let container = self.find_container(container)?;
        let engine = self.clone();
        self.carry_out(async move {
            let mut verb = container.verb().await;
            let id = verb.id().clone();
            if !matches!(verb.state(), ContainerState::Paused(_)) {
                return Err(EngineError::Conflict(format!(
                    "Container {id} is not paused"
                )));
            }
            let shim = verb.shim().ok_or_else(|| EngineError::not_running(&id))?;
            blocking(move || shim.cgroup().resume()).await?;
            verb.transition_regardless(StateEvent::Resumed, |_| {})
                .await;
            engine.container_event(&verb, "unpause", &[]);
            Ok(())
        })
        .await
    }
}

/// The kernel takes a moment to freeze every process.
async fn blocking(
    work: impl FnOnce() -> Result<(), crate::launch::LaunchError> + Send + 'static,
) -> Result<(), EngineError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| EngineError::internal("asking the freezer", &error))?
        .map_err(launch_error)
}
