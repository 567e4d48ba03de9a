//! Making an exec's process and seeing it through to its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::oneshot;

use super::record::LOST_CODE;
use super::{Exec, ExecConfig, Stage, StartExec};
use crate::engine::container::{Container, Record, connect, hostname, launch_error};
use crate::engine::detach_keys::DetachKeys;
use crate::engine::runtime_spec::{self, Privileges};
use crate::engine::stream::{Attached, OutputStream};
use crate::engine::{Engine, EngineError};
use crate::launch::{
    AttachStdio, AttachStream, ExecProcess, ExecSpec, LaunchError, Shim, UserSpec,
};
use crate::spec::{ContainerRef, ContainerState, ExecId, HostConfig, StdStream};

impl Engine {
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
                    // The output ends with the program, or when the caller lets go of it.
                    drop(failed);
                    drop(connected.send(stream));
                    run.see_through().await;
                }
                Err(error) => drop(failed.send(error.to_string())),
            }
        });
        let detached = move || engine.container_event(&of, "exec_detach", &[]);
        let (output, input) = connect(source, stdio, config.tty.then_some(keys), detached);
        Ok(Some(Attached {
            tty: !request.framed,
            output: output.chain(failure_text(failure)).boxed(),
            input,
        }))
    }

    /// What launch needs to run a command in the container of `record`.
    pub(in crate::engine) fn exec_spec(
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
        let hostname = hostname(&record.id, &record.config);
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

    pub(super) fn exec_event(
        &self,
        container: &Container,
        action: &str,
        command: &str,
        id: &ExecId,
    ) {
        let particular = [("execID", id.to_string())];
        self.container_event(container, format!("{action}: {command}"), &particular);
    }
}

/// The shim of a container in which something can be run.
pub(super) fn executable(container: &Container) -> Result<Shim, EngineError> {
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

/// How long to wait before a shim that cannot be reached is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// One exec on its way through its life.
pub(super) struct Run {
    engine: Engine,
    exec: Arc<Exec>,
    container: Arc<Container>,
    shim: Shim,
    console_size: Option<(u16, u16)>,
}

impl Run {
    /// One that an earlier agent started.
    pub(super) fn restored(
        engine: &Engine,
        exec: Arc<Exec>,
        container: &Arc<Container>,
        shim: &Shim,
    ) -> Self {
        Self {
            engine: engine.clone(),
            exec,
            container: Arc::clone(container),
            shim: shim.clone(),
            console_size: None,
        }
    }

    async fn start(&mut self, stdio: AttachStdio) -> Result<ExecProcess, EngineError> {
        let exec = &self.exec;
        let command = exec.config.cmd.join(" ");
        self.engine
            .exec_event(&self.container, "exec_start", &command, &exec.id);
        let record = self.container.record();
        let early = exec.early_size();
        let started = async {
            let mut spec = Engine::exec_spec(&record, &exec.id, &exec.config, stdio)?;
            spec.console_size = early.or(self.console_size);
            self.shim.exec(spec).await.map_err(exec_error)
        }
        .await;
        match started {
            Ok(process) => {
                exec.set_stage(Stage::Running { pid: process.pid });
                let late = exec.early_size().filter(|size| Some(*size) != early);
                if let Some((rows, columns)) = late
                    && let Err(error) = process.resize(rows, columns).await
                {
                    tracing::debug!(exec = %exec.id, %error, "a size that came during the start");
                }
                Ok(process)
            }
            Err(error) => {
                let code = match &error {
                    EngineError::NotExecutable { code, .. } => *code,
                    _ => 126,
                };
                exec.set_stage(Stage::Ended { pid: 0, code });
                self.engine.shared.execs.keep(exec).await;
                Err(error)
            }
        }
    }

    /// Sees the process that was started through to its end.
    pub(super) async fn see_through(self) {
        let execs = &self.engine.shared.execs;
        // The end is not to wait for the disk: whoever read the last of the output asks for it.
        tokio::join!(self.await_end(), execs.keep(&self.exec));
        execs.keep(&self.exec).await;
    }

    async fn await_end(&self) {
        let pid = match self.exec.stage() {
            Stage::Running { pid } => pid,
            Stage::Created | Stage::Starting | Stage::Ended { .. } => 0,
        };
        let code = loop {
            match self.shim.wait_exec(self.exec.id.as_str()).await {
                Ok(code) => break code,
                // It lives, and we cannot ask it now.
                Err(error) if error.is_want() => tokio::time::sleep(PAUSE).await,
                // A shim that is gone took the process with it.
                Err(_) => break LOST_CODE,
            }
        };
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
fn exec_error(error: LaunchError) -> EngineError {
    match error {
        LaunchError::Start(failure) => EngineError::NotExecutable {
            code: failure.exit_code,
            message: format!(
                "OCI runtime exec failed: exec failed: unable to start container process: {}",
                failure.message
            ),
        },
        other => launch_error(other),
    }
}
