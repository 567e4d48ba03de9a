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
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Outcome;

/// How long a thread for work that blocks waits for more of it, and how often it gets some.
const IDLE_THREAD: Duration = Duration::from_secs(15);
const KEPT_BUSY: Duration = Duration::from_secs(8);

/// To be called first, while there is one thread.
pub(crate) fn prepare() {
    hythe_runner::sys::footprint::share_arenas();
}

/// Runs `work` to its end on a runtime with a thread per CPU.
fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_keep_alive(IDLE_THREAD)
        .build()
        .context("cannot start the runtime")?;
    runtime.spawn(keep_a_thread());
    runtime.block_on(work)?;
    Ok(0)
}

/// Keeps one of the threads that work which blocks is given to. Where no process and no thread
/// can be made any more, the runtime has such work wait for those that are there; with none, it
/// would panic.
async fn keep_a_thread() {
    loop {
        drop(tokio::task::spawn_blocking(|| ()).await);
        tokio::time::sleep(KEPT_BUSY).await;
    }
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
