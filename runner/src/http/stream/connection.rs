//! What the API is spoken over: a unix socket, or TLS on TCP.
//!
//! The two differ in what a client's end looks like. A unix socket tells one that only shut down
//! its writing side from one that is gone. Over TLS the first says so (`close_notify`), but many
//! clients say it as well when they leave.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, Ready};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use crate::sys::socket;

/// How often a client is looked at that has not read yet, and how many times.
const LOOK: Duration = Duration::from_millis(1);
const N_LOOKS: usize = 20;

/// A client's connection.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Whether an end of file means no more than that the client has nothing left to send.
    const TELLS_HALF_CLOSE: bool;

    /// Watches through a descriptor of its own, so that readiness seen there is not taken away
    /// from whoever writes to the stream.
    fn watch(&self) -> io::Result<PeerClosed>;
}

impl Connection for UnixStream {
    const TELLS_HALF_CLOSE: bool = true;

    fn watch(&self) -> io::Result<PeerClosed> {
        let descriptor = self.as_fd().try_clone_to_owned()?;
        UnixStream::from_std(descriptor.into()).map(PeerClosed::Unix)
    }
}

impl Connection for TlsStream<TcpStream> {
    const TELLS_HALF_CLOSE: bool = false;

    fn watch(&self) -> io::Result<PeerClosed> {
        let descriptor = self.get_ref().0.as_fd().try_clone_to_owned()?;
        TcpStream::from_std(descriptor.into()).map(PeerClosed::Tcp)
    }
}

/// Tells when a client has closed its socket altogether, not just its writing side. Reading
/// cannot tell the two apart, and an idle output would never notice. Over TCP that is a reset.
#[derive(Debug)]
pub(crate) enum PeerClosed {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl PeerClosed {
    pub(crate) async fn wait(&self) {
        // An error means the runtime is shutting down: the connection ends either way.
        while let Ok(ready) = self.ready().await {
            if ready.is_write_closed() {
                return;
            }
            // "Would block" makes tokio wait for the next change instead of telling this one
            // again and again.
            let blocked = || Err(io::ErrorKind::WouldBlock.into());
            let (Ok(()) | Err(_)) = match self {
                Self::Unix(socket) => socket.try_io(Interest::WRITABLE, blocked),
                Self::Tcp(socket) => socket.try_io(Interest::WRITABLE, blocked),
            };
        }
    }

    /// Gives the client a moment to read all that was sent so far. Some read the head of an
    /// answer through a buffer and what follows past it: they lose what came along with the head
    /// (docker-py does).
    pub(crate) async fn let_read(&self) {
        let Self::Unix(stream) = self else {
            // Of TCP only the arrival can be seen.
            return;
        };
        for _ in 0..N_LOOKS {
            if !socket::unread_bytes(stream.as_fd()).is_ok_and(|n_bytes| n_bytes > 0) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn ready(&self) -> io::Result<Ready> {
        match self {
            Self::Unix(socket) => socket.ready(Interest::WRITABLE).await,
            Self::Tcp(socket) => socket.ready(Interest::WRITABLE).await,
        }
    }
}
