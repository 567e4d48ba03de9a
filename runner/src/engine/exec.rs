//! Commands run inside a running container.

use super::stream::Attached;
use super::{Engine, EngineError};
use crate::spec::{ContainerId, ContainerRef, ExecId};

/// `POST /containers/{id}/exec`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

impl Engine {
    pub async fn create_exec(
        &self,
        container: &ContainerRef,
        config: ExecConfig,
    ) -> Result<ExecId, EngineError> {
        let _ = (self, container, config);
        todo!()
    }

    /// `None` when it was asked to run detached. When attached, a program that cannot be
    /// executed is told in the output, as the answer is on its way by then.
    pub async fn start_exec(
        &self,
        id: &str,
        request: StartExec,
    ) -> Result<Option<Attached>, EngineError> {
        let _ = (self, id, request);
        todo!()
    }

    pub async fn resize_exec(&self, id: &str, rows: u16, columns: u16) -> Result<(), EngineError> {
        let _ = (self, id, rows, columns);
        todo!()
    }

    pub async fn inspect_exec(&self, id: &str) -> Result<ExecView, EngineError> {
        let _ = (self, id);
        todo!()
    }
}
