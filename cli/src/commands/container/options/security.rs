//! What the container is allowed to do, and which namespaces it shares.

use anyhow::Context as _;
use bollard_stubs::models::{HostConfig, HostConfigCgroupnsModeEnum};
use clap::{Args, ValueEnum};

use super::given;
use crate::values;

#[derive(Debug, Args)]
#[command(next_help_heading = "Security")]
pub(crate) struct SecurityOptions {
    /// Give extended privileges
    #[arg(long)]
    privileged: bool,
    /// Add a capability
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Drop a capability
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// seccomp=FILE|unconfined, no-new-privileges, label=…, apparmor=…, systempaths=unconfined
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Kernel parameter of the container's namespaces
    #[arg(long, value_name = "KEY=VALUE")]
    sysctl: Vec<String>,
    /// cgroup namespace
    #[arg(long, value_enum, value_name = "MODE")]
    cgroupns: Option<CgroupNamespace>,
    /// IPC namespace: private, shareable, host, container:NAME or none
    #[arg(long, value_name = "MODE")]
    ipc: Option<String>,
    /// PID namespace: host or container:NAME
    #[arg(long, value_name = "MODE")]
    pid: Option<String>,
    /// User namespace: host
    #[arg(long, value_name = "MODE")]
    userns: Option<String>,
    /// UTS namespace: host
    #[arg(long, value_name = "MODE")]
    uts: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CgroupNamespace {
    Host,
    Private,
}

impl SecurityOptions {
    pub(super) fn apply(&self, host: &mut HostConfig) -> anyhow::Result<()> {
        host.privileged = self.privileged.then_some(true);
        host.cap_add = given(&self.cap_add);
        host.cap_drop = given(&self.cap_drop);
        let sysctls = values::pairs("sysctl", &self.sysctl)?;
        host.sysctls = (!sysctls.is_empty()).then_some(sysctls);
        host.cgroupns_mode = self.cgroupns.map(|mode| match mode {
            CgroupNamespace::Host => HostConfigCgroupnsModeEnum::HOST,
            CgroupNamespace::Private => HostConfigCgroupnsModeEnum::PRIVATE,
        });
        host.ipc_mode.clone_from(&self.ipc);
        host.pid_mode.clone_from(&self.pid);
        host.userns_mode.clone_from(&self.userns);
        host.uts_mode.clone_from(&self.uts);
        let mut options = Vec::new();
        for text in &self.security_opt {
            match security_option(text)? {
                SecurityOption::Engine(option) => options.push(option),
                SecurityOption::PathsUnconfined => {
                    // Empty lists, not absent ones: nothing is to be hidden.
                    host.masked_paths = Some(Vec::new());
                    host.readonly_paths = Some(Vec::new());
                }
            }
        }
        host.security_opt = given(&options);
        Ok(())
    }
}

enum SecurityOption {
    /// For the engine, as it has it.
    Engine(String),
    /// `systempaths=unconfined`, which has fields of its own in the API.
    PathsUnconfined,
}

fn security_option(text: &str) -> anyhow::Result<SecurityOption> {
    let (key, value) = match text.split_once('=').or_else(|| text.split_once(':')) {
        Some((key, value)) => (key, value),
        None if text == "no-new-privileges" => return Ok(SecurityOption::Engine(text.to_owned())),
        None => anyhow::bail!("invalid --security-opt: \"{text}\""),
    };
    match (key, value) {
        ("systempaths", "unconfined") => Ok(SecurityOption::PathsUnconfined),
        ("seccomp", "unconfined" | "builtin") => Ok(SecurityOption::Engine(text.to_owned())),
        ("seccomp", path) => {
            // The engine may be elsewhere: the profile itself travels, not its name.
            let profile = std::fs::read_to_string(path)
                .with_context(|| format!("opening seccomp profile ({path}) failed"))?;
            let profile: serde_json::Value = serde_json::from_str(&profile)
                .with_context(|| format!("compacting json for seccomp profile ({path}) failed"))?;
            Ok(SecurityOption::Engine(format!("seccomp={profile}")))
        }
        _ => Ok(SecurityOption::Engine(text.to_owned())),
    }
}
