//! The composition root: builds the floors, restores what an earlier agent left, serves the API.

use std::path::PathBuf;

use crate::config::AgentConfig;

/// Told once the API answers.
#[derive(Debug, Clone)]
pub struct Ready {
    pub socket: PathBuf,
    pub tcp: Option<std::net::SocketAddr>,
}

/// Why the agent could not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot serve the API on {socket}")]
    Serve {
        socket: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// Runs the agent until `shutdown` resolves; containers go on running.
///
/// `ready` is called once, when the first request can be answered.
pub async fn run(
    config: AgentConfig,
    ready: impl FnOnce(Ready) + Send,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    let _ = (config, ready);
    shutdown.await;
    todo!()
}
