//! One container brought in line with what was found behind its bundle, and what belongs to no
//! container taken away.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Restored;
use crate::engine::container::{Verb, clear_endpoints};
use crate::engine::error::chain;
use crate::engine::{Engine, EngineError};
use crate::launch::{ExitStatus, Found, Shim};
use crate::spec::{ContainerId, ContainerRef, ContainerState, RestartPolicy, Running, StateEvent};
use crate::sys::tree;

/// Exit code of a container that was running when the machine went down, as docker has it.
const LOST: i32 = 255;

impl Engine {
    /// Brings one container in line with what was found.
    pub(super) async fn settle(&self, Restored { container, found }: Restored) {
        let mut verb = container.verb().await;
        match (verb.state(), found) {
            (ContainerState::Removing | ContainerState::Dead, found) => {
                self.settle_removal(&mut verb, found).await;
            }
            (ContainerState::Running(_) | ContainerState::Paused(_), Found::Running(shim)) => {
                self.go_on_using_volumes(&verb).await;
                look_at_freezer(&mut verb, &shim).await;
                self.watch_over(&mut verb, shim);
            }
            (ContainerState::Running(_) | ContainerState::Paused(_), found) => {
                let status = status_of(found).await;
                self.ended(&mut verb, status).await;
                self.start_after_reboot(&verb);
            }
            (_, Found::Running(shim)) => self.adopt(&mut verb, shim).await,
            (_, Found::Created(shim)) => {
                kill(&shim).await;
                self.forget_endpoints(&mut verb).await;
                self.go_on(&mut verb).await;
            }
            (_, Found::Exited(_) | Found::Gone) => {
                self.forget_endpoints(&mut verb).await;
                self.go_on(&mut verb).await;
            }
        }
    }

    async fn settle_removal(&self, verb: &mut Verb, found: Found) {
        if let Found::Running(shim) | Found::Created(shim) = &found {
            kill(shim).await;
        }
        // `Dead` goes through `Removing` like everything else.
        if verb.state() == ContainerState::Dead {
            verb.transition_regardless(StateEvent::RemoveBegun, |_| {})
                .await;
        }
        if let Err(error) = self.finish_removal(verb, true).await {
            tracing::warn!(container.id = %verb.id(), %error, "removal cannot be finished");
        }
    }

    /// Takes note that a container which ran on without the agent uses its volumes.
    async fn go_on_using_volumes(&self, verb: &Verb) {
        if let Err(error) = self.mount_volumes(&verb.record()).await {
            tracing::warn!(container.id = %verb.id(), %error, "volumes of a running container");
        }
    }

    /// A program that runs although no record says so: the agent died between starting it and
    /// writing that down.
    async fn adopt(&self, verb: &mut Verb, shim: Shim) {
        self.go_on_using_volumes(verb).await;
        let running = Running {
            pid: shim.init_pid(),
            started_at: Timestamp::now(),
        };
        verb.transition_regardless(StateEvent::Started(running.clone()), |record| {
            record.started_at = Some(running.started_at);
        })
        .await;
        self.watch_over(verb, shim);
    }

    async fn forget_endpoints(&self, verb: &mut Verb) {
        if verb.read(|record| record.endpoints().next().is_some()) {
            self.leave_networks(verb).await;
            if let Err(error) = verb.update(clear_endpoints).await {
                tracing::warn!(container.id = %verb.id(), %error, "endpoints of a dead container");
            }
        }
    }

    /// What the restart policy had begun, or the end of a container that removes itself.
    async fn go_on(&self, verb: &mut Verb) {
        match verb.state() {
            ContainerState::Restarting(_) => {
                verb.publish(|life| life.active = true);
                self.restart_later(verb, Duration::ZERO);
            }
            ContainerState::Exited(_) if verb.read(|record| record.host.auto_remove) => {
                self.remove_after_exit(verb).await;
            }
            _ => self.start_after_reboot(verb),
        }
    }

    /// `always` brings a container back with the agent, even one that was stopped by hand;
    /// `unless-stopped` one that was not.
    fn start_after_reboot(&self, verb: &Verb) {
        let (state, policy, restarts) =
            verb.read(|r| (r.state.clone(), r.host.restart_policy, r.restarts));
        let ContainerState::Exited(exit) = state else {
            return;
        };
        let never_ran = exit.started_at.is_none();
        let wanted = match policy {
            RestartPolicy::Always => true,
            RestartPolicy::UnlessStopped => !restarts.stopped_by_hand,
            RestartPolicy::No | RestartPolicy::OnFailure { .. } => false,
        };
        if !wanted || never_ran {
            return;
        }
        let engine = self.clone();
        let container = Arc::clone(verb);
        tokio::spawn(async move {
            let mut verb = container.verb().await;
            match engine.start_by_hand(&mut verb).await {
                Ok(()) | Err(EngineError::NotModified) => {}
                Err(error) => {
                    tracing::warn!(container.id = %verb.id(), %error, "start with the agent");
                }
            }
        });
    }

    /// Takes away what belongs to no container: a creation or removal that was interrupted.
    pub(super) async fn sweep(&self) {
        let known = |id: &ContainerId| {
            let wanted = ContainerRef::new(id.as_str());
            self.shared.containers.find(&wanted).is_ok()
        };
        self.shared.execs.forget_strays(known).await;
        for id in self.shared.images.snapshots() {
            if !known(&id)
                && let Err(error) = self.shared.images.remove_snapshot(&id).await
            {
                tracing::warn!(container.id = %id, error = chain(&error), "stale snapshot");
            }
        }
        for root in [self.shared.paths.containers(), self.shared.paths.shims()] {
            for id in directory_ids(&root) {
                if !known(&id) {
                    self.sweep_directory(&root, &id).await;
                }
            }
        }
    }

    async fn sweep_directory(&self, root: &Path, id: &ContainerId) {
        let path = root.join(id.as_str());
        if root == self.shared.paths.shims() {
            // Whatever still lives there must end before its files go.
            match self.shared.launcher.reconnect(&path).await {
                Ok(Found::Running(shim) | Found::Created(shim)) => kill(&shim).await,
                Ok(Found::Exited(_) | Found::Gone) => {}
                Err(error) => {
                    tracing::warn!(container.id = %id, error = chain(&error), "stale bundle");
                }
            }
        }
        if let Err(error) = tree::remove(&path).await {
            tracing::warn!(path = %path.display(), %error, "stale directory");
        }
    }
}

/// How something ended that ran when the agent last looked.
async fn status_of(found: Found) -> ExitStatus {
    match found {
        Found::Exited(status) => status,
        Found::Created(shim) => {
            kill(&shim).await;
            lost()
        }
        Found::Running(_) | Found::Gone => lost(),
    }
}

fn lost() -> ExitStatus {
    ExitStatus {
        code: LOST,
        oom_killed: false,
        finished_at: Timestamp::now(),
    }
}

/// The agent may have died between the freezer and the record, or in the middle of freezing:
/// the freezer is right.
async fn look_at_freezer(verb: &mut Verb, shim: &Shim) {
    let event = match (verb.state(), shim.cgroup().is_frozen()) {
        (ContainerState::Running(_), true) => StateEvent::Paused,
        (ContainerState::Paused(_), false) => StateEvent::Resumed,
        _ => return,
    };
    verb.transition_regardless(event, |_| {}).await;
}

/// Ends a process that nobody is to see again.
async fn kill(shim: &Shim) {
    // It may have ended in this moment.
    drop(shim.kill_all().await);
    drop(tokio::time::timeout(Duration::from_secs(10), shim.wait()).await);
}

fn directory_ids(root: &Path) -> Vec<ContainerId> {
    let Ok(entries) = std::fs::read_dir(root) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}
