//! Commands in running containers.

use crate::engine::ExecView;
use crate::http::wire;

pub(crate) fn exec_to_wire(view: ExecView) -> wire::ExecInspect {
    let config = view.config;
    let mut words = config.cmd.into_iter();
    wire::ExecInspect {
        id: view.id.to_string(),
        running: view.running,
        exit_code: view.exit_code,
        process_config: wire::ExecProcess {
            tty: config.tty,
            entrypoint: words.next().unwrap_or_default(),
            arguments: words.collect(),
            privileged: config.privileged,
            user: config.user,
        },
        open_stdin: config.attach_stdin,
        open_stderr: config.attach_stderr,
        open_stdout: config.attach_stdout,
        can_remove: view.streams_closed,
        container_id: view.container.to_string(),
        detach_keys: config.detach_keys.unwrap_or_default(),
        pid: view.pid,
    }
}
