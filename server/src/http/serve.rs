//! Connections: accepting, limits against idle ones, an end in good order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Version};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use hythe_oci::HeardOut;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt as _;

use super::Api;
use super::access::CertificateName;
use super::client::Secured;
use super::file_stream::{FileStream, SendsFiles};
use super::router::router;
use super::tap::{self, Tap, Transport};
use crate::config::HttpConfig;
use crate::tls::{Certificates, TlsError, name_in};

/// A client that needs longer to say hello is not one.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// For how long a client of HTTP/2 may leave a ping unanswered. It need not be
/// gone: one that writes a layer to a slow disk reads nothing meanwhile, pings
/// included, and its pull is not to break for that.
const SILENCE_LIMIT: Duration = Duration::from_mins(10);

/// A bound address that serves the API.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    config: HttpConfig,
    certificates: Option<Arc<Certificates>>,
}

/// Why an address cannot be served on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error(transparent)]
    Bind(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What a connection needs; cheap to clone.
#[derive(Clone)]
struct Connections {
    router: Router,
    builder: Arc<Builder<TokioExecutor>>,
    certificates: Option<Arc<Certificates>>,
}

/// What is known of a connection before its first request.
#[derive(Clone)]
struct Peer {
    address: SocketAddr,
    is_secured: bool,
    certificate: Option<CertificateName>,
}

impl Listener {
    /// Binds the configured address, and reads or makes its certificate.
    pub(crate) async fn bind(config: HttpConfig) -> Result<Self, ListenError> {
        let socket = TcpListener::bind(config.listen).await?;
        let certificates = config.tls.as_ref().map(Certificates::load).transpose()?;
        Ok(Self {
            socket,
            config,
            certificates: certificates.map(Arc::new),
        })
    }

    /// The address, with the port that was picked.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `shutdown`; then accepts nothing new and gives requests
    /// under way their grace.
    pub(crate) async fn serve(self, api: Api, shutdown: impl Future<Output = ()>) {
        let following = self.certificates.clone();
        let following = following.map(|files| tokio::spawn(files.follow()));
        let connections = Connections {
            router: router(api),
            builder: Arc::new(builder(&self.config)),
            certificates: self.certificates,
        };
        let graceful = GracefulShutdown::new();
        let slots = Arc::new(Semaphore::new(self.config.connections));
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.socket, &slots) => accepted,
                () = &mut shutdown => break,
            };
            let Some((stream, address, slot)) = accepted else {
                continue;
            };
            let (connections, watcher) = (connections.clone(), graceful.watcher());
            tokio::spawn(async move {
                connections.serve(stream, address, watcher).await;
                drop(slot);
            });
        }
        // No new connection may wait in the queue for a server that is leaving.
        drop(self.socket);
        if tokio::time::timeout(self.config.shutdown_grace, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("requests were still under way when the grace time was over");
        }
        if let Some(following) = following {
            following.abort();
        }
    }
}

impl Connections {
    /// One connection to its end.
    async fn serve(self, stream: TcpStream, address: SocketAddr, watcher: Watcher) {
        let mut peer = Peer {
            address,
            is_secured: false,
            certificate: None,
        };
        let Some(certificates) = &self.certificates else {
            return self.talk(FileStream::new(stream), peer, watcher).await;
        };
        // Each handshake asks anew, so a changed certificate is seen by the
        // next connection, and by none that is under way.
        let acceptor = TlsAcceptor::from(certificates.now());
        match tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                peer.is_secured = true;
                peer.certificate = shown(&stream);
                self.talk(stream, peer, watcher).await;
            }
            Ok(Err(error)) => tracing::debug!(peer = %address, %error, "a handshake failed"),
            Err(_) => tracing::debug!(peer = %address, "a handshake took too long"),
        }
    }

    async fn talk(&self, transport: impl Transport + 'static, peer: Peer, watcher: Watcher) {
        let address = peer.address;
        let (stream, tap) = tap::split(transport);
        let service = TowerToHyperService::new(service(self.router.clone(), peer, tap));
        let connection = self
            .builder
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(peer = %address, error = %error, "a connection broke");
        }
    }
}

/// The name in the certificate that a client showed and that was verified.
fn shown(stream: &TlsStream<TcpStream>) -> Option<CertificateName> {
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates()?.first()?;
    name_in(certificate).map(|name| CertificateName(name.into()))
}

/// The connection's requests, each knowing where it comes from.
fn service(
    router: Router,
    peer: Peer,
    tap: Tap,
) -> impl tower::Service<
    Request<Incoming>,
    Response = axum::response::Response,
    Error = std::convert::Infallible,
    Future: Send,
> + Clone {
    router.map_request(move |mut request: Request<Incoming>| {
        // A connection of HTTP/2 is not one body's.
        let is_alone = request.version() == Version::HTTP_11;
        let extensions = request.extensions_mut();
        if is_alone {
            extensions.insert(tap.clone());
        }
        extensions.insert(ConnectInfo(peer.address));
        if peer.is_secured {
            extensions.insert(Secured);
        } else {
            extensions.insert(SendsFiles);
        }
        if let Some(name) = &peer.certificate {
            extensions.insert(name.clone());
        }
        let (parts, body) = request.into_parts();
        let body = HeardOut::new(body, &parts.headers);
        Request::from_parts(parts, Body::new(body))
    })
}

fn builder(config: &HttpConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(SILENCE_LIMIT);
    builder
}

/// The next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%peer, %error, "a connection broke at once");
            }
            Some((stream, peer, slot))
        }
        Err(error) => {
            // Out of descriptors, most likely: wait for some to be closed
            // instead of asking again at once.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}
