//! Names of containers, answered inside each container at 127.0.0.11.
//!
//! A container on a user-defined network has a name server of its own: two sockets opened in its
//! namespace by a short-lived thread and served from here, so that the answer can depend on who
//! asks without trusting the asker. Port 53 of the container stays free for its own programs:
//! the sockets have ports of the kernel's choice, and one nft table *inside* the namespace leads
//! 127.0.0.11:53 to them. Where nft is missing they listen on port 53 itself.
//!
//! What [`zone`] does not know goes, byte for byte, to the container's upstream servers
//! ([`forward`]), asked from this host's namespace. `hickory-proto` reads and writes messages; the
//! server half of hickory is left out, because it would take a forwarded answer apart and put it
//! together again.
//!
//! The sockets die with the agent; the next one opens new ones.

mod forward;
mod serve;
mod zone;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use tokio::task::JoinHandle;

pub(super) use zone::{Zone, ZoneEntry};

use super::files::EMBEDDED_DNS;
use super::{Netns, NetworkError};
use crate::sys::netns::in_netns;
use crate::sys::program;

/// What a container may see, asked anew for each query; `None` once the agent is going away.
pub(super) type View = Arc<dyn Fn() -> Option<Zone> + Send + Sync>;

/// One container's name server; stops when dropped.
#[derive(Debug)]
pub(super) struct NameServer {
    task: JoinHandle<()>,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where a name server listens.
#[derive(Debug)]
struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Sockets {
    /// Opens both in the calling thread's namespace; port 0 lets the kernel choose.
    fn open(port: u16) -> io::Result<Self> {
        let sockets = Self {
            udp: UdpSocket::bind((EMBEDDED_DNS, port))?,
            tcp: TcpListener::bind((EMBEDDED_DNS, port))?,
        };
        sockets.udp.set_nonblocking(true)?;
        sockets.tcp.set_nonblocking(true)?;
        Ok(sockets)
    }
}

impl NameServer {
    /// Starts serving a container. Loopback must be up in `netns`.
    ///
    /// `table` names the nft table made inside; `resolvers` are asked in order.
    pub(super) async fn start(
        netns: &Netns,
        table: &str,
        resolvers: Vec<IpAddr>,
        view: View,
    ) -> Result<Self, NetworkError> {
        let sockets = match open_and_redirect(netns, table).await {
            Ok(sockets) => sockets,
            Err(error) => {
                tracing::warn!(%error, "the container's name server takes its port 53");
                in_netns(netns.clone(), || Sockets::open(53))
                    .await
                    .map_err(failed)?
            }
        };
        let resolvers = resolvers
            .into_iter()
            .map(|ip| SocketAddr::new(ip, 53))
            .collect();
        let server =
            serve::Server::new(sockets.udp, sockets.tcp, resolvers, view).map_err(failed)?;
        Ok(Self {
            task: tokio::spawn(server.run()),
        })
    }
}

async fn open_and_redirect(netns: &Netns, table: &str) -> Result<Sockets, NetworkError> {
    let sockets = in_netns(netns.clone(), || Sockets::open(0))
        .await
        .map_err(failed)?;
    let udp = sockets.udp.local_addr().map_err(failed)?.port();
    let tcp = sockets.tcp.local_addr().map_err(failed)?.port();
    let rules = redirect_rules(table, udp, tcp);
    let done = program::run_in_netns(netns.clone(), "nft", &["-f", "-"], rules)
        .await
        .map_err(failed)?;
    if done.success {
        Ok(sockets)
    } else {
        let first = done.stderr.lines().next().unwrap_or_default();
        Err(NetworkError::PacketFilter(first.to_owned()))
    }
}

/// Leads port 53 of 127.0.0.11 to the sockets. Replaces what an earlier agent left.
fn redirect_rules(table: &str, udp: u16, tcp: u16) -> String {
    let address = Ipv4Addr::new(127, 0, 0, 11);
    format!(
        "add table ip {table}
delete table ip {table}
table ip {table} {{
  chain output {{
    type nat hook output priority -100; policy accept;
    ip daddr {address} udp dport 53 dnat to {address}:{udp}
    ip daddr {address} tcp dport 53 dnat to {address}:{tcp}
  }}
}}
"
    )
}

fn failed(reason: io::Error) -> NetworkError {
    NetworkError::Kernel {
        step: "starting a name server in the container".to_owned(),
        reason,
    }
}
