//! `docker top`: what ps(1) says about the processes of a container.

use super::start::launch_error;
use super::view::Top;
use crate::engine::{Engine, EngineError};
use crate::spec::ContainerRef;
use crate::sys::program;

impl Engine {
    /// `ps_args` as ps(1) takes them; `None` is `-ef`.
    pub async fn top_container(
        &self,
        container: &ContainerRef,
        ps_args: Option<&str>,
    ) -> Result<Top, EngineError> {
        let container = self.find_container(container)?;
        let shim = container.running_shim()?;
        let ps_args = ps_args
            .filter(|text| !text.trim().is_empty())
            .unwrap_or("-ef");
        // ps would print what the format says and we could not find the process ids in it.
        if ps_args.split_whitespace().any(|arg| arg.contains("pid=")) {
            return Err(EngineError::InvalidParameter(format!(
                "specifying \"{ps_args}\" is not allowed"
            )));
        }
        let pids = shim.cgroup().processes().map_err(launch_error)?;
        let args: Vec<&str> = ps_args.split_whitespace().collect();
        let finished = program::run("ps", &args, "")
            .await
            .map_err(|error| EngineError::internal("running ps", &error))?;
        if !finished.success {
            return Err(EngineError::Internal(format!(
                "ps: {}",
                finished.stderr.trim()
            )));
        }
        let top = parse(&finished.stdout, &pids);
        self.container_event(&container, "top", &[]);
        top
    }
}

/// Keeps the title and the lines of these processes. The last column takes the rest of a line.
fn parse(output: &str, pids: &[i32]) -> Result<Top, EngineError> {
    let mut lines = output.lines();
    let titles: Vec<String> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let pid_column = titles
        .iter()
        .position(|title| title == "PID")
        .ok_or_else(|| EngineError::Internal("Couldn't find PID field in ps output".to_owned()))?;
    let processes = lines
        .map(|line| columns(line, titles.len()))
        .filter(|columns| {
            let pid = columns.get(pid_column).and_then(|text| text.parse().ok());
            pid.is_some_and(|pid| pids.contains(&pid))
        })
        .collect();
    Ok(Top { titles, processes })
}

fn columns(line: &str, n_columns: usize) -> Vec<String> {
    let mut columns = Vec::with_capacity(n_columns);
    let mut rest = line.trim_start();
    while columns.len() + 1 < n_columns {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        columns.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    columns.push(rest.trim_end().to_owned());
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_processes_are_kept_with_their_whole_command() {
        let output = "\
UID          PID    PPID  C STIME TTY          TIME CMD
root           1       0  0 10:00 ?        00:00:01 /sbin/init
root        4242      17  0 10:01 pts/0    00:00:00 sh -c sleep 1;  echo
";
        let top = parse(output, &[4242]).unwrap();
        assert_eq!(top.titles.len(), 8);
        assert_eq!(top.processes.len(), 1);
        assert_eq!(top.processes[0][1], "4242");
        assert_eq!(top.processes[0][7], "sh -c sleep 1;  echo");
        assert!(parse("CMD\nsh\n", &[1]).is_err());
    }
}
