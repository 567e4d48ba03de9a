//! What is kept of an exec, so that an agent which comes back finds it: its process went on with
//! the container, and the shim has its exit code.
//!
//! | the record says | the shim says | what it is then |
//! | --- | --- | --- |
//! | created | nothing | created: it can still be started |
//! | created, running | it runs | running, and seen through again |
//! | created, running | its exit code | ended with it |
//! | running | nothing, or is gone | ended with the code that the shim left, or 137 |

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use super::run::Run;
use super::{Exec, ExecConfig, Execs, Stage};
use crate::engine::Engine;
use crate::engine::container::Container;
use crate::engine::error::chain;
use crate::launch::{ExecState, Found, Shim};
use crate::spec::{ContainerId, ExecId};
use crate::store::{Records, StoreError, Survives};

/// What an exec is said to have ended with whose end nobody saw: it was killed.
pub(super) const LOST_CODE: i32 = 137;

/// An exec on disk.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ExecRecord {
    id: ExecId,
    container: ContainerId,
    config: ExecConfig,
    stage: Stage,
}

impl Execs {
    /// Reads what an earlier agent kept; where each is now, [`Engine::restore_execs`] finds out.
    pub(crate) fn open(directory: &Path) -> Result<Self, StoreError> {
        // They end with the machine: what is kept of another boot is thrown away.
        let (records, found) = Records::open(directory, Survives::Restart)?;
        let restored = |record: ExecRecord| {
            let exec = Exec {
                id: record.id.clone(),
                container: record.container,
                config: record.config,
                stage: Mutex::new(record.stage),
                early_size: Mutex::new(None),
            };
            (record.id, Arc::new(exec))
        };
        let by_id: BTreeMap<_, _> = found
            .into_iter()
            .map(|(_, record)| restored(record))
            .collect();
        Ok(Self {
            by_id: Mutex::new(by_id),
            records,
        })
    }

    /// Writes down where an exec is. A full disk must not keep anybody from running a command,
    /// perhaps one that makes room: then the exec is lost with this agent, and no more.
    pub(super) async fn keep(&self, exec: &Exec) {
        let record = ExecRecord {
            id: exec.id.clone(),
            container: exec.container.clone(),
            config: exec.config.clone(),
            stage: exec.stage(),
        };
        if let Err(error) = self.records.put(exec.id.as_str(), &record).await {
            tracing::warn!(exec = %exec.id, error = chain(&error), "the exec is not written down");
        }
        // Its container was removed meanwhile.
        if !self.lock().contains_key(&exec.id) {
            self.forget(&exec.id).await;
        }
    }

    pub(super) async fn forget(&self, id: &ExecId) {
        if let Err(error) = self.records.remove(id.as_str()).await {
            tracing::warn!(exec = %id, error = chain(&error), "the record of an exec stays");
        }
    }

    /// Those of a container that may not have ended.
    fn unfinished_in(&self, container: &ContainerId) -> Vec<Arc<Exec>> {
        self.lock()
            .values()
            .filter(|exec| exec.container == *container)
            .filter(|exec| !matches!(exec.stage(), Stage::Ended { .. }))
            .map(Arc::clone)
            .collect()
    }

    /// Forgets the execs of containers that were removed without them.
    pub(in crate::engine) async fn forget_strays(&self, known: impl Fn(&ContainerId) -> bool) {
        let strays: BTreeSet<ContainerId> = self
            .lock()
            .values()
            .map(|exec| exec.container.clone())
            .filter(|container| !known(container))
            .collect();
        for container in strays {
            self.container_removed(&container).await;
        }
    }
}

impl Engine {
    /// Finds out what has become of the execs of a container; before its exit is settled.
    pub(in crate::engine) async fn restore_execs(&self, container: &Arc<Container>, found: &Found) {
        let execs = self.shared.execs.unfinished_in(container.id());
        if execs.is_empty() {
            return;
        }
        if let Found::Running(shim) = found {
            for exec in execs {
                self.restore_exec(exec, container, shim).await;
            }
            return;
        }
        let bundle = self.shared.paths.bundle(container.id());
        let codes = match self.shared.launcher.exec_codes(&bundle).await {
            Ok(codes) => codes,
            Err(error) => {
                let id = container.id();
                tracing::warn!(container.id = %id, error = chain(&error), "the ends of its execs");
                BTreeMap::new()
            }
        };
        for exec in execs {
            self.settle_exec(&exec, codes.get(exec.id.as_str()).copied())
                .await;
        }
    }

    async fn restore_exec(&self, exec: Arc<Exec>, container: &Arc<Container>, shim: &Shim) {
        match shim.exec_state(exec.id.as_str()).await {
            Ok(Some(ExecState { pid, code })) => {
                exec.set_stage(Stage::Running { pid });
                let run = Run::restored(self, exec, container, shim);
                // One that has ended is settled before anybody asks for it.
                if code.is_some() {
                    run.see_through().await;
                } else {
                    tokio::spawn(run.see_through());
                }
            }
            Ok(None) => self.settle_exec(&exec, None).await,
            Err(error) => {
                tracing::warn!(exec = %exec.id, error = chain(&error), "the shim does not tell");
                self.settle_exec(&exec, None).await;
            }
        }
    }

    /// Of an exec that has no process any more.
    async fn settle_exec(&self, exec: &Exec, code: Option<i32>) {
        let pid = match (exec.stage(), code) {
            (Stage::Running { pid }, _) => pid,
            (Stage::Created | Stage::Starting, Some(_)) => 0,
            (Stage::Created | Stage::Starting | Stage::Ended { .. }, _) => return,
        };
        let code = code.unwrap_or(LOST_CODE);
        exec.set_stage(Stage::Ended { pid, code });
        self.shared.execs.keep(exec).await;
    }
}
