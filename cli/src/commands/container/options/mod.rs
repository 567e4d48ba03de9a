//! The flags of `run` and `create`, and the request they make.
//!
//! One file per concern; each holds its flags and applies them to the request's body. A flag
//! that the API cannot carry does not exist here, so that none is taken and ignored.

mod health;
mod network;
mod process;
mod resources;
mod security;
mod storage;

use bollard_stubs::models::{ContainerCreateBody, HostConfig};
use clap::{Args, ValueEnum};

use crate::terminal;

/// What `run` and `create` have in common.
#[derive(Debug, Args)]
pub(crate) struct ContainerOptions {
    /// Assign a name to the container
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Write the container ID to the file
    #[arg(long, value_name = "FILE")]
    pub(super) cidfile: Option<std::path::PathBuf>,
    /// When to pull the image before creating
    #[arg(long, value_enum, value_name = "WHEN", default_value = "missing")]
    pub(super) pull: PullPolicy,
    /// Suppress the pull output
    #[arg(long, short)]
    pub(super) quiet: bool,
    /// Platform of the image, such as linux/arm64
    #[arg(long, env = "DOCKER_DEFAULT_PLATFORM", value_name = "OS/ARCH")]
    pub(super) platform: Option<String>,
    /// Remove the container and its anonymous volumes when it exits
    #[arg(long)]
    pub(super) rm: bool,
    #[command(flatten)]
    pub(super) process: process::ProcessOptions,
    #[command(flatten)]
    network: network::NetworkOptions,
    #[command(flatten)]
    storage: storage::StorageOptions,
    #[command(flatten)]
    resources: resources::ResourceOptions,
    #[command(flatten)]
    security: security::SecurityOptions,
    #[command(flatten)]
    health: health::HealthOptions,
    /// Print usage
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Image to run
    #[arg(value_name = "IMAGE")]
    pub(super) image: String,
    /// Command and its arguments
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(super) command: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PullPolicy {
    Always,
    Missing,
    Never,
}

impl ContainerOptions {
    /// The body of the create request.
    pub(super) fn body(&self, detach: bool) -> anyhow::Result<ContainerCreateBody> {
        let mut body = ContainerCreateBody {
            image: Some(self.image.clone()),
            ..ContainerCreateBody::default()
        };
        let mut host = HostConfig {
            auto_remove: self.rm.then_some(true),
            ..HostConfig::default()
        };
        if !self.command.is_empty() {
            body.cmd = Some(self.command.clone());
        }
        if self.process.tty
            && let Some(size) = terminal::size()
        {
            host.console_size = Some(vec![size.rows.into(), size.columns.into()]);
        }
        self.process.apply(&mut body, &mut host, detach)?;
        self.network.apply(&mut body, &mut host)?;
        self.storage.apply(&mut body, &mut host)?;
        self.resources.apply(&mut host);
        self.security.apply(&mut host)?;
        self.health.apply(&mut body)?;
        if self.rm
            && host.restart_policy.as_ref().is_some_and(|policy| {
                policy.name != Some(bollard_stubs::models::RestartPolicyNameEnum::NO)
            })
        {
            anyhow::bail!("conflicting options: cannot specify both --restart and --rm");
        }
        body.host_config = Some(host);
        Ok(body)
    }
}

/// `None` for an empty list: an absent field means "as the image has it".
fn given<T: Clone>(values: &[T]) -> Option<Vec<T>> {
    (!values.is_empty()).then(|| values.to_vec())
}
