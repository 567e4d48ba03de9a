//! From a container's record to an OCI runtime configuration. Pure but for the device nodes that
//! it looks up; what a record cannot know (process ids, paths) comes in as [`Surroundings`].
//!
//! `launch` makes a process from the result; nothing here knows how.

mod mounts;
mod process;
mod resources;

use std::collections::HashMap;
use std::path::PathBuf;

use oci_spec::runtime::{
    Linux, LinuxDeviceCgroup, LinuxNamespace, LinuxNamespaceType, LinuxSeccomp, Root, Spec,
};

pub(crate) use process::{Privileges, environment, process};
pub(crate) use resources::resources;

use super::container::Record;
use super::error::EngineError;
use super::userns::IdMappings;
use crate::launch::defaults;
use crate::spec::{HostConfig, IpcMode, SeccompProfile};

/// Where a namespace comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum NamespaceSource {
    #[default]
    Own,
    Host,
    /// That of a live process.
    Of(i32),
}

/// What decides the configuration beside the record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    pub(crate) pid: NamespaceSource,
    pub(crate) network: NamespaceSource,
    pub(crate) ipc: NamespaceSource,
    pub(crate) uts: NamespaceSource,
    pub(crate) cgroup: NamespaceSource,
    pub(crate) hostname: String,
    /// Files mounted over the container's `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf`.
    pub(crate) etc_files: Vec<(PathBuf, &'static str)>,
    /// Variables that describe the containers it is linked to.
    pub(crate) link_env: Vec<String>,
    pub(crate) cgroup_parent: String,
    /// Ids of the host for those of a container that is not in the host's user namespace.
    pub(crate) id_mappings: Option<IdMappings>,
    pub(crate) default_shm_size_bytes: u64,
    pub(crate) default_ulimits: Vec<crate::spec::Ulimit>,
}

/// The whole configuration.
pub(crate) fn build(record: &Record, around: &Surroundings) -> Result<Spec, EngineError> {
    let host = &record.host;
    let privileges = Privileges::of(host)?;
    let mut spec = Spec::default();
    let mut root = Root::default();
    root.set_path("rootfs".into())
        .set_readonly(Some(host.read_only_rootfs));
    let own_uts = around.uts == NamespaceSource::Own;
    let domainname = &record.config.domainname;
    spec.set_root(Some(root))
        .set_hostname(own_uts.then(|| around.hostname.clone()))
        .set_domainname((own_uts && !domainname.is_empty()).then(|| domainname.clone()))
        .set_process(Some(process::init_process(record, around, &privileges)?))
        .set_mounts(Some(mounts::mounts(record, around)))
        .set_annotations(Some(host.annotations.clone().into_iter().collect()))
        .set_linux(Some(linux(record, around, &privileges)?));
    Ok(spec)
}

fn linux(
    record: &Record,
    around: &Surroundings,
    privileges: &Privileges,
) -> Result<Linux, EngineError> {
    let host = &record.host;
    let mut resources = resources(&host.resources)?;
    let mut devices = defaults::devices();
    let mut rules = defaults::device_rules(host.privileged);
    if host.privileged {
        let all = defaults::all_host_devices()
            .map_err(|error| EngineError::internal("listing the host's devices", &error))?;
        devices.extend(all);
    }
    for mapping in &host.resources.devices {
        let (nodes, their_rules) = device(mapping)?;
        devices.extend(nodes);
        rules.extend(their_rules);
    }
    for rule in &host.resources.device_cgroup_rules {
        rules.push(resources::device_rule(rule)?);
    }
    resources.set_devices(Some(rules));
    let (masked, read_only) = hidden_paths(host);
    let mut linux = Linux::default();
    linux
        .set_namespaces(Some(namespaces(around)))
        .set_uid_mappings(around.id_mappings.as_ref().map(|it| it.users.clone()))
        .set_gid_mappings(around.id_mappings.as_ref().map(|it| it.groups.clone()))
        .set_resources(Some(resources))
        .set_cgroups_path(Some(
            PathBuf::from(&around.cgroup_parent).join(record.id.as_str()),
        ))
        .set_devices(Some(devices))
        .set_sysctl(Some(sysctls(host, around)))
        .set_seccomp(seccomp(host, privileges)?)
        .set_masked_paths(Some(masked))
        .set_readonly_paths(Some(read_only));
    Ok(linux)
}

/// One device, or every device below a directory of the host.
fn device(
    mapping: &crate::spec::DeviceMapping,
) -> Result<(Vec<oci_spec::runtime::LinuxDevice>, Vec<LinuxDeviceCgroup>), EngineError> {
    let permissions = if mapping.permissions.is_empty() {
        "rwm"
    } else {
        &mapping.permissions
    };
    let gather = |error: std::io::Error| {
        EngineError::InvalidParameter(format!(
            "error gathering device information while adding custom device {:?}: {error}",
            mapping.path_on_host.display().to_string()
        ))
    };
    let found = defaults::device(
        &mapping.path_on_host,
        &mapping.path_in_container,
        permissions,
    );
    Ok(found.map_err(gather)?.into_iter().unzip())
}

fn namespaces(around: &Surroundings) -> Vec<LinuxNamespace> {
    let users = match &around.id_mappings {
        Some(_) => NamespaceSource::Own,
        None => NamespaceSource::Host,
    };
    let kinds = [
        (LinuxNamespaceType::Mount, NamespaceSource::Own, "mnt"),
        (LinuxNamespaceType::Pid, around.pid, "pid"),
        (LinuxNamespaceType::Network, around.network, "net"),
        (LinuxNamespaceType::Ipc, around.ipc, "ipc"),
        (LinuxNamespaceType::Uts, around.uts, "uts"),
        (LinuxNamespaceType::Cgroup, around.cgroup, "cgroup"),
        (LinuxNamespaceType::User, users, "user"),
    ];
    kinds
        .into_iter()
        .filter_map(|(kind, source, file)| {
            let path = match source {
                NamespaceSource::Host => return None,
                NamespaceSource::Own => None,
                NamespaceSource::Of(pid) => Some(format!("/proc/{pid}/ns/{file}").into()),
            };
            let mut namespace = LinuxNamespace::default();
            namespace.set_typ(kind).set_path(path);
            Some(namespace)
        })
        .collect()
}

/// The last that may ping, `GID_T_MAX >> 1` of the kernel.
const LAST_GROUP: u32 = 2_147_483_647;

/// With a network namespace of its own a container may ping and bind low ports without
/// capabilities: nothing of the host is reached that way.
fn sysctls(host: &HostConfig, around: &Surroundings) -> HashMap<String, String> {
    let mut sysctls = HashMap::new();
    if around.network == NamespaceSource::Own {
        // The kernel takes no group here that the container does not have.
        let last_group = match &around.id_mappings {
            Some(mappings) => mappings.last_group(),
            None => LAST_GROUP,
        };
        for (key, value) in [
            ("net.ipv4.ip_unprivileged_port_start", "0".to_owned()),
            ("net.ipv4.ping_group_range", format!("0 {last_group}")),
        ] {
            sysctls.insert(key.to_owned(), value);
        }
    }
    sysctls.extend(host.sysctls.clone());
    sysctls
}

fn seccomp(
    host: &HostConfig,
    privileges: &Privileges,
) -> Result<Option<LinuxSeccomp>, EngineError> {
    if host.privileged {
        return Ok(None);
    }
    match &host.seccomp {
        SeccompProfile::Unconfined => Ok(None),
        SeccompProfile::Default => Ok(Some(defaults::seccomp(privileges.capabilities()))),
        SeccompProfile::Custom(profile) => {
            defaults::seccomp_from_profile(profile, privileges.capabilities())
                .map(Some)
                .map_err(|error| EngineError::InvalidParameter(error.to_string()))
        }
    }
}

/// Masked and read-only paths.
fn hidden_paths(host: &HostConfig) -> (Vec<String>, Vec<String>) {
    let choose = |asked: &Option<Vec<String>>, default: fn() -> Vec<String>| match asked {
        Some(paths) => paths.clone(),
        None if host.privileged => Vec::new(),
        None => default(),
    };
    (
        choose(&host.masked_paths, defaults::masked_paths),
        choose(&host.readonly_paths, defaults::read_only_paths),
    )
}

/// Whether the container has a `/dev/shm` of its own.
fn has_own_shm(mode: &IpcMode) -> bool {
    matches!(mode, IpcMode::Private | IpcMode::Shareable)
}
