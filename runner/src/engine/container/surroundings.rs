//! What a start needs to know beside the record: namespaces of other containers, the files of
//! `/etc`, the engine's defaults.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::journal;
use super::record::Record;
use crate::engine::runtime_spec::{self, NamespaceSource, Surroundings};
use crate::engine::userns::IdMappings;
use crate::engine::{Engine, EngineError};
use crate::launch::{Rootfs, ShimConfig, ShimLog, StdinMode, UserSpec, Written};
use crate::network::files::{self, Hosts, ResolvConf};
use crate::spec::{
    ContainerConfig, ContainerId, ContainerRef, HostConfig, IpcMode, LogDriver, NamespaceMode,
    NetworkMode,
};

impl Engine {
    /// What a container's ids are on this machine; `None` where they are the same.
    pub(super) fn id_mappings_for(
        &self,
        host: &HostConfig,
    ) -> Result<Option<IdMappings>, EngineError> {
        let Some(mappings) = self
            .shared
            .id_mappings
            .as_ref()
            .filter(|_| !host.userns_host)
        else {
            return Ok(None);
        };
        let refused = if host.privileged {
            "privileged mode is incompatible with user namespaces.  You must run the container in \
             the host namespace when running privileged mode"
        } else if host.pid_mode == NamespaceMode::Host {
            "cannot share the host PID namespace when user namespaces are enabled"
        } else if host.network_mode == NetworkMode::Host {
            "cannot share the host's network namespace when user namespaces are enabled"
        } else {
            return Ok(Some(mappings.clone()));
        };
        Err(EngineError::InvalidParameter(refused.to_owned()))
    }

    /// Namespaces and defaults for a start now; containers that are joined must be running.
    pub(super) fn surroundings(&self, record: &Record) -> Result<Surroundings, EngineError> {
        let host = &record.host;
        let settings = &self.shared.settings;
        let mode = |mode: &NamespaceMode, what: &str| match mode {
            NamespaceMode::Private => Ok(NamespaceSource::Own),
            NamespaceMode::Host => Ok(NamespaceSource::Host),
            NamespaceMode::Container(other) => self.namespace_of(other, what),
        };
        let network = match &host.network_mode {
            NetworkMode::Host => NamespaceSource::Host,
            NetworkMode::Container(other) => self.namespace_of(other, "network")?,
            NetworkMode::Default | NetworkMode::None | NetworkMode::Network(_) => {
                NamespaceSource::Own
            }
        };
        let ipc = match &host.ipc_mode {
            IpcMode::Private | IpcMode::Shareable | IpcMode::None => NamespaceSource::Own,
            IpcMode::Host => NamespaceSource::Host,
            IpcMode::Container(other) => self.namespace_of(other, "IPC")?,
        };
        // As with docker, the host's network brings the host's name along.
        let own_name = network != NamespaceSource::Host || !record.config.hostname.is_empty();
        let uts = match mode(&host.uts_mode, "UTS")? {
            NamespaceSource::Own if !own_name => NamespaceSource::Host,
            source => source,
        };
        let parent = match host.cgroup_parent.as_str() {
            "" => settings.cgroup_parent.clone(),
            parent if parent.starts_with('/') => parent.to_owned(),
            parent => format!("/{parent}"),
        };
        Ok(Surroundings {
            pid: mode(&host.pid_mode, "PID")?,
            network,
            ipc,
            uts,
            cgroup: mode(&host.cgroupns_mode, "cgroup")?,
            hostname: hostname(&record.id, &record.config),
            etc_files: self.etc_files(record)?,
            link_env: self.link_variables(record)?,
            cgroup_parent: parent,
            id_mappings: self.id_mappings_for(host)?,
            default_shm_size_bytes: settings.shm_size_bytes,
            default_ulimits: settings.ulimits.clone(),
        })
    }

    fn namespace_of(&self, other: &str, what: &str) -> Result<NamespaceSource, EngineError> {
        let container = self.find_container(&ContainerRef::new(other))?;
        match container.read(|record| record.state.live().map(|running| running.pid)) {
            Some(pid) => Ok(NamespaceSource::Of(pid)),
            None => Err(EngineError::Conflict(format!(
                "cannot join {what} namespace of a non running container: {}",
                container.id()
            ))),
        }
    }

    /// The three files that are mounted over the container's own; containers that share a
    /// network namespace share them.
    fn etc_files(&self, record: &Record) -> Result<Vec<(PathBuf, &'static str)>, EngineError> {
        let paths = &self.shared.paths;
        let owner = match &record.host.network_mode {
            NetworkMode::Container(other) => {
                self.find_container(&ContainerRef::new(other))?.id().clone()
            }
            _ => record.id.clone(),
        };
        Ok(vec![
            (paths.hostname(&owner), "/etc/hostname"),
            (paths.hosts(&owner), "/etc/hosts"),
            (paths.resolv_conf(&owner), "/etc/resolv.conf"),
        ])
    }

    /// Writes the files of `/etc`. They are overwritten in place, so that a running container,
    /// which has them mounted, sees the change; what is right already stays as it is.
    pub(in crate::engine) async fn write_etc_files(
        &self,
        record: &Record,
    ) -> Result<(), EngineError> {
        if matches!(record.host.network_mode, NetworkMode::Container(_)) {
            return Ok(());
        }
        let paths = &self.shared.paths;
        let id = &record.id;
        let hostname = hostname(id, &record.config);
        let files = [
            (paths.hosts(id), self.hosts_text(record, &hostname)?),
            (paths.hostname(id), files::hostname(&hostname)),
            (paths.resolv_conf(id), self.resolution(record).0),
        ];
        let written = tokio::task::spawn_blocking(move || {
            files.iter().try_for_each(|(path, text)| {
                write_if_other(path, text).map_err(|error| {
                    EngineError::internal(&format!("writing {}", path.display()), &error)
                })
            })
        });
        written
            .await
            .map_err(|error| EngineError::internal("writing the files of /etc", &error))?
    }

    fn hosts_text(&self, record: &Record, hostname: &str) -> Result<String, EngineError> {
        let addresses: Vec<IpAddr> = record
            .endpoints()
            .flat_map(|endpoint| {
                let v4 = endpoint.ipv4.map(|found| IpAddr::V4(found.address));
                let v6 = endpoint.ipv6.map(|found| IpAddr::V6(found.address));
                v4.into_iter().chain(v6)
            })
            .collect();
        let links = self.link_lines(record);
        let hosts = Hosts {
            hostname,
            domainname: &record.config.domainname,
            addresses: &addresses,
            extra: &record.host.extra_hosts,
            links: &links,
            host_gateway: self.host_gateway(),
            ipv6: addresses.iter().any(IpAddr::is_ipv6),
        };
        hosts
            .text()
            .map_err(|error| EngineError::InvalidParameter(error.to_string()))
    }

    /// What `host-gateway` stands for: the default bridge's own address.
    fn host_gateway(&self) -> Option<IpAddr> {
        let bridge = self.shared.networks.find("bridge").ok()?;
        bridge.subnets.iter().find_map(|subnet| subnet.gateway)
    }

    /// The text of the container's `/etc/resolv.conf`, and whom its name server forwards to.
    pub(super) fn resolution(&self, record: &Record) -> (String, Vec<IpAddr>) {
        let settings = &self.shared.settings;
        let host = &record.host;
        let on_host = files::host_resolv_conf();
        let choose = |own: &'_ [String], default: &'_ [String]| -> Vec<String> {
            if own.is_empty() { default } else { own }.to_vec()
        };
        let servers = if host.dns.is_empty() {
            &settings.dns
        } else {
            &host.dns
        };
        let search = choose(&host.dns_search, &settings.dns_search);
        let options = choose(&host.dns_options, &settings.dns_options);
        let conf = ResolvConf {
            host: &on_host,
            nameservers: servers,
            search: &search,
            options: &options,
            embedded: record.networks.keys().any(|name| self.has_names(name)),
            host_network: host.network_mode == NetworkMode::Host,
            ipv6: record.endpoints().any(|endpoint| endpoint.ipv6.is_some()),
        };
        (conf.text(), conf.upstream())
    }

    /// Whether containers on that network find each other by name.
    fn has_names(&self, network: &str) -> bool {
        self.shared
            .networks
            .find(network)
            .is_ok_and(|network| network.has_names())
    }

    /// Writes the bundle. Its warnings went to whoever made the container.
    pub(super) async fn write_bundle(
        &self,
        record: &Record,
        around: &Surroundings,
    ) -> Result<Written, EngineError> {
        let spec = runtime_spec::build(record, around)?;
        let shim = self.shim_config(record)?;
        let bundle = self.shared.paths.bundle(&record.id);
        self.shared
            .launcher
            .write_bundle(&bundle, spec, &shim)
            .await
            .map_err(super::start::launch_error)
    }

    /// Tries what a start would write, for the warnings and errors that belong to a creation:
    /// what this machine cannot do and leaves out.
    pub(super) async fn check_launch(&self, record: &Record) -> Result<Vec<String>, EngineError> {
        // Whom it joins may not run yet; that is a matter of the start.
        let around = match self.surroundings(record) {
            Ok(around) => around,
            Err(EngineError::Conflict(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let spec = runtime_spec::build(record, &around)?;
        let checked = self.shared.launcher.check(spec).await;
        checked.map_err(super::start::launch_error)
    }

    fn shim_config(&self, record: &Record) -> Result<ShimConfig, EngineError> {
        let config = &record.config;
        let snapshot = self
            .shared
            .images
            .snapshot(&record.id)
            .map_err(|error| EngineError::internal("finding the container's layer", &error))?;
        let log = &record.host.log;
        let journal = match log.driver {
            LogDriver::Journald => Some(journal::fields(record)?),
            LogDriver::JsonFile | LogDriver::Local | LogDriver::None => None,
        };
        Ok(ShimConfig {
            id: record.id.to_string(),
            rootfs: Rootfs::Overlay {
                lower: snapshot.lower,
                upper: snapshot.upper,
                work: snapshot.work,
                options: Vec::new(),
            },
            log: (log.driver != LogDriver::None).then(|| ShimLog {
                path: self.shared.paths.log(&record.id),
                max_size_bytes: log.max_size_bytes,
                max_files: log.max_files.max(1),
                compress: log.compress,
                journal,
            }),
            stdin: match (config.open_stdin, config.stdin_once) {
                (false, _) => StdinMode::Closed,
                (true, false) => StdinMode::Open,
                (true, true) => StdinMode::Once,
            },
            console_size: record.host.console_size,
            reaper: record.host.init,
            user: Some(UserSpec {
                user: config.user.clone(),
                additional_groups: record.host.group_add.clone(),
            }),
        })
    }
}

/// Leaves a file alone that holds `text`: to empty one and fill it again costs a flush.
fn write_if_other(path: &Path, text: &str) -> io::Result<()> {
    match fs::read(path) {
        Ok(present) if present == text.as_bytes() => Ok(()),
        _ => fs::write(path, text),
    }
}

/// The name the container has for itself.
pub(crate) fn hostname(id: &ContainerId, config: &ContainerConfig) -> String {
    if config.hostname.is_empty() {
        id.short().to_owned()
    } else {
        config.hostname.clone()
    }
}
