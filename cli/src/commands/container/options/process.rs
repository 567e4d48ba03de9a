//! What runs in the container, how it is connected, and what happens when it ends.

use std::path::PathBuf;

use bollard_stubs::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, RestartPolicy};
use clap::{Args, ValueEnum};

use super::given;
use crate::values;

#[derive(Debug, Args)]
pub(crate) struct ProcessOptions {
    /// Keep standard input open
    #[arg(long, short)]
    pub(in super::super) interactive: bool,
    /// Allocate a pseudo-terminal
    #[arg(long, short)]
    pub(in super::super) tty: bool,
    /// Attach to stdin, stdout or stderr only
    #[arg(long, short, value_enum, ignore_case = true, value_name = "STREAM")]
    pub(in super::super) attach: Vec<Stream>,
    /// Set an environment variable
    #[arg(long, short, value_name = "KEY[=VALUE]", allow_hyphen_values = true)]
    env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Overwrite the image's entrypoint
    #[arg(long, value_name = "PROGRAM", allow_hyphen_values = true)]
    entrypoint: Option<String>,
    /// Working directory inside the container
    #[arg(long, short, value_name = "DIR")]
    workdir: Option<String>,
    /// User, as name or number, and group
    #[arg(long, short, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Add a group
    #[arg(long, value_name = "GROUP")]
    group_add: Vec<String>,
    /// Set a label
    #[arg(long, short, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
    /// Read labels from a file
    #[arg(long, value_name = "FILE")]
    label_file: Vec<PathBuf>,
    /// Annotation, passed on to the runtime
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
    /// Run an init that forwards signals and reaps processes
    #[arg(long)]
    init: bool,
    /// What to do when the container exits: no, always, unless-stopped, `on-failure[:max]`
    #[arg(long, value_name = "POLICY", value_parser = values::parse_restart)]
    restart: Option<RestartPolicy>,
    /// Signal that stops the container
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// Seconds to wait before the container is killed
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    stop_timeout: Option<i64>,
    /// Log driver
    #[arg(long, value_name = "NAME")]
    log_driver: Option<String>,
    /// Option of the log driver
    #[arg(long, value_name = "KEY=VALUE")]
    log_opt: Vec<String>,
    /// Runtime to use
    #[arg(long, value_name = "NAME")]
    runtime: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum Stream {
    Stdin,
    Stdout,
    Stderr,
}

/// Which streams of the container are ours while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Attached {
    pub(in super::super) stdin: bool,
    pub(in super::super) stdout: bool,
    pub(in super::super) stderr: bool,
}

impl ProcessOptions {
    /// What to attach to: what was asked for, else all output, and input with `-i`.
    pub(in super::super) fn attached(&self, detach: bool) -> anyhow::Result<Attached> {
        if detach && !self.attach.is_empty() {
            anyhow::bail!("conflicting options: cannot specify both --attach and --detach");
        }
        let asked = |stream| self.attach.contains(&stream);
        let all = self.attach.is_empty() && !detach;
        Ok(Attached {
            stdin: asked(Stream::Stdin) || all && self.interactive,
            stdout: asked(Stream::Stdout) || all,
            stderr: asked(Stream::Stderr) || all,
        })
    }

    pub(super) fn apply(
        &self,
        body: &mut ContainerCreateBody,
        host: &mut HostConfig,
        detach: bool,
    ) -> anyhow::Result<()> {
        let attached = self.attached(detach)?;
        body.attach_stdin = Some(attached.stdin);
        body.attach_stdout = Some(attached.stdout);
        body.attach_stderr = Some(attached.stderr);
        body.tty = Some(self.tty);
        body.open_stdin = Some(self.interactive);
        body.stdin_once = Some(self.interactive && attached.stdin);
        let variable = |name: &str| std::env::var(name).ok();
        body.env = given(&values::environment(&self.env_file, &self.env, variable)?);
        // An empty one takes the image's entrypoint away.
        body.entrypoint = self.entrypoint.clone().map(|program| vec![program]);
        body.working_dir.clone_from(&self.workdir);
        body.user.clone_from(&self.user);
        let labels = values::labels(&self.label_file, &self.label)?;
        body.labels = (!labels.is_empty()).then_some(labels);
        body.stop_signal.clone_from(&self.stop_signal);
        body.stop_timeout = self.stop_timeout;
        host.group_add = given(&self.group_add);
        let annotations = values::pairs("annotation", &self.annotation)?;
        host.annotations = (!annotations.is_empty()).then_some(annotations);
        host.init = self.init.then_some(true);
        host.restart_policy.clone_from(&self.restart);
        host.runtime.clone_from(&self.runtime);
        let options = values::pairs("log-opt", &self.log_opt)?;
        if self.log_driver.is_some() || !options.is_empty() {
            host.log_config = Some(HostConfigLogConfig {
                typ: self.log_driver.clone(),
                config: Some(options),
            });
        }
        Ok(())
    }
}
