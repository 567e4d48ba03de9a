//! The loops that take queries from a container's two sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::View;
use super::forward::{self, read_message, write_message};
use super::zone::{self, Transport, Verdict};

/// Queries of one container in the works; more wait, and their senders ask again.
const MAX_IN_FLIGHT: usize = 512;
/// A TCP client that says nothing for this long is cut off (RFC 7766, 6.2.3).
const TCP_IDLE: Duration = Duration::from_secs(10);

/// One container's server, not yet running.
pub(super) struct Server {
    udp: Arc<UdpSocket>,
    tcp: TcpListener,
    asked: Arc<Asked>,
}

/// What every query needs.
struct Asked {
    resolvers: Vec<SocketAddr>,
    view: View,
}

impl Server {
    /// Takes sockets that were opened in the container and are non-blocking.
    pub(super) fn new(
        udp: std::net::UdpSocket,
        tcp: std::net::TcpListener,
        resolvers: Vec<SocketAddr>,
        view: View,
    ) -> io::Result<Self> {
        Ok(Self {
            udp: Arc::new(UdpSocket::from_std(udp)?),
            tcp: TcpListener::from_std(tcp)?,
            asked: Arc::new(Asked { resolvers, view }),
        })
    }

    /// Serves until aborted; every query in the works ends with it.
    pub(super) async fn run(self) {
        let mut works = JoinSet::new();
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            while works.try_join_next().is_some() {}
            if works.len() >= MAX_IN_FLIGHT {
                works.join_next().await;
            }
            tokio::select! {
                received = self.udp.recv_from(&mut buffer) => {
                    // An error is about an answer sent earlier; its client is gone.
                    let Ok((n_bytes, client)) = received else { continue };
                    let query = buffer[..n_bytes].to_vec();
                    let (socket, asked) = (Arc::clone(&self.udp), Arc::clone(&self.asked));
                    works.spawn(async move {
                        if let Some(answer) = asked.answer(&query, Transport::Udp).await {
                            drop(socket.send_to(&answer, client).await);
                        }
                    });
                }
                accepted = self.tcp.accept() => match accepted {
                    Ok((stream, _)) => {
                        let asked = Arc::clone(&self.asked);
                        works.spawn(async move {
                            // A client that goes away is no news.
                            drop(asked.serve_tcp(stream).await);
                        });
                    }
                    // Out of descriptors: wait for some to come back.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
            }
        }
    }
}

impl Asked {
    async fn answer(&self, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let zone = (self.view)()?;
        match zone::answer(query, &zone, transport) {
            Verdict::Reply(answer) => Some(answer),
            Verdict::Ignore => None,
            Verdict::Forward => match forward::ask(&self.resolvers, query, transport).await {
                Some(answer) => Some(answer),
                None => zone::failure(query, ResponseCode::ServFail),
            },
        }
    }

    async fn serve_tcp(&self, mut stream: TcpStream) -> io::Result<()> {
        while let Ok(query) = timeout(TCP_IDLE, read_message(&mut stream)).await {
            let Some(answer) = self.answer(&query?, Transport::Tcp).await else {
                return Ok(());
            };
            timeout(TCP_IDLE, write_message(&mut stream, &answer)).await??;
        }
        Ok(())
    }
}
