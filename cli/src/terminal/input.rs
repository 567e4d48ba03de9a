//! Standard input as a channel.
//!
//! It is read by a thread of its own: a read of a terminal cannot be called off, and the process
//! must be able to end while one is pending. The thread dies with the process.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;

use bytes::Bytes;
use tokio::sync::mpsc;

const BUFFER_BYTES: usize = 64 * 1024;
/// Buffers that wait for a slow container; then reading stops, and whoever writes to us waits.
const QUEUE_BUFFERS: usize = 4;

/// Starts reading. The channel closes at the end of the input.
pub(crate) fn standard_input() -> io::Result<mpsc::Receiver<io::Result<Bytes>>> {
    // A duplicate: std's own handle would put a second, small buffer in between.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (sender, receiver) = mpsc::channel(QUEUE_BUFFERS);
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let mut buffer = vec![0; BUFFER_BYTES];
            loop {
                let piece = match input.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(n_bytes) => Ok(Bytes::copy_from_slice(&buffer[..n_bytes])),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let failed = piece.is_err();
                if sender.blocking_send(piece).is_err() || failed {
                    return;
                }
            }
        })?;
    Ok(receiver)
}
