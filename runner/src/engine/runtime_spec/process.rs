//! The program: arguments, environment, privileges, limits.

use oci_spec::runtime::{
    Capabilities, LinuxCapabilities, PosixRlimit, PosixRlimitBuilder, PosixRlimitType, Process,
};

use super::{Record, Surroundings};
use crate::engine::error::EngineError;
use crate::launch::defaults;
use crate::spec::{HostConfig, Ulimit};

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a process of the container may do.
#[derive(Debug, Clone)]
pub(crate) struct Privileges {
    capabilities: Capabilities,
    no_new_privileges: bool,
}

impl Privileges {
    pub(crate) fn of(host: &HostConfig) -> Result<Self, EngineError> {
        Ok(Self {
            capabilities: if host.privileged {
                defaults::capabilities(&["ALL".to_owned()], &[])
            } else {
                defaults::capabilities(&host.cap_add, &host.cap_drop)
            }
            .map_err(|error| EngineError::InvalidParameter(error.to_string()))?,
            no_new_privileges: host.no_new_privileges,
        })
    }

    pub(crate) fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
}

pub(super) fn init_process(
    record: &Record,
    around: &Surroundings,
    privileges: &Privileges,
) -> Result<Process, EngineError> {
    let config = &record.config;
    // Its own variables win over what its links say.
    let own = [around.link_env.as_slice(), &config.env].concat();
    let env = environment(&own, &around.hostname, config.tty);
    let mut process = process(record.argv.clone(), env, &config.working_dir, privileges);
    let ulimits = ulimits(&around.default_ulimits, &record.host.resources.ulimits)?;
    process
        .set_terminal(Some(config.tty))
        .set_oom_score_adj(Some(record.host.oom_score_adj))
        .set_apparmor_profile(record.host.apparmor_profile.clone())
        .set_rlimits((!ulimits.is_empty()).then_some(ulimits));
    Ok(process)
}

/// A process of the container, init or not.
pub(crate) fn process(
    argv: Vec<String>,
    env: Vec<String>,
    working_dir: &str,
    privileges: &Privileges,
) -> Process {
    let set = || Some(privileges.capabilities.clone());
    // Inheritable and ambient stay empty: capabilities must not pass to programs that a user
    // other than root executes.
    let mut capabilities = LinuxCapabilities::default();
    capabilities
        .set_bounding(set())
        .set_effective(set())
        .set_permitted(set())
        .set_inheritable(None)
        .set_ambient(None);
    let cwd = if working_dir.is_empty() {
        "/"
    } else {
        working_dir
    };
    let mut process = Process::default();
    process
        .set_args(Some(argv))
        .set_env(Some(env))
        .set_cwd(cwd.into())
        .set_capabilities(Some(capabilities))
        .set_no_new_privileges(Some(privileges.no_new_privileges))
        .set_rlimits(None);
    process
}

/// Docker's own variables, then the container's. An entry without `=` takes a variable away.
pub(crate) fn environment(own: &[String], hostname: &str, tty: bool) -> Vec<String> {
    let mut env = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if tty {
        env.push("TERM=xterm".to_owned());
    }
    for entry in own {
        let name = entry.split('=').next().unwrap_or_default();
        env.retain(|other| other.split('=').next() != Some(name));
        if entry.contains('=') {
            env.push(entry.clone());
        }
    }
    env
}

/// The engine's defaults with the container's own laid over them.
fn ulimits(defaults: &[Ulimit], own: &[Ulimit]) -> Result<Vec<PosixRlimit>, EngineError> {
    let inherited = defaults
        .iter()
        .filter(|default| !own.iter().any(|ulimit| ulimit.name == default.name));
    inherited.chain(own).map(rlimit).collect()
}

fn rlimit(ulimit: &Ulimit) -> Result<PosixRlimit, EngineError> {
    use PosixRlimitType as T;

    let kind = match ulimit.name.as_str() {
        "as" => T::RlimitAs,
        "core" => T::RlimitCore,
        "cpu" => T::RlimitCpu,
        "data" => T::RlimitData,
        "fsize" => T::RlimitFsize,
        "locks" => T::RlimitLocks,
        "memlock" => T::RlimitMemlock,
        "msgqueue" => T::RlimitMsgqueue,
        "nice" => T::RlimitNice,
        "nofile" => T::RlimitNofile,
        "nproc" => T::RlimitNproc,
        "rss" => T::RlimitRss,
        "rtprio" => T::RlimitRtprio,
        "rttime" => T::RlimitRttime,
        "sigpending" => T::RlimitSigpending,
        "stack" => T::RlimitStack,
        other => {
            return Err(EngineError::InvalidParameter(format!(
                "invalid ulimit type: {other}"
            )));
        }
    };
    // -1 is infinity, which the kernel writes as all ones.
    PosixRlimitBuilder::default()
        .typ(kind)
        .soft(ulimit.soft.cast_unsigned())
        .hard(ulimit.hard.cast_unsigned())
        .build()
        .map_err(|error| EngineError::internal("describing a ulimit", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_lays_the_containers_own_over_dockers() {
        let own = [
            "A=1".to_owned(),
            "PATH=/bin".to_owned(),
            "HOSTNAME".to_owned(),
        ];
        assert_eq!(
            environment(&own, "h", true),
            ["TERM=xterm", "A=1", "PATH=/bin"]
        );
        assert_eq!(environment(&[], "h", false), [DEFAULT_PATH, "HOSTNAME=h"]);
    }

    #[test]
    fn own_ulimits_replace_defaults() {
        let ulimit = |name: &str, soft, hard| Ulimit {
            name: name.to_owned(),
            soft,
            hard,
        };
        let limits = ulimits(
            &[ulimit("nofile", 1, 2), ulimit("core", 0, 0)],
            &[ulimit("nofile", 5, -1)],
        )
        .unwrap();
        assert_eq!(limits.len(), 2);
        assert_eq!((limits[1].soft(), limits[1].hard()), (5, u64::MAX));
        assert!(ulimits(&[], &[ulimit("x", 1, 1)]).is_err());
    }
}
