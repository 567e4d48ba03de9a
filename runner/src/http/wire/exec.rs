//! Commands run inside a running container.

use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct CreateExecBody {
    pub(crate) user: String,
    pub(crate) privileged: bool,
    pub(crate) tty: bool,
    pub(crate) console_size: Option<Vec<u16>>,
    pub(crate) attach_stdin: bool,
    pub(crate) attach_stderr: bool,
    pub(crate) attach_stdout: bool,
    pub(crate) detach_keys: String,
    pub(crate) env: Vec<String>,
    pub(crate) working_dir: String,
    pub(crate) cmd: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct StartExecBody {
    pub(crate) detach: bool,
    pub(crate) tty: bool,
    pub(crate) console_size: Option<Vec<u16>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ExecInspect {
    #[serde(rename = "ID")]
    pub(crate) id: String,
    pub(crate) running: bool,
    pub(crate) exit_code: Option<i32>,
    pub(crate) process_config: ExecProcess,
    pub(crate) open_stdin: bool,
    pub(crate) open_stderr: bool,
    pub(crate) open_stdout: bool,
    pub(crate) can_remove: bool,
    #[serde(rename = "ContainerID")]
    pub(crate) container_id: String,
    pub(crate) detach_keys: String,
    pub(crate) pid: i32,
}

#[derive(Debug, Serialize)]
pub(crate) struct ExecProcess {
    pub(crate) tty: bool,
    pub(crate) entrypoint: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) privileged: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) user: String,
}
