//! Commands run inside a running container; `run` makes their processes, `record` finds them
//! again when the agent comes back.

mod record;
mod run;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::container::launch_error;
use super::detach_keys::DetachKeys;
use super::{Engine, EngineError};
use crate::spec::{ContainerId, ContainerRef, ExecId};
use crate::store::Records;
use record::ExecRecord;
use run::executable;

/// How many finished ones of a container are remembered for inspect.
const N_FINISHED: usize = 64;

/// `POST /containers/{id}/exec`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the independent switches of Docker's API"
)]
pub struct ExecConfig {
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    pub tty: bool,
    pub cmd: Vec<String>,
    /// On top of the container's own.
    pub env: Vec<String>,
    /// Empty takes the container's.
    pub user: String,
    /// Empty takes the container's.
    pub working_dir: String,
    pub privileged: bool,
    pub detach_keys: Option<String>,
    /// Rows and columns.
    pub console_size: Option<(u16, u16)>,
}

/// `POST /exec/{id}/start`.
#[derive(Debug, Clone, Copy, Default)]
pub struct StartExec {
    pub detach: bool,
    /// Output in frames: what the caller says when it starts it counts, not what was said at
    /// creation.
    pub framed: bool,
    /// Rows and columns; overrides the one given at creation.
    pub console_size: Option<(u16, u16)>,
}

/// `GET /exec/{id}/json`.
#[derive(Debug, Clone)]
pub struct ExecView {
    pub id: ExecId,
    pub container: ContainerId,
    pub config: ExecConfig,
    pub running: bool,
    /// `None` until it ended.
    pub exit_code: Option<i32>,
    /// Zero until it was started.
    pub pid: i32,
    /// Nothing reads or writes its streams any more.
    pub streams_closed: bool,
}

/// Where an exec is in its life; it goes only downwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    Created,
    /// Its process is being made.
    Starting,
    Running {
        pid: i32,
    },
    Ended {
        pid: i32,
        code: i32,
    },
}

#[derive(Debug)]
struct Exec {
    id: ExecId,
    container: ContainerId,
    config: ExecConfig,
    stage: Mutex<Stage>,
    /// A terminal size that came before the process was up.
    early_size: Mutex<Option<(u16, u16)>>,
}

impl Exec {
    fn stage(&self) -> Stage {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_stage(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// The newest size that somebody asked for.
    fn early_size(&self) -> Option<(u16, u16)> {
        *self
            .early_size
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn set_early_size(&self, size: (u16, u16)) {
        *self
            .early_size
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(size);
    }

    /// True for the one caller that may start it.
    fn begin(&self) -> bool {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *stage == Stage::Created;
        if first {
            *stage = Stage::Starting;
        }
        first
    }
}

/// Every exec of the engine, and their records: an exec goes on with its container while the
/// agent is away.
#[derive(Debug)]
pub(crate) struct Execs {
    by_id: Mutex<BTreeMap<ExecId, Arc<Exec>>>,
    records: Records<ExecRecord>,
}

impl Execs {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ExecId, Arc<Exec>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn add(&self, exec: Exec) {
        let exec = Arc::new(exec);
        let forgotten = {
            let mut by_id = self.lock();
            let ended: Vec<ExecId> = by_id
                .values()
                .filter(|other| other.container == exec.container)
                .filter(|other| matches!(other.stage(), Stage::Ended { .. }))
                .map(|other| other.id.clone())
                .collect();
            let forgotten = if ended.len() >= N_FINISHED {
                ended
            } else {
                Vec::new()
            };
            by_id.retain(|id, _| !forgotten.contains(id));
            by_id.insert(exec.id.clone(), Arc::clone(&exec));
            forgotten
        };
        self.keep(&exec).await;
        for id in forgotten {
            self.forget(&id).await;
        }
    }

    fn find(&self, id: &str) -> Result<Arc<Exec>, EngineError> {
        let found = id
            .parse()
            .ok()
            .and_then(|id: ExecId| self.lock().get(&id).cloned());
        found.ok_or_else(|| EngineError::no_such_exec(id))
    }

    /// Those whose process lives.
    pub(crate) fn running_in(&self, container: &ContainerId) -> Vec<ExecId> {
        let live = |exec: &&Arc<Exec>| {
            exec.container == *container
                && matches!(exec.stage(), Stage::Starting | Stage::Running { .. })
        };
        self.lock()
            .values()
            .filter(live)
            .map(|exec| exec.id.clone())
            .collect()
    }

    /// Nothing of a container that has ended runs.
    pub(crate) fn container_ended(&self, container: &ContainerId) {
        for exec in self
            .lock()
            .values()
            .filter(|exec| exec.container == *container)
        {
            if let Stage::Running { pid } = exec.stage() {
                exec.set_stage(Stage::Ended { pid, code: 137 });
            }
        }
    }

    pub(crate) async fn container_removed(&self, container: &ContainerId) {
        let mut gone = Vec::new();
        self.lock().retain(|id, exec| {
            let stays = exec.container != *container;
            if !stays {
                gone.push(id.clone());
            }
            stays
        });
        for id in gone {
            self.forget(&id).await;
        }
    }
}

impl Engine {
    pub async fn create_exec(
        &self,
        container: &ContainerRef,
        config: ExecConfig,
    ) -> Result<ExecId, EngineError> {
        let container = self.find_container(container)?;
        if config.cmd.is_empty() {
            return Err(EngineError::InvalidParameter(
                "No exec command specified".to_owned(),
            ));
        }
        DetachKeys::parse(config.detach_keys.as_deref(), config.tty)?;
        executable(&container)?;
        let id = ExecId::random();
        let command = config.cmd.join(" ");
        let exec = Exec {
            id: id.clone(),
            container: container.id().clone(),
            config,
            stage: Mutex::new(Stage::Created),
            early_size: Mutex::new(None),
        };
        self.shared.execs.add(exec).await;
        self.exec_event(&container, "exec_create", &command, &id);
        Ok(id)
    }

    pub async fn resize_exec(&self, id: &str, rows: u16, columns: u16) -> Result<(), EngineError> {
        let exec = self.shared.execs.find(id)?;
        // Noted before the stage is looked at: whoever starts it looks for a size that came
        // meanwhile after it has set the stage, so that one of the two sees the other.
        exec.set_early_size((rows, columns));
        match exec.stage() {
            Stage::Created | Stage::Starting => Ok(()),
            Stage::Running { .. } => {
                let container = self.find_container(&ContainerRef::new(exec.container.as_str()))?;
                let shim = container.running_shim()?;
                shim.resize_exec(exec.id.as_str(), rows, columns)
                    .await
                    .map_err(launch_error)
            }
            Stage::Ended { .. } => Err(EngineError::Conflict(format!(
                "exec {} is not running",
                exec.id
            ))),
        }
    }

    /// What the shim says of one that runs as far as we know: its output may have ended a moment
    /// ago, and who read that wants to know how.
    async fn end_of_exec(&self, exec: &Exec) -> Option<i32> {
        let container = ContainerRef::new(exec.container.as_str());
        let shim = self.find_container(&container).ok()?.shim()?;
        shim.exec_state(exec.id.as_str()).await.ok()??.code
    }

    pub async fn inspect_exec(&self, id: &str) -> Result<ExecView, EngineError> {
        let exec = self.shared.execs.find(id)?;
        let (running, exit_code, pid) = match exec.stage() {
            Stage::Created => (false, None, 0),
            Stage::Starting => (true, None, 0),
            Stage::Running { pid } => match self.end_of_exec(&exec).await {
                Some(code) => (false, Some(code), pid),
                None => (true, None, pid),
            },
            Stage::Ended { pid, code } => (false, Some(code), pid),
        };
        Ok(ExecView {
            id: exec.id.clone(),
            container: exec.container.clone(),
            config: exec.config.clone(),
            running,
            exit_code,
            pid,
            streams_closed: exit_code.is_some(),
        })
    }
}
