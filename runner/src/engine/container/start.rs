//! Making a container run: bundle, process, network, program; taken back in reverse when a step
//! fails.

use std::time::Duration;

use jiff::Timestamp;

use super::cell::{Container, Live, Verb};
use super::endpoints::clear_endpoints;
use super::health::HealthMonitor;
use super::record::{Record, Restarts};
use crate::engine::{Engine, EngineError};
use crate::launch::{LaunchError, Shim};
use crate::spec::{ContainerRef, ContainerState, Exit, Running, StateEvent};

/// The exit code of a container whose program was never reached, for other reasons than the
/// program itself.
const NOT_STARTED: i32 = 128;

impl Engine {
    /// `NotModified` when it runs already.
    pub async fn start_container(&self, container: &ContainerRef) -> Result<(), EngineError> {
        let container = self.find_container(container)?;
        let engine = self.clone();
        self.carry_out(async move {
            let mut verb = container.verb().await;
            engine.start_by_hand(&mut verb).await
        })
        .await
    }

    /// A start that somebody asked for: the restart policy begins anew.
    pub(in crate::engine) async fn start_by_hand(
        &self,
        verb: &mut Verb,
    ) -> Result<(), EngineError> {
        match verb.state() {
            ContainerState::Created | ContainerState::Exited(_) => {}
            ContainerState::Running(_) | ContainerState::Restarting(_) => {
                return Err(EngineError::NotModified);
            }
            ContainerState::Paused(_) => {
                return Err(EngineError::Conflict(
                    "cannot start a paused container, try unpause instead".to_owned(),
                ));
            }
            ContainerState::Removing | ContainerState::Dead => {
                return Err(EngineError::Conflict(
                    "container is marked for removal and cannot be started".to_owned(),
                ));
            }
        }
        let started = self.start(verb, Restarts::default()).await;
        if let Err(error) = &started {
            self.note_failed_start(verb, error).await;
            if verb.read(|record| record.host.auto_remove) {
                self.remove_now(verb, true).await?;
            }
        }
        started
    }

    /// One start, by hand or by policy. On failure nothing of it is left but the error.
    pub(super) async fn start(
        &self,
        verb: &mut Verb,
        restarts: Restarts,
    ) -> Result<(), EngineError> {
        let record = verb.record();
        let around = self.surroundings(&record)?;
        self.write_etc_files(&record).await?;
        let bundle = self.write_bundle(&record, &around).await?;
        self.mount_volumes(&record).await?;
        let created = self.shared.launcher.create(bundle).await;
        let shim = match created.map_err(launch_error) {
            Ok(shim) => shim,
            Err(error) => {
                self.unmount_volumes(&record).await;
                return Err(error);
            }
        };
        if let Err(error) = self.bring_up(verb, &shim).await {
            self.take_down(verb, &shim).await;
            return Err(error);
        }
        let running = Running {
            pid: shim.init_pid(),
            started_at: Timestamp::now(),
        };
        verb.transition_regardless(StateEvent::Started(running.clone()), |record| {
            record.started_at = Some(running.started_at);
            record.restarts = restarts;
        })
        .await;
        self.watch_over(verb, shim);
        self.container_event(verb, "start", &[]);
        Ok(())
    }

    /// From a waiting init to a running program.
    async fn bring_up(&self, verb: &mut Verb, shim: &Shim) -> Result<(), EngineError> {
        self.join_networks(verb, shim.init_pid()).await?;
        if verb.read(Record::has_addresses) {
            // They are known only now.
            let record = verb.record();
            self.write_etc_files(&record).await?;
            self.tell_linked(&record).await;
        }
        for pending in verb.take_pending_attaches() {
            let stream = shim.attach(pending.stdio).await.map_err(launch_error)?;
            // A caller that has gone meanwhile is no matter.
            drop(pending.connected.send(stream));
        }
        shim.start().await.map_err(launch_error)
    }

    /// Undoes a start that did not come to its end.
    async fn take_down(&self, verb: &mut Verb, shim: &Shim) {
        // Whoever waits to be attached to this run waits in vain.
        drop(verb.take_pending_attaches());
        // Init may be gone already; waiting makes sure that the shim has cleaned up.
        drop(shim.kill_all().await);
        drop(tokio::time::timeout(Duration::from_secs(10), shim.wait()).await);
        self.leave_networks(verb).await;
        self.unmount_volumes(&verb.record()).await;
        if let Err(error) = verb.update(clear_endpoints).await {
            tracing::warn!(container.id = %verb.id(), %error, "endpoints of a failed start");
        }
    }

    /// Holds the container's shim from now on and sees to it that its end is noticed.
    pub(in crate::engine) fn watch_over(&self, verb: &mut Verb, shim: Shim) {
        let container: &std::sync::Arc<Container> = verb;
        let health = HealthMonitor::start(self, container, &shim);
        tokio::spawn(
            self.clone()
                .await_exit(std::sync::Arc::clone(container), shim.clone()),
        );
        verb.set_live(Some(Live { shim, health }));
        verb.publish(|life| life.active = true);
    }

    /// Keeps what went wrong for inspect, with docker's exit code.
    async fn note_failed_start(&self, verb: &mut Verb, error: &EngineError) {
        let code = match error {
            EngineError::NotExecutable { code, .. } => *code,
            _ => NOT_STARTED,
        };
        let exit = Exit {
            code,
            oom_killed: false,
            error: error.to_string(),
            started_at: None,
            finished_at: Timestamp::now(),
        };
        verb.transition_regardless(StateEvent::StartFailed(exit.clone()), |_| {})
            .await;
        verb.publish(|life| {
            life.active = false;
            life.n_exits += 1;
            life.last_exit = Some(exit);
        });
        self.container_event(verb, "die", &[("exitCode", code.to_string())]);
    }
}

/// A failure of launch in the engine's kinds and docker's words.
pub(crate) fn launch_error(error: LaunchError) -> EngineError {
    match error {
        // What was asked for is not there, which is no failure of the program: exit code 125.
        LaunchError::Start(failure) if failure.message.starts_with("unable to find ") => {
            EngineError::InvalidParameter(failure.message)
        }
        LaunchError::Start(failure) => {
            let mut message = format!(
                "failed to create task for container: failed to create shim task: OCI runtime \
                 create failed: unable to start container process: {}",
                failure.message
            );
            // Clients before 23.0 know by these words alone that their exit code is 126.
            if failure.exit_code == 126 && !message.contains("permission denied") {
                message.push_str(": permission denied");
            }
            if matches!(failure.exit_code, 126 | 127) {
                EngineError::NotExecutable {
                    code: failure.exit_code,
                    message,
                }
            } else {
                EngineError::Internal(message)
            }
        }
        LaunchError::InvalidBundle(text) => EngineError::InvalidParameter(text),
        LaunchError::NotRunning(text) => EngineError::Conflict(text),
        LaunchError::File { .. }
        | LaunchError::ShimGone { .. }
        | LaunchError::Protocol { .. }
        | LaunchError::Cgroup { .. }
        | LaunchError::Seccomp(_)
        | LaunchError::System { .. } => EngineError::internal("running the container", &error),
    }
}
