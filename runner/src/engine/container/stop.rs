//! Ending a run: stop, kill, restart.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::cell::{Container, Life};
use super::request::StopOptions;
use super::start::launch_error;
use crate::engine::{Engine, EngineError};
use crate::launch::{LaunchError, Shim};
use crate::spec::signal::{self, SIGKILL, SIGTERM};
use crate::spec::{ContainerConfig, ContainerRef, ContainerState, StateEvent};

const DEFAULT_GRACE_S: i64 = 10;
/// How long a process may take to go after SIGKILL; longer means that the kernel holds it.
const KILL_PATIENCE: Duration = Duration::from_secs(30);

impl Engine {
    /// `NotModified` when it does not run.
    pub async fn stop_container(
        &self,
        container: &ContainerRef,
        options: StopOptions,
    ) -> Result<(), EngineError> {
        let container = self.find_container(container)?;
        let engine = self.clone();
        self.carry_out(async move { engine.stop(&container, options).await })
            .await
    }

    pub async fn restart_container(
        &self,
        container: &ContainerRef,
        options: StopOptions,
    ) -> Result<(), EngineError> {
        let container = self.find_container(container)?;
        let engine = self.clone();
        self.carry_out(async move {
            match engine.stop(&container, options).await {
                Ok(()) | Err(EngineError::NotModified) => {}
                Err(error) => return Err(error),
            }
            let mut verb = container.verb().await;
            match engine.start_by_hand(&mut verb).await {
                Ok(()) | Err(EngineError::NotModified) => {}
                Err(error) => return Err(error),
            }
            engine.container_event(&container, "restart", &[]);
            Ok(())
        })
        .await
    }

    /// Sends a signal, by name or number, to init; SIGKILL waits until it is gone.
    pub async fn kill_container(
        &self,
        container: &ContainerRef,
        signal: Option<&str>,
    ) -> Result<(), EngineError> {
        let container = self.find_container(container)?;
        let number = match signal.filter(|text| !text.is_empty()) {
            Some(text) => signal::parse(text)?,
            None => SIGKILL,
        };
        let engine = self.clone();
        self.carry_out(async move { engine.kill(&container, number).await })
            .await
    }

    pub(super) async fn kill(
        &self,
        container: &Arc<Container>,
        number: i32,
    ) -> Result<(), EngineError> {
        // A signal that asks to end means that the restart policy must not bring it back.
        let ends = number == SIGKILL || number == container.read(|r| stop_signal(&r.config));
        let mut verb = container.verb().await;
        match verb.state() {
            ContainerState::Running(_) | ContainerState::Paused(_) => {}
            ContainerState::Restarting(_) if ends => {
                verb.transition_regardless(StateEvent::Stopped, |r| {
                    r.restarts.stopped_by_hand = true;
                })
                .await;
                verb.publish(|life| life.active = false);
                return Ok(());
            }
            _ => return Err(not_running(container)),
        }
        let shim = verb.shim().ok_or_else(|| not_running(container))?;
        if ends {
            verb.update_regardless(|record| record.restarts.stopped_by_hand = true)
                .await;
        }
        let run = Run::of(container);
        drop(verb);
        let sent = self.send(container, &shim, number).await;
        let is_over = match &sent {
            Ok(()) => number == SIGKILL,
            // It ended by itself in this very moment, and is settled before that is told.
            Err(error) => matches!(error, EngineError::Conflict(_)),
        };
        if is_over {
            run.end(Some(KILL_PATIENCE)).await?;
        }
        sent
    }

    /// Signal, grace, SIGKILL. Returns when everything about the run is settled.
    pub(super) async fn stop(
        &self,
        container: &Arc<Container>,
        options: StopOptions,
    ) -> Result<(), EngineError> {
        let (default_signal, default_grace) = container.read(|record| {
            let grace = record.config.stop_timeout.unwrap_or(DEFAULT_GRACE_S);
            (stop_signal(&record.config), grace)
        });
        let number = match options.signal.filter(|text| !text.is_empty()) {
            Some(text) => signal::parse(&text)?,
            None => default_signal,
        };
        let mut verb = container.verb().await;
        match verb.state() {
            ContainerState::Running(_) | ContainerState::Paused(_) => {}
            ContainerState::Restarting(_) => {
                verb.transition_regardless(StateEvent::Stopped, |r| {
                    r.restarts.stopped_by_hand = true;
                })
                .await;
                verb.publish(|life| life.active = false);
                self.container_event(container, "stop", &[]);
                return Ok(());
            }
            ContainerState::Created
            | ContainerState::Exited(_)
            | ContainerState::Removing
            | ContainerState::Dead => return Err(EngineError::NotModified),
        }
        let shim = verb.shim().ok_or(EngineError::NotModified)?;
        verb.update_regardless(|record| record.restarts.stopped_by_hand = true)
            .await;
        let run = Run::of(container);
        drop(verb);

        // One that ended by itself in this very moment is stopped as well.
        drop(self.send(container, &shim, number).await);
        let grace = options.timeout_s.unwrap_or(default_grace);
        let grace = u64::try_from(grace).ok().map(Duration::from_secs);
        if run.end(grace).await.is_err() {
            drop(self.send(container, &shim, SIGKILL).await);
            run.end(Some(KILL_PATIENCE)).await?;
        }
        self.container_event(container, "stop", &[]);
        Ok(())
    }

    /// A frozen process takes no signal, so a paused container is thawed once it is on its way.
    async fn send(
        &self,
        container: &Container,
        shim: &Shim,
        number: i32,
    ) -> Result<(), EngineError> {
        shim.signal(number).await.map_err(|error| match error {
            LaunchError::ShimGone { .. } => not_running(container),
            other => launch_error(other),
        })?;
        if matches!(container.state(), ContainerState::Paused(_)) {
            shim.cgroup().resume().map_err(launch_error)?;
        }
        self.container_event(container, "kill", &[("signal", number.to_string())]);
        Ok(())
    }
}

fn not_running(container: &Container) -> EngineError {
    EngineError::Conflict(format!(
        "cannot kill container: {0}: Container {0} is not running",
        container.id()
    ))
}

/// What asks this container to end.
pub(super) fn stop_signal(config: &ContainerConfig) -> i32 {
    // It was checked when the container was created.
    signal::parse(&config.stop_signal).unwrap_or(SIGTERM)
}

/// The run that a container was in at one moment.
struct Run {
    container: Arc<Container>,
    life: watch::Receiver<Life>,
    n_exits_before: u64,
}

impl Run {
    fn of(container: &Arc<Container>) -> Self {
        let life = container.watch();
        let n_exits_before = life.borrow().n_exits;
        Self {
            container: Arc::clone(container),
            life,
            n_exits_before,
        }
    }

    /// Waits until the run is over and settled; `None` waits for ever.
    async fn end(&self, patience: Option<Duration>) -> Result<(), EngineError> {
        let mut life = self.life.clone();
        let over = |life: &Life| life.n_exits > self.n_exits_before || life.removed;
        let ended = life.wait_for(over);
        let outcome = match patience {
            None => Some(ended.await),
            Some(patience) => tokio::time::timeout(patience, ended).await.ok(),
        };
        if outcome.is_some() {
            return Ok(());
        }
        Err(EngineError::Internal(format!(
            "container {} PID {} is zombie and can not be killed",
            self.container.id(),
            self.container
                .read(|r| r.state.live().map_or(0, |running| running.pid))
        )))
    }
}
