//! What happens when a container's init has ended: the network is given back, the exit kept and
//! told, and the restart policy decides whether it goes on.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::backoff::{self, Ended};
use super::cell::{Container, Verb};
use super::endpoints::clear_endpoints;
use super::record::{Record, Restarts};
use crate::engine::{Engine, EngineError};
use crate::launch::{ExitStatus, Shim};
use crate::spec::{ContainerState, Exit, StateEvent};

impl Engine {
    /// Lives as long as init does.
    pub(super) async fn await_exit(self, container: Arc<Container>, shim: Shim) {
        let status = match shim.wait().await {
            Ok(status) => status,
            Err(error) => {
                tracing::warn!(
                    container.id = %container.id(),
                    error = crate::engine::error::chain(&error),
                    "the shim is gone"
                );
                self.status_without_shim(&container).await
            }
        };
        let mut verb = container.verb().await;
        self.ended(&mut verb, status).await;
    }

    /// The shim was killed: what it left on disk says how init ended.
    async fn status_without_shim(&self, container: &Container) -> ExitStatus {
        let bundle = self.shared.paths.bundle(container.id());
        match self.shared.launcher.reconnect(&bundle).await {
            Ok(crate::launch::Found::Exited(status)) => status,
            _ => ExitStatus {
                code: 137,
                oom_killed: false,
                finished_at: Timestamp::now(),
            },
        }
    }

    /// Settles everything about a run that is over.
    pub(in crate::engine) async fn ended(&self, verb: &mut Verb, status: ExitStatus) {
        verb.set_live(None);
        self.leave_networks(verb).await;
        self.shared.execs.container_ended(verb.id());
        let record = verb.record();
        self.unmount_volumes(&record).await;
        let exit = Exit {
            code: status.code,
            oom_killed: status.oom_killed,
            error: String::new(),
            started_at: record.started_at,
            finished_at: status.finished_at,
        };
        let ran_for = record.started_at.map_or(Duration::ZERO, |started_at| {
            let span = status.finished_at.duration_since(started_at);
            Duration::try_from(span).unwrap_or_default()
        });
        let wait = backoff::next_wait(
            record.host.restart_policy,
            Ended {
                exit_code: exit.code,
                ran_for,
                stopped_by_hand: record.restarts.stopped_by_hand,
                n_restarts: record.restarts.count,
                last_wait: record.restarts.last_wait(),
            },
        );
        let event = match wait {
            Some(_) => StateEvent::WillRestart(exit.clone()),
            None => StateEvent::Exited(exit.clone()),
        };
        let finished_at = exit.finished_at;
        let change = |record: &mut Record| {
            clear_endpoints(record);
            record.finished_at = Some(finished_at);
        };
        let removes_itself = wait.is_none() && record.host.auto_remove;
        if removes_itself {
            // Its record is about to go. Should that be cut off, the next start of the agent finds
            // the end behind the bundle and goes on from there.
            verb.note_transition(event, change);
        } else {
            verb.transition_regardless(event, change).await;
        }
        self.tell_exit(verb, exit, ran_for, wait.is_some());
        if let Some(wait) = wait {
            self.restart_later(verb, wait);
        } else if removes_itself {
            self.remove_after_exit(verb).await;
        }
    }

    fn tell_exit(&self, verb: &mut Verb, exit: Exit, ran_for: Duration, restarts: bool) {
        if exit.oom_killed {
            self.container_event(verb, "oom", &[]);
        }
        let particular = [
            ("exitCode", exit.code.to_string()),
            ("execDuration", ran_for.as_secs().to_string()),
        ];
        self.container_event(verb, "die", &particular);
        verb.publish(|life| {
            life.active = restarts;
            life.n_exits += 1;
            life.last_exit = Some(exit);
        });
    }

    pub(in crate::engine) async fn remove_after_exit(&self, verb: &mut Verb) {
        if let Err(error) = self.remove_ended(verb).await {
            tracing::error!(container.id = %verb.id(), %error, "automatic removal");
        }
    }

    /// Starts the container again after `wait`, unless something else happens to it before.
    pub(in crate::engine) fn restart_later(&self, verb: &Verb, wait: Duration) {
        let (engine, container) = (self.clone(), Arc::clone(verb));
        let life = container.watch();
        let n_exits = life.borrow().n_exits;
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let mut verb = container.verb().await;
            let still_due = matches!(verb.state(), ContainerState::Restarting(_))
                && life.borrow().n_exits == n_exits;
            if still_due {
                engine.restart_by_policy(&mut verb, wait).await;
            }
        });
    }

    async fn restart_by_policy(&self, verb: &mut Verb, wait: Duration) {
        let before = verb.read(|record| record.restarts);
        let restarts = Restarts {
            count: before.count + 1,
            last_wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            stopped_by_hand: false,
        };
        if let Err(error) = self.start(verb, restarts).await {
            tracing::warn!(container.id = %verb.id(), %error, "restart by policy");
            self.restart_failed(verb, restarts, &error).await;
        }
    }

    /// A restart that did not even start counts as a run that failed at once.
    async fn restart_failed(&self, verb: &mut Verb, restarts: Restarts, error: &EngineError) {
        let exit = Exit {
            code: match error {
                EngineError::NotExecutable { code, .. } => *code,
                _ => 128,
            },
            oom_killed: false,
            error: error.to_string(),
            started_at: None,
            finished_at: Timestamp::now(),
        };
        let policy = verb.read(|record| record.host.restart_policy);
        let next = backoff::next_wait(
            policy,
            Ended {
                exit_code: exit.code,
                ran_for: Duration::ZERO,
                stopped_by_hand: false,
                n_restarts: restarts.count,
                last_wait: restarts.last_wait(),
            },
        );
        let event = match next {
            Some(_) => StateEvent::WillRestart(exit.clone()),
            None => StateEvent::StartFailed(exit.clone()),
        };
        verb.transition_regardless(event, |record| record.restarts = restarts)
            .await;
        self.tell_exit(verb, exit, Duration::ZERO, next.is_some());
        if let Some(wait) = next {
            self.restart_later(verb, wait);
        }
    }
}
