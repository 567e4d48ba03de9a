//! Running a piece of code inside another network namespace.

use std::io;
use std::os::fd::AsFd;
use std::thread;

use nix::sched::{CloneFlags, setns};

/// Runs `work` on a short-lived thread that has entered `netns`, and returns what it made.
///
/// setns(2) moves one thread for good, so a borrowed runtime thread must never do it. Sockets
/// that `work` opens stay in that namespace wherever they are used afterwards; its view of
/// `/proc/sys/net` is that namespace's too.
pub async fn in_netns<N, W, T>(netns: N, work: W) -> io::Result<T>
where
    N: AsFd + Send + 'static,
    W: FnOnce() -> io::Result<T> + Send + 'static,
    T: Send + 'static,
{
    let (sender, receiver) = tokio::sync::oneshot::channel();
    thread::Builder::new()
        .name("netns".to_owned())
        .spawn(move || {
            let done = setns(netns.as_fd(), CloneFlags::CLONE_NEWNET)
                .map_err(io::Error::from)
                .and_then(|()| work());
            // The caller may have been cancelled meanwhile; what was made is dropped with it.
            drop(sender.send(done));
        })?;
    receiver
        .await
        .map_err(|_| io::Error::other("the thread in the namespace panicked"))?
}
