//! `hythe up`: registry and agent in one process, on embedded defaults.
//!
//! Both stop together: on a signal, and when either of them fails. Containers go on running.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use hythe_runner::Neighbour;
use hythe_runner::config::{AgentConfig, Said};
use hythe_server::config::{Config, Sources};

use super::agent::EngineArguments;
use super::logging::LogArguments;
use crate::failure::Outcome;

#[derive(Debug, Args)]
pub(crate) struct UpArguments {
    /// Folder for everything: images pushed, containers, volumes
    #[arg(
        long,
        env = "HYTHE_DATA",
        value_name = "DIR",
        default_value = "/var/lib/hythe"
    )]
    data: PathBuf,
    /// Address of the registry
    #[arg(
        long,
        env = "HYTHE_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:5000"
    )]
    listen: SocketAddr,
    /// Serve plain HTTP on an address that other machines can reach
    #[arg(long)]
    allow_insecure_listen: bool,
    /// Unix socket of the agent's API
    #[arg(
        long,
        env = "HYTHE_SOCKET",
        value_name = "PATH",
        default_value = "/run/hythe/hythe.sock"
    )]
    socket: PathBuf,
    /// Configuration file of the registry
    #[arg(long, env = "HYTHE_SERVER_CONFIG", value_name = "FILE")]
    server_config: Option<PathBuf>,
    /// Configuration file of the agent
    #[arg(long, env = "HYTHE_AGENT_CONFIG", value_name = "FILE")]
    agent_config: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineArguments,
    #[command(flatten)]
    log: LogArguments,
}

pub(crate) fn run(arguments: UpArguments) -> Outcome {
    let registry_data = arguments.data.join("registry");
    let mut flags = vec![
        ("listen", arguments.listen.to_string()),
        ("data", registry_data.display().to_string()),
    ];
    if arguments.allow_insecure_listen {
        flags.push(("allow_insecure_listen", "true".to_owned()));
    }
    let server = Config::load(&Sources {
        file: arguments.server_config,
        flags,
    })?;
    let said = Said {
        socket: Some(arguments.socket),
        // As the two have it when they run on their own: the registry inside the agent's folder.
        data: Some(arguments.data),
        ..arguments.engine.into_said()?
    };
    let agent = AgentConfig::load(said, arguments.agent_config.as_deref())?;
    let _traces = arguments.log.start(Some(&server.telemetry))?;
    super::block_on(serve_both(server, agent))
}

async fn serve_both(server: Config, agent: AgentConfig) -> anyhow::Result<()> {
    let shutdown = super::cancelled_by_signals()?;
    // The registry first: the agent may be asked to pull from it as soon as it answers.
    let server = hythe_server::Server::bind(server)
        .await
        .context("the registry cannot start")?;
    let registry = server.local_addr();
    let files = server.blob_files();
    let neighbour = Neighbour {
        address: registry,
        find: Arc::new(move |repository, digest| {
            let files = files.clone();
            Box::pin(async move { files.find(&repository, &digest).await })
        }),
    };
    let announce = move |ready: hythe_runner::Ready| {
        // Whoever started us may wait for this line; it is the only one on standard output.
        let mut stdout = std::io::stdout().lock();
        let said = writeln!(
            stdout,
            "hythe: ready registry=http://{registry} socket=unix://{}",
            ready.socket.display()
        )
        .and_then(|()| stdout.flush());
        if let Err(error) = said {
            tracing::warn!(%error, "the ready line cannot be written");
        }
    };
    let registry_ended = async {
        let ended = server.run(shutdown.clone().cancelled_owned()).await;
        shutdown.cancel();
        ended.context("the registry ended")
    };
    let agent_ended = async {
        let stop = shutdown.clone().cancelled_owned();
        let ended = hythe_runner::run(agent, Some(neighbour), announce, stop).await;
        shutdown.cancel();
        ended.context("the agent ended")
    };
    let (registry, agent) = tokio::join!(registry_ended, agent_ended);
    if let (Err(_), Err(error)) = (&registry, &agent) {
        // The registry's error is the one that is returned.
        tracing::error!(error = format!("{error:#}"), "the agent ended as well");
    }
    registry.and(agent)
}
