//! `hythe agent`: the container engine alone. Flags that dockerd has keep dockerd's names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use hythe_runner::config::{AgentConfig, Said};

use super::logging::LogArguments;
use crate::failure::Outcome;
use crate::values;

#[derive(Debug, Args)]
pub(crate) struct AgentArguments {
    /// Configuration file
    #[arg(long, env = "HYTHE_AGENT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    api: ApiArguments,
    #[command(flatten)]
    engine: EngineArguments,
    #[command(flatten)]
    log: LogArguments,
}

/// Where the API is served and where things are kept.
#[derive(Debug, Args)]
struct ApiArguments {
    /// Unix socket of the API [default: /run/hythe/hythe.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Group that may use the socket
    #[arg(long, short = 'G', value_name = "GROUP")]
    group: Option<String>,
    /// Serve the API on TCP as well; needs the three --tls files
    #[arg(long, value_name = "ADDRESS:PORT")]
    tcp: Option<String>,
    /// Authority whose client certificates are let in
    #[arg(long, value_name = "FILE")]
    tlscacert: Option<PathBuf>,
    /// Certificate of the agent
    #[arg(long, value_name = "FILE")]
    tlscert: Option<PathBuf>,
    /// Key of the certificate
    #[arg(long, value_name = "FILE")]
    tlskey: Option<PathBuf>,
    /// Folder for images, containers and volumes
    #[arg(long, visible_alias = "data-root", value_name = "DIR")]
    data: Option<PathBuf>,
}

/// How images are fetched and containers are run; shared with `hythe up`.
#[derive(Debug, Default, Args)]
pub(super) struct EngineArguments {
    /// Folder for what a reboot may lose
    #[arg(long, value_name = "DIR")]
    exec_root: Option<PathBuf>,
    /// Name of the bridge, firewall table and cgroup, when several agents share a machine
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Registry that a short image name means [default: docker.io]
    #[arg(long, value_name = "HOST")]
    default_registry: Option<String>,
    /// Registry that is asked first for images of docker.io, or of another host
    #[arg(long, value_name = "[HOST=]URL")]
    registry_mirror: Vec<String>,
    /// Registry that may be spoken to without TLS
    #[arg(long, value_name = "HOST|CIDR")]
    insecure_registry: Vec<String>,
    /// File of the agent's own logins, for callers that bring none
    #[arg(long, value_name = "FILE")]
    registry_auth_file: Option<PathBuf>,
    /// Layers fetched at once
    #[arg(long, value_name = "N")]
    max_concurrent_downloads: Option<usize>,
    /// Layers sent at once
    #[arg(long, value_name = "N")]
    max_concurrent_uploads: Option<usize>,
    /// What one layer may unpack to, such as 20g
    #[arg(long, value_name = "BYTES")]
    max_layer_size: Option<String>,
    #[command(flatten)]
    network: NetworkArguments,
    #[command(flatten)]
    containers: ContainerArguments,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Network")]
struct NetworkArguments {
    /// Address and prefix length of the default bridge
    #[arg(long, value_name = "CIDR")]
    bip: Option<String>,
    /// Pool that networks' subnets are cut from
    #[arg(long, value_name = "base=CIDR,size=N")]
    default_address_pool: Vec<String>,
    /// MTU of networks
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u32>,
    /// DNS server of containers
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<String>,
    /// DNS search domain of containers
    #[arg(long, value_name = "DOMAIN")]
    dns_search: Vec<String>,
    /// DNS option of containers
    #[arg(long, value_name = "OPTION")]
    dns_opt: Vec<String>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Containers")]
struct ContainerArguments {
    /// Log driver of containers
    #[arg(long, value_name = "NAME")]
    log_driver: Option<String>,
    /// Option of the log driver
    #[arg(long, value_name = "KEY=VALUE")]
    log_opt: Vec<String>,
    /// Size of /dev/shm
    #[arg(long, value_name = "SIZE")]
    default_shm_size: Option<String>,
    /// Limit of containers' processes
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    default_ulimit: Vec<String>,
    /// cgroup that holds the containers' cgroups
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<String>,
    /// Run an init process in every container
    #[arg(long)]
    init: bool,
    /// Map containers' root to this user's first subordinate id
    #[arg(long, value_name = "USER[:GROUP]")]
    userns_remap: Option<String>,
    /// Label of this machine, shown by info
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Log everything
    #[arg(long, short = 'D')]
    debug: bool,
}

impl EngineArguments {
    /// What these flags say; what was not given stays unsaid.
    pub(super) fn into_said(self) -> anyhow::Result<Said> {
        let log_opts: BTreeMap<String, String> =
            values::pairs("log-opt", &self.containers.log_opt)?
                .into_iter()
                .collect();
        Ok(Said {
            exec_root: self.exec_root,
            instance: self.instance,
            default_registry: self.default_registry,
            registry_mirrors: given(self.registry_mirror),
            insecure_registries: given(self.insecure_registry),
            registry_auth_file: self.registry_auth_file,
            max_concurrent_downloads: self.max_concurrent_downloads,
            max_concurrent_uploads: self.max_concurrent_uploads,
            max_layer_size: self.max_layer_size,
            bip: self.network.bip,
            default_address_pools: given(self.network.default_address_pool),
            mtu: self.network.mtu,
            dns: given(self.network.dns),
            dns_search: given(self.network.dns_search),
            dns_opts: given(self.network.dns_opt),
            log_driver: self.containers.log_driver,
            log_opts: (!log_opts.is_empty()).then_some(log_opts),
            default_shm_size: self.containers.default_shm_size,
            default_ulimits: given(self.containers.default_ulimit),
            cgroup_parent: self.containers.cgroup_parent,
            init: self.containers.init.then_some(true),
            userns_remap: self.containers.userns_remap,
            labels: given(self.containers.label),
            debug: self.containers.debug.then_some(true),
            ..Said::default()
        })
    }
}

fn given(values: Vec<String>) -> Option<Vec<String>> {
    (!values.is_empty()).then_some(values)
}

pub(crate) fn run(arguments: AgentArguments) -> Outcome {
    arguments.log.start(None)?;
    let said = Said {
        socket: arguments.api.socket,
        group: arguments.api.group,
        tcp: arguments.api.tcp,
        tls_ca_cert: arguments.api.tlscacert,
        tls_cert: arguments.api.tlscert,
        tls_key: arguments.api.tlskey,
        data: arguments.api.data,
        ..arguments.engine.into_said()?
    };
    let config = AgentConfig::load(said, arguments.config.as_deref())?;
    super::block_on(async {
        let shutdown = super::cancelled_by_signals()?;
        let announce = |ready: hythe_runner::Ready| {
            tracing::info!(socket = %ready.socket.display(), tcp = ?ready.tcp, "agent ready");
        };
        hythe_runner::run(config, None, announce, shutdown.cancelled_owned())
            .await
            .context("the agent ended")
    })
}
