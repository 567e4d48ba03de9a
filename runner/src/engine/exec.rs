//! Commands run inside a running container.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::oneshot;

use super::container::{Container, Record, connect, launch_error};
use super::detach_keys::DetachKeys;
use super::runtime_spec::{self, Privileges};
use super::stream::{Attached, OutputStream};
use super::{Engine, EngineError};
use crate::launch::{AttachStdio, AttachStream, ExecProcess, ExecSpec, Shim, UserSpec};
use crate::spec::{ContainerId, ContainerRef, ContainerState, ExecId, HostConfig, StdStream};

/// How many finished ones of a container are remembered for inspect.
const N_FINISHED: usize = 64;

/// `POST /containers/{id}/exec`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// Every exec of the engine. They live in memory only: their processes are their container's,
/// and whoever waited for them is gone when the agent is.
#[derive(Debug, Default)]
pub(crate) struct Execs {
    by_id: Mutex<BTreeMap<ExecId, Arc<Exec>>>,
}

impl Execs {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ExecId, Arc<Exec>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, exec: Exec) {
        let mut by_id = self.lock();
        let ended = |other: &&Arc<Exec>| {
            other.container == exec.container && matches!(other.stage(), Stage::Ended { .. })
        };
        if by_id.values().filter(ended).count() >= N_FINISHED {
            by_id.retain(|_, other| !ended(&&*other));
        }
        by_id.insert(exec.id.clone(), Arc::new(exec));
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

    pub(crate) fn container_removed(&self, container: &ContainerId) {
        self.lock().retain(|_, exec| exec.container != *container);
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
        self.shared.execs.add(Exec {
            id: id.clone(),
            container: container.id().clone(),
            config,
            stage: Mutex::new(Stage::Created),
            early_size: Mutex::new(None),
        });
        self.exec_event(&container, "exec_create", &command, &id);
        Ok(id)
    }

    /// `None` when it was asked to run detached. When attached, a program that cannot be
    /// executed is told in the output, as the answer is on its way by then.
    pub async fn start_exec(
        &self,
        id: &str,
        request: StartExec,
    ) -> Result<Option<Attached>, EngineError> {
        let exec = self.shared.execs.find(id)?;
        let container = self.find_container(&ContainerRef::new(exec.container.as_str()))?;
        let shim = executable(&container)?;
        let keys = DetachKeys::parse(exec.config.detach_keys.as_deref(), exec.config.tty)?;
        if !exec.begin() {
            return Err(EngineError::Conflict(format!(
                "exec session {} has already run",
                exec.id
            )));
        }
        let config = &exec.config;
        let stdio = AttachStdio {
            stdin: config.attach_stdin && !request.detach,
            stdout: config.attach_stdout,
            stderr: config.attach_stderr && !config.tty,
        };
        let mut run = Run {
            engine: self.clone(),
            exec: Arc::clone(&exec),
            container,
            shim,
            console_size: request.console_size.or(config.console_size),
        };
        if request.detach {
            let started = async move { Ok((run.start(stdio).await?, run)) };
            let (ExecProcess { stream, .. }, run) = self.carry_out(started).await?;
            let AttachStream { mut output, input } = stream;
            drop(input);
            // Nobody reads it, but it must not hold the program up.
            tokio::spawn(async move { while output.next().await.is_some() {} });
            tokio::spawn(run.see_through());
            return Ok(None);
        }
        let (connected, source) = oneshot::channel();
        let (failed, failure) = oneshot::channel();
        let (engine, of) = (self.clone(), Arc::clone(&run.container));
        tokio::spawn(async move {
            match run.start(stdio).await {
                Ok(ExecProcess { stream, .. }) => {
                    drop(connected.send(stream));
                    run.see_through().await;
                }
                Err(error) => drop(failed.send(error.to_string())),
            }
        });
        let detached = move || engine.container_event(&of, "exec_detach", &[]);
        let (output, input) = connect(source, stdio, config.tty.then_some(keys), detached);
        Ok(Some(Attached {
            tty: config.tty,
            output: output.chain(failure_text(failure)).boxed(),
            input,
        }))
    }

    pub async fn resize_exec(&self, id: &str, rows: u16, columns: u16) -> Result<(), EngineError> {
        let exec = self.shared.execs.find(id)?;
        match exec.stage() {
            Stage::Created | Stage::Starting => {
                let mut early = exec
                    .early_size
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *early = Some((rows, columns));
                Ok(())
            }
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

    pub async fn inspect_exec(&self, id: &str) -> Result<ExecView, EngineError> {
        let exec = self.shared.execs.find(id)?;
        let (running, exit_code, pid) = match exec.stage() {
            Stage::Created => (false, None, 0),
            Stage::Starting => (true, None, 0),
            Stage::Running { pid } => (true, None, pid),
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

    /// What launch needs to run a command in the container of `record`.
    pub(super) fn exec_spec(
        record: &Record,
        id: &ExecId,
        config: &ExecConfig,
        stdio: AttachStdio,
    ) -> Result<ExecSpec, EngineError> {
        let privileges = if config.privileged {
            Privileges::of(&HostConfig {
                privileged: true,
                ..HostConfig::default()
            })
        } else {
            Privileges::of(&record.host)
        }?;
        let own_env: Vec<String> = record
            .config
            .env
            .iter()
            .chain(&config.env)
            .cloned()
            .collect();
        let hostname = super::container::hostname(&record.id, &record.config);
        let env = runtime_spec::environment(&own_env, &hostname, config.tty);
        let or =
            |own: &str, containers: &str| if own.is_empty() { containers } else { own }.to_owned();
        let working_dir = or(&config.working_dir, &record.config.working_dir);
        let mut process = runtime_spec::process(config.cmd.clone(), env, &working_dir, &privileges);
        process.set_terminal(Some(config.tty));
        Ok(ExecSpec {
            id: id.to_string(),
            process,
            user: Some(UserSpec {
                user: or(&config.user, &record.config.user),
                additional_groups: record.host.group_add.clone(),
            }),
            stdio,
            console_size: config.console_size,
        })
    }

    fn exec_event(&self, container: &Container, action: &str, command: &str, id: &ExecId) {
        let particular = [("execID", id.to_string())];
        self.container_event(container, format!("{action}: {command}"), &particular);
    }
}

/// The shim of a container in which something can be run.
fn executable(container: &Container) -> Result<Shim, EngineError> {
    match container.state() {
        ContainerState::Running(_) | ContainerState::Paused(_) => container.running_shim(),
        ContainerState::Restarting(_) => Err(EngineError::Conflict(format!(
            "Container {} is restarting, wait until the container is running",
            container.id()
        ))),
        ContainerState::Created
        | ContainerState::Exited(_)
        | ContainerState::Removing
        | ContainerState::Dead => Err(EngineError::Conflict(format!(
            "container {} is not running",
            container.id()
        ))),
    }
}

/// What a caller reads instead of output when the program could not be executed.
fn failure_text(failure: oneshot::Receiver<String>) -> OutputStream {
    stream::once(failure)
        .filter_map(|text| {
            let line = text
                .ok()
                .map(|text| Ok((StdStream::Stdout, Bytes::from(format!("{text}\r\n")))));
            std::future::ready(line)
        })
        .boxed()
}

/// One exec on its way through its life.
struct Run {
    engine: Engine,
    exec: Arc<Exec>,
    container: Arc<Container>,
    shim: Shim,
    console_size: Option<(u16, u16)>,
}

impl Run {
    async fn start(&mut self, stdio: AttachStdio) -> Result<ExecProcess, EngineError> {
        let exec = &self.exec;
        let command = exec.config.cmd.join(" ");
        self.engine
            .exec_event(&self.container, "exec_start", &command, &exec.id);
        let record = self.container.record();
        let started = async {
            let mut spec = Engine::exec_spec(&record, &exec.id, &exec.config, stdio)?;
            let early = *exec
                .early_size
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            spec.console_size = early.or(self.console_size);
            self.shim.exec(spec).await.map_err(exec_error)
        }
        .await;
        match started {
            Ok(process) => {
                exec.set_stage(Stage::Running { pid: process.pid });
                Ok(process)
            }
            Err(error) => {
                let code = match &error {
                    EngineError::NotExecutable { code, .. } => *code,
                    _ => 126,
                };
                exec.set_stage(Stage::Ended { pid: 0, code });
                Err(error)
            }
        }
    }

    async fn see_through(self) {
        let pid = match self.exec.stage() {
            Stage::Running { pid } => pid,
            Stage::Created | Stage::Starting | Stage::Ended { .. } => 0,
        };
        // A shim that is gone took the process with it.
        let code = self
            .shim
            .wait_exec(self.exec.id.as_str())
            .await
            .unwrap_or(137);
        self.exec.set_stage(Stage::Ended { pid, code });
        let particular = [
            ("execID", self.exec.id.to_string()),
            ("exitCode", code.to_string()),
        ];
        self.engine
            .container_event(&self.container, "exec_die", &particular);
    }
}

/// Docker's words for a command that could not be executed.
fn exec_error(error: crate::launch::LaunchError) -> EngineError {
    match error {
        crate::launch::LaunchError::Start(failure) => EngineError::NotExecutable {
            code: failure.exit_code,
            message: format!(
                "OCI runtime exec failed: exec failed: unable to start container process: {}",
                failure.message
            ),
        },
        other => launch_error(other),
    }
}
