//! The long-running modes: registry, agent, and both in one process.
//!
//! Each file turns flags into the library crate's own settings, starts it on a many-threaded
//! runtime, and ends it on SIGTERM or SIGINT. What the registry and the agent do is theirs.

pub(crate) mod agent;
mod logging;
pub(crate) mod server;
mod traces;
pub(crate) mod up;

use std::future::Future;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Outcome;

/// Runs `work` to its end on a runtime with a thread per CPU.
fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(work)?;
    Ok(0)
}

/// A token that is cancelled by the first SIGTERM or SIGINT.
fn cancelled_by_signals() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        cancelled.cancel();
    });
    Ok(token)
}
