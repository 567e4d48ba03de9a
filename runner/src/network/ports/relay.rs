//! Carries to the container what the packet filter did not.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Clients served at the same time on one port.
const MAX_CLIENTS: usize = 1024;
/// A UDP client that says nothing for this long is forgotten.
const UDP_IDLE: Duration = Duration::from_secs(90);
/// Datagrams waiting for one client's task; more are dropped, as UDP may.
const UDP_QUEUE: usize = 64;
const MAX_DATAGRAM: usize = 65_535;

/// Accepts until aborted; every connection ends with it.
pub(super) async fn tcp(listener: TcpListener, container: SocketAddr) {
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        if clients.len() >= MAX_CLIENTS {
            clients.join_next().await;
        }
        match listener.accept().await {
            Ok((client, _)) => {
                clients.spawn(tcp_client(client, container));
            }
            // Out of descriptors, or the client is gone already: neither is a reason to stop,
            // nor to spin.
            Err(error) => {
                tracing::debug!(%error, %container, "accepting on a published port");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn tcp_client(mut client: TcpStream, container: SocketAddr) {
    let relayed = async {
        let mut server = TcpStream::connect(container).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        tokio::io::copy_bidirectional(&mut client, &mut server).await
    };
    if let Err(error) = relayed.await {
        tracing::debug!(%error, %container, "relaying a connection to a published port");
    }
}

/// Relays datagrams until aborted, with one socket towards the container for each client, so
/// that replies find their way back.
pub(super) async fn udp(socket: UdpSocket, container: SocketAddr) {
    let socket = Arc::new(socket);
    let mut queues: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>> = HashMap::new();
    let mut clients = JoinSet::new();
    let mut buffer = vec![0_u8; MAX_DATAGRAM];
    loop {
        tokio::select! {
            Some(ended) = clients.join_next() => {
                if let Ok(client) = ended {
                    queues.remove(&client);
                }
            }
            received = socket.recv_from(&mut buffer) => {
                // An error here is an ICMP message about an earlier reply.
                let Ok((n_bytes, client)) = received else { continue };
                if !queues.contains_key(&client) {
                    if queues.len() >= MAX_CLIENTS {
                        continue;
                    }
                    let (sender, queue) = mpsc::channel(UDP_QUEUE);
                    let near = Arc::clone(&socket);
                    clients.spawn(async move {
                        if let Err(error) = udp_client(&near, client, container, queue).await {
                            tracing::debug!(%error, %container, "relaying a published UDP port");
                        }
                        client
                    });
                    queues.insert(client, sender);
                }
                if let Some(queue) = queues.get(&client) {
                    // A full queue means a slow container: the datagram is lost.
                    drop(queue.try_send(buffer[..n_bytes].to_vec()));
                }
            }
        }
    }
}

async fn udp_client(
    near: &UdpSocket,
    client: SocketAddr,
    container: SocketAddr,
    mut queue: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    let any: SocketAddr = if container.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let far = UdpSocket::bind(any).await?;
    far.connect(container).await?;
    let mut buffer = vec![0_u8; MAX_DATAGRAM];
    loop {
        tokio::select! {
            datagram = queue.recv() => match datagram {
                Some(datagram) => { far.send(&datagram).await?; }
                None => return Ok(()),
            },
            received = far.recv(&mut buffer) => {
                let n_bytes = received?;
                near.send_to(&buffer[..n_bytes], client).await?;
            }
            () = tokio::time::sleep(UDP_IDLE) => return Ok(()),
        }
    }
}
