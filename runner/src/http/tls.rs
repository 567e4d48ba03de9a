//! The API on TCP, for clients whose certificate a given authority signed, and for nobody else:
//! whoever is let in is root on this machine.
//!
//! A handshake happens in the connection's own task and has a time limit, and only so many are
//! under way at once: a stranger can neither hold up the clients nor fill the memory.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ServerConfig, WebPkiClientVerifier};
use tokio_rustls::server::TlsStream;

use super::listen::ListenError;
use crate::config::TcpConfig;

/// A client that needs longer is not one of ours.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Handshakes under way at once.
const MAX_HANDSHAKES: usize = 256;
/// A peer that is silent this long is asked whether it is still there, so that a stream to a
/// machine that lost its power ends.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Time between further such questions; the kernel gives up after nine.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// A TCP socket behind which certificates are asked for.
#[derive(Debug)]
pub struct TlsListener {
    listener: TcpListener,
    address: SocketAddr,
    handshakes: Handshakes,
}

#[derive(Clone)]
struct Handshakes {
    acceptor: TlsAcceptor,
    slots: Arc<Semaphore>,
}

impl std::fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The acceptor holds the private key.
        f.debug_struct("Handshakes")
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

impl TlsListener {
    /// Reads the certificates and binds the address.
    pub async fn bind(config: &TcpConfig) -> Result<Self, ListenError> {
        let acceptor = TlsAcceptor::from(Arc::new(server_config(config)?));
        let failed = |source| ListenError::Tcp {
            address: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let slots = Arc::new(Semaphore::new(MAX_HANDSHAKES));
        Ok(Self {
            listener,
            address,
            handshakes: Handshakes { acceptor, slots },
        })
    }

    /// The address clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for somebody to connect, who then has to be let in.
    pub(super) async fn accept(&self) -> io::Result<Knock> {
        let slots = self.handshakes.slots.clone();
        let slot = slots.acquire_owned().await.map_err(io::Error::other)?;
        let (stream, peer) = self.listener.accept().await?;
        Ok(Knock {
            stream,
            peer,
            acceptor: self.handshakes.acceptor.clone(),
            slot,
        })
    }
}

/// A connection on which nobody has shown a certificate yet.
pub(super) struct Knock {
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    slot: OwnedSemaphorePermit,
}

impl Knock {
    /// The connection, once the client has proven who it is.
    pub(super) async fn let_in(self) -> Option<TlsStream<TcpStream>> {
        let peer = self.peer;
        match self.handshake().await {
            Ok(stream) => Some(stream),
            Err(error) => {
                tracing::info!(%peer, %error, "client not let in");
                None
            }
        }
    }

    async fn handshake(self) -> io::Result<TlsStream<TcpStream>> {
        // Lines of JSON and keystrokes are small, and each is waited for.
        self.stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE)
            .with_interval(KEEPALIVE_INTERVAL);
        SockRef::from(&self.stream).set_tcp_keepalive(&keepalive)?;
        let handshake = self.acceptor.accept(self.stream);
        let stream = tokio::time::timeout(HANDSHAKE_LIMIT, handshake).await??;
        drop(self.slot);
        Ok(stream)
    }
}

fn server_config(config: &TcpConfig) -> Result<ServerConfig, ListenError> {
    let wrong = |path: &Path, reason: &dyn std::fmt::Display| ListenError::Certificate {
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    let mut roots = RootCertStore::empty();
    for authority in certificates(&config.ca_cert)? {
        let added = roots.add(authority);
        added.map_err(|error| wrong(&config.ca_cert, &error))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    // Without `allow_unauthenticated`: a client that shows nothing is refused.
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| wrong(&config.ca_cert, &error))?;
    let key = PrivateKeyDer::from_pem_file(&config.key);
    let key = key.map_err(|error| wrong(&config.key, &error))?;
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&config.cert, &error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&config.cert)?, key)
        .map_err(|error| wrong(&config.cert, &error))?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

/// Every certificate of a PEM file, of which there must be one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ListenError> {
    let wrong = |reason: String| ListenError::Certificate {
        path: path.to_owned(),
        reason,
    };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() {
        return Err(wrong("holds no certificate".to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_that_hold_no_certificates_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let cases = [
            (directory.path().join("absent"), "absent"),
            (file("empty", ""), "empty: holds no certificate"),
            (file("broken", broken), "broken: "),
        ];
        for (ca_cert, expected) in cases {
            let config = TcpConfig {
                listen: "127.0.0.1:0".parse().unwrap(),
                cert: ca_cert.clone(),
                key: ca_cert.clone(),
                ca_cert,
            };
            let error = TlsListener::bind(&config).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
