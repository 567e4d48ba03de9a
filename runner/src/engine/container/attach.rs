//! Connecting callers to the standard streams of a container or exec.
//!
//! A caller may come before the container is started; it is then connected between the making of
//! the process and its first instruction, so that it sees the first byte.

use std::io;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{Notify, oneshot};

use super::cell::{Container, PendingAttach};
use super::request::{AttachOptions, LogOptions};
use super::start::launch_error;
use crate::engine::detach_keys::DetachKeys;
use crate::engine::stream::{Attached, OutputStream};
use crate::engine::{Engine, EngineError};
use crate::launch::{AttachInput, AttachStdio, AttachStream};
use crate::spec::{ContainerRef, ContainerState};

/// What a caller types ahead of the program; beyond that it waits.
const INPUT_BUFFER_BYTES: usize = 64 << 10;

impl Engine {
    /// Connects to the standard streams; before a start it sees the first byte.
    pub async fn attach_container(
        &self,
        container: &ContainerRef,
        options: AttachOptions,
    ) -> Result<Attached, EngineError> {
        let container = self.find_container(container)?;
        let (tty, open_stdin) = container.read(|r| (r.config.tty, r.config.open_stdin));
        let keys = DetachKeys::parse(options.detach_keys.as_deref(), tty)?;
        let stdio = AttachStdio {
            stdin: options.stdin && open_stdin,
            stdout: options.stdout,
            stderr: options.stderr && !tty,
        };
        let replay = if options.logs {
            Some(self.replay(&container, &options).await?)
        } else {
            None
        };
        let live = if options.stream {
            let source = source(&container, stdio).await?;
            self.container_event(&container, "attach", &[]);
            let (engine, of) = (self.clone(), Arc::clone(&container));
            let detached = move || engine.container_event(&of, "detach", &[]);
            Some(connect(source, stdio, tty.then_some(keys), detached))
        } else {
            None
        };
        let (live_output, input) = live.unzip();
        let parts: Vec<OutputStream> = replay.into_iter().chain(live_output).collect();
        Ok(Attached {
            tty,
            output: stream::iter(parts).flatten().boxed(),
            input: input.flatten(),
        })
    }

    async fn replay(
        &self,
        container: &Arc<Container>,
        options: &AttachOptions,
    ) -> Result<OutputStream, EngineError> {
        let logs = self.logs_of(
            container,
            LogOptions {
                stdout: options.stdout,
                stderr: options.stderr,
                ..LogOptions::default()
            },
        );
        Ok(logs.await?.output)
    }
}

/// The streams of the running container, or of its next run.
async fn source(
    container: &Arc<Container>,
    stdio: AttachStdio,
) -> Result<oneshot::Receiver<AttachStream>, EngineError> {
    let (connected, source) = oneshot::channel();
    // In turn with starts: a container is either found running or gets word of us in time.
    let verb = container.verb().await;
    match verb.state() {
        ContainerState::Paused(_) => {
            return Err(EngineError::Conflict(format!(
                "container {} is paused, unpause the container before attach",
                container.id()
            )));
        }
        ContainerState::Restarting(_) => {
            return Err(EngineError::Conflict(format!(
                "container {} is restarting, wait until the container is running",
                container.id()
            )));
        }
        ContainerState::Removing | ContainerState::Dead => {
            return Err(EngineError::no_such_container(container.id()));
        }
        ContainerState::Running(_) => {
            let shim = container.running_shim()?;
            let stream = shim.attach(stdio).await.map_err(launch_error)?;
            drop(connected.send(stream));
        }
        ContainerState::Created | ContainerState::Exited(_) => {
            container.add_pending_attach(PendingAttach { stdio, connected });
        }
    }
    Ok(source)
}

/// Joins a caller to streams that are there or will be; `detached` is called when the detach
/// keys were typed, which end the output as well. Without a terminal there are no such keys:
/// what is piped in may hold any bytes.
pub(crate) fn connect(
    source: oneshot::Receiver<AttachStream>,
    stdio: AttachStdio,
    keys: Option<DetachKeys>,
    detached: impl FnOnce() + Send + 'static,
) -> (OutputStream, Option<crate::engine::InputSink>) {
    let let_go = Arc::new(Notify::new());
    let (output_sender, output) = oneshot::channel();
    let (input, typed) = tokio::io::duplex(INPUT_BUFFER_BYTES);
    let let_go_of_output = Arc::clone(&let_go);
    tokio::spawn(async move {
        // Without a source the run never came; both ends then close.
        let Ok(AttachStream { output, input }) = source.await else {
            return;
        };
        drop(output_sender.send(output));
        if stdio.stdin && pump_input(typed, input, keys).await {
            detached();
            let_go.notify_one();
        }
    });
    let output = stream::once(output)
        .filter_map(|opened| std::future::ready(opened.ok()))
        .flatten()
        .map(|chunk| chunk.map_err(|error| EngineError::internal("reading output", &error)))
        .take_until(Box::pin(async move { let_go_of_output.notified().await }))
        .boxed();
    let input: Option<crate::engine::InputSink> = if stdio.stdin {
        Some(Box::pin(input))
    } else {
        None
    };
    (output, input)
}

/// Passes typed bytes on until either side ends; true when the detach keys were typed.
async fn pump_input(
    mut typed: DuplexStream,
    mut input: AttachInput,
    mut keys: Option<DetachKeys>,
) -> bool {
    let mut buffer = vec![0; INPUT_BUFFER_BYTES];
    let mut pump = async || -> io::Result<bool> {
        loop {
            let n_bytes = typed.read(&mut buffer).await?;
            if n_bytes == 0 {
                if let Some(keys) = &mut keys {
                    input.write_all(&keys.held_back()).await?;
                }
                input.shutdown().await?;
                return Ok(false);
            }
            let detached = if let Some(keys) = &mut keys {
                let step = keys.typed(&buffer[..n_bytes]);
                input.write_all(&step.passed).await?;
                step.detached
            } else {
                input.write_all(&buffer[..n_bytes]).await?;
                false
            };
            input.flush().await?;
            if detached {
                return Ok(true);
            }
        }
    };
    // A program that no longer reads ends the pump; the caller notices at its next write.
    pump().await.unwrap_or(false)
}
