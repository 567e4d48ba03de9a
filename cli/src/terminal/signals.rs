//! Signals as streams.

use std::io;
use std::pin::Pin;

use futures_util::stream::{self, SelectAll, Stream, StreamExt as _};
use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// Signals that are ours: they tell of our own children, pipes and faults, or cannot be caught.
const NOT_PASSED_ON: [Signal; 9] = [
    Signal::SIGCHLD,
    Signal::SIGPIPE,
    Signal::SIGKILL,
    Signal::SIGSTOP,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGTRAP,
];

type SignalStream = Pin<Box<dyn Stream<Item = Signal> + Send>>;

/// All signals that a user may mean for the container.
pub(crate) struct Signals(SelectAll<SignalStream>);

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signals")
    }
}

impl Signals {
    /// Takes over every signal that can be passed on. `SIGURG` and `SIGWINCH` are left out: the
    /// former is what runtimes wake threads with, the latter is answered by a resize.
    pub(crate) fn catch() -> io::Result<Self> {
        let streams = Signal::iterator()
            .filter(|signal| !NOT_PASSED_ON.contains(signal))
            .filter(|signal| !matches!(signal, Signal::SIGURG | Signal::SIGWINCH))
            .map(stream_of)
            .collect::<io::Result<Vec<_>>>()?;
        Ok(Self(stream::select_all(streams)))
    }

    /// The next signal. Never ends while the runtime lives.
    pub(crate) async fn next(&mut self) -> Option<Signal> {
        self.0.next().await
    }
}

/// The signals that end a command which passes none on: with the terminal in raw mode the
/// default action would leave it so.
pub(crate) async fn end_of_command() -> io::Result<Signal> {
    let streams = [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
    ]
    .map(stream_of)
    .into_iter()
    .collect::<io::Result<Vec<_>>>()?;
    match stream::select_all(streams).next().await {
        Some(signal) => Ok(signal),
        None => std::future::pending().await,
    }
}

/// Yields once for each change of the terminal's size.
pub(crate) fn size_changes() -> io::Result<impl Stream<Item = ()> + Send + Unpin> {
    Ok(stream_of(Signal::SIGWINCH)?.map(|_| ()))
}

fn stream_of(number: Signal) -> io::Result<SignalStream> {
    let mut listener = signal(SignalKind::from_raw(number as i32))?;
    Ok(Box::pin(
        stream::poll_fn(move |context| listener.poll_recv(context)).map(move |()| number),
    ))
}
