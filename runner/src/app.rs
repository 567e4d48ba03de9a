//! The composition root: builds the engine from the settings, restores what an earlier agent
//! left, serves the API.

use std::path::PathBuf;

use crate::config::AgentConfig;
use crate::engine::{Engine, EngineSettings, OpenError, RegistrySettings};
use crate::http::{self, ListenError};
use crate::idle;
use crate::image::Neighbour;

/// Size of `/dev/shm` unless something else is said.
const DEFAULT_SHM_BYTES: u64 = 64 << 20;

/// Told once the API answers.
#[derive(Debug, Clone)]
pub struct Ready {
    pub socket: PathBuf,
    pub tcp: Option<std::net::SocketAddr>,
}

/// Why the agent could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot open the engine")]
    Open(#[from] OpenError),
    #[error("cannot serve the API")]
    Listen(#[from] ListenError),
}

/// Runs the agent until `shutdown` resolves; containers go on running.
///
/// `ready` is called once, when the first request can be answered. Layers of a `neighbour`, a
/// registry in the same process, are linked instead of copied.
pub async fn run(
    config: AgentConfig,
    neighbour: Option<Neighbour>,
    ready: impl FnOnce(Ready) + Send,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    // Both sockets first: a second agent with the same ones must not touch anything.
    let tls = match &config.api.tcp {
        Some(tcp) => Some(http::TlsListener::bind(tcp).await?),
        None => None,
    };
    let is_passed_on = config.api.is_passed_on;
    let listener = if is_passed_on {
        http::take_over(&config.api.socket)?
    } else {
        http::listen(&config.api.socket, config.api.group.as_deref())?
    };
    let socket = config.api.socket.clone();
    let engine = Engine::open(settings(config, neighbour)).await?;
    ready(Ready {
        socket: socket.clone(),
        tcp: tls.as_ref().map(http::TlsListener::address),
    });
    let idle = tokio::spawn(idle::give_back_when_idle());
    http::serve(listener, tls, engine.clone(), shutdown).await;
    idle.abort();
    engine.close();
    // A socket that nobody listens on looks like an agent that hangs; one that was passed on is
    // still listened on by its owner.
    if !is_passed_on && let Err(error) = std::fs::remove_file(&socket) {
        tracing::warn!(socket = %socket.display(), %error, "removing the socket");
    }
    Ok(())
}

/// The engine's part of the settings.
fn settings(config: AgentConfig, neighbour: Option<Neighbour>) -> EngineSettings {
    let containers = config.containers;
    EngineSettings {
        data_root: config.data_root,
        exec_root: config.exec_root,
        network: config.network,
        neighbour,
        registry: RegistrySettings {
            default_registry: config.registry.default_registry,
            mirrors: config.registry.mirrors,
            insecure: config.registry.insecure,
            auth_file: config.registry.auth_file,
            max_concurrent_downloads: config.registry.max_concurrent_downloads,
            max_concurrent_uploads: config.registry.max_concurrent_uploads,
            max_layer_bytes: config.registry.max_layer_bytes,
        },
        dns: config.dns.servers,
        dns_search: config.dns.search,
        dns_options: config.dns.options,
        log: containers.log,
        shm_size_bytes: containers.shm_size_bytes.unwrap_or(DEFAULT_SHM_BYTES),
        ulimits: containers.ulimits,
        cgroup_parent: containers.cgroup_parent,
        init: containers.init,
        userns_remap: containers.userns_remap,
        labels: config.labels,
        debug: config.debug,
    }
}
