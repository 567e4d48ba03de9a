//! Asking the container's upstream servers, in order, byte for byte.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::zone::Transport;

/// How long one server may take. With three servers a client that waits five seconds, as most
/// resolvers do, still hears of the second one's answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// SERVFAIL and REFUSED: the next server may know better.
const TRY_NEXT: [u8; 2] = [2, 5];
const HEADER_LENGTH: usize = 12;

/// The first useful answer; else the last refusal; `None` when nobody answered.
pub(super) async fn ask(
    servers: &[SocketAddr],
    query: &[u8],
    transport: Transport,
) -> Option<Vec<u8>> {
    let mut refusal = None;
    for &server in servers {
        let asked = async {
            match transport {
                Transport::Udp => ask_udp(server, query).await,
                Transport::Tcp => ask_tcp(server, query).await,
            }
        };
        match timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) if refuses(&answer) => refusal = Some(answer),
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => tracing::debug!(%server, %error, "a name server failed"),
            Err(_) => tracing::debug!(%server, "a name server did not answer in time"),
        }
    }
    refusal
}

fn refuses(answer: &[u8]) -> bool {
    answer
        .get(3)
        .is_none_or(|flags| TRY_NEXT.contains(&(flags & 0x0f)))
}

async fn ask_udp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = if server.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    // A fresh port for each query, connected: only the server asked can answer.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let n_bytes = socket.recv(&mut buffer).await?;
        let answer = &buffer[..n_bytes];
        if n_bytes >= HEADER_LENGTH && answer.get(..2) == query.get(..2) {
            return Ok(answer.to_vec());
        }
    }
}

async fn ask_tcp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write_message(&mut stream, query).await?;
    read_message(&mut stream).await
}

/// Reads one message with its length before it (RFC 1035, 4.2.2).
pub(super) async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let n_bytes = stream.read_u16().await?;
    let mut message = vec![0; usize::from(n_bytes)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes one message with its length before it.
pub(super) async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let n_bytes = u16::try_from(message.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "DNS message too long"))?;
    // In one piece: some servers take a lone length for a broken client.
    let mut framed = n_bytes.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}
