//! The socket that holds a published port.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

use super::relay;
use crate::spec::PortProtocol;

/// Connections waiting to be relayed.
const BACKLOG: i32 = 128;

/// A bound socket, and the task that relays what arrives at it.
#[derive(Debug)]
pub(super) enum Holder {
    Relayed(JoinHandle<()>),
    /// SCTP is translated by the packet filter only.
    Bound {
        _socket: Socket,
    },
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Self::Relayed(task) = self {
            task.abort();
        }
    }
}

impl Holder {
    /// Binds `host` and relays to `container` what arrives there.
    pub(super) fn bind(
        protocol: PortProtocol,
        host: SocketAddr,
        container: SocketAddr,
    ) -> io::Result<Self> {
        let task = match protocol {
            PortProtocol::Tcp => {
                let socket = bound(host, Type::STREAM, Protocol::TCP)?;
                socket.listen(BACKLOG)?;
                let listener = TcpListener::from_std(socket.into())?;
                tokio::spawn(relay::tcp(listener, container))
            }
            PortProtocol::Udp => {
                let socket = bound(host, Type::DGRAM, Protocol::UDP)?;
                let socket = UdpSocket::from_std(socket.into())?;
                tokio::spawn(relay::udp(socket, container))
            }
            PortProtocol::Sctp => {
                let socket = bound(host, Type::STREAM, Protocol::SCTP)?;
                return Ok(Self::Bound { _socket: socket });
            }
        };
        Ok(Self::Relayed(task))
    }

    /// Gives the port back and returns when it is free. A mere drop frees it a little later,
    /// when the task next runs.
    pub(super) async fn close(mut self) {
        if let Self::Relayed(task) = &mut self {
            task.abort();
            // Ends with "cancelled", which is what was asked for.
            drop(task.await);
        }
    }
}

fn bound(host: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(host), kind, Some(protocol))?;
    if host.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if protocol == Protocol::TCP {
        // Relayed connections in TIME_WAIT must not keep the next container from the port; a
        // second listener is refused all the same.
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(host))?;
    Ok(socket)
}
