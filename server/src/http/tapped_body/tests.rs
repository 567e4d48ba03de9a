//! Over sockets: a server that answers with what it read, and clients that say
//! what comes next at once, so that a byte too few or too many is seen.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;

use hyper::body::Incoming as HyperBody;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hythe_oci::{Digest, HeardOut};
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::super::file_stream::FileStream;
use super::super::tap::{self, Transport};
use super::*;
use crate::blob_store::Gather;
use crate::config::{MadeTls, TlsConfig};
use crate::tls::{Authority, Certificates};

/// No client is as slow as that.
const IDLE: Duration = Duration::from_mins(1);

trait Client: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Client for T {}

/// What the handler saw: how many bytes, which, and why there were no more; and
/// how many pieces would have to be copied.
async fn seen(mut pieces: Incoming) -> (String, usize) {
    let mut whole = Vec::new();
    let mut ended = "";
    let mut n_copies = 0;
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(mut piece) => {
                whole.extend_from_slice(&piece);
                let is_batch = Gather::default().take_from(&mut piece).is_some();
                n_copies += usize::from(!is_batch);
            }
            Err(BodyError::Silent(_)) => ended = " silent",
            Err(BodyError::Broken(_)) => ended = " broken",
        }
    }
    let seen = format!("{} {}{ended}", whole.len(), Digest::of(&whole));
    (seen, n_copies)
}

/// `/all` reads everything, `/quick` does so with less patience, `/some` goes
/// away after the first piece, `/none` at once. `/plain` may be anything, and is
/// read as the registry would.
async fn handle(tap: Tap, request: http::Request<HyperBody>) -> String {
    let (mut parts, body) = request.into_parts();
    let body = Body::new(HeardOut::new(body, &parts.headers));
    let path = parts.uri.path();
    if path == "/plain" {
        parts.extensions.insert(tap);
        return seen(super::super::body::of_blob(&parts, body, IDLE))
            .await
            .0;
    }
    let idle = match path {
        "/quick" => Duration::from_secs(2),
        _ => IDLE,
    };
    let mut pieces = tapped(&tap, body, idle).expect("it is long enough");
    match path {
        "/none" => "none".to_owned(),
        "/some" => {
            drop(pieces.next().await);
            "some".to_owned()
        }
        _ => {
            let (seen, n_copies) = seen(pieces).await;
            assert!(n_copies <= 1, "{n_copies}");
            seen
        }
    }
}

async fn serve(transport: impl Transport + 'static) {
    let (stream, tap) = tap::split(transport);
    let service = service_fn(move |request| {
        let tap = tap.clone();
        async move {
            // As the registry does it, whose handlers outlive their clients.
            let answer = tokio::spawn(handle(tap, request)).await.unwrap();
            Ok::<_, Infallible>(http::Response::new(Body::from(answer)))
        }
    });
    let builder = Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    drop(connection.await);
}

async fn plain() -> Box<dyn Client> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (server, _) = listener.accept().await.unwrap();
    tokio::spawn(serve(FileStream::new(server)));
    Box::new(client.unwrap())
}

async fn secured() -> Box<dyn Client> {
    let folder = tempfile::tempdir().unwrap();
    let made = MadeTls {
        folder: folder.path().to_owned(),
        listen: "127.0.0.1".parse().unwrap(),
        names: Vec::new(),
    };
    let config = TlsConfig::Made {
        made: made.clone(),
        client_ca: None,
    };
    let server = Certificates::load(&config).unwrap().now();
    let authority = Authority::ensure(&made).unwrap();
    let authority = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority).unwrap();
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = TlsAcceptor::from(server);
        serve(acceptor.accept(stream).await.unwrap()).await;
    });
    let stream = TcpStream::connect(at).await.unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    let name = ServerName::try_from("127.0.0.1").unwrap();
    Box::new(connector.connect(name, stream).await.unwrap())
}

fn content(size: usize) -> Vec<u8> {
    (0..=250).cycle().skip(size % 251).take(size).collect()
}

fn request(path: &str, size: usize, more: &str) -> Vec<u8> {
    let head = format!("PUT {path} HTTP/1.1\r\nhost: here\r\ncontent-length: {size}\r\n{more}\r\n");
    head.into_bytes()
}

fn saw(content: &[u8]) -> String {
    format!("{} {}", content.len(), Digest::of(content))
}

/// The body of the next answer.
async fn answer(client: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let (_, rest) = head.split_once("content-length: ").unwrap();
    let size: usize = rest.lines().next().unwrap().parse().unwrap();
    let mut body = vec![0; size];
    client.read_exact(&mut body).await.unwrap();
    String::from_utf8(body).unwrap()
}

/// Bodies for these paths, one right after the other and cut as `cuts` says.
async fn one_after_another(client: Box<dyn Client>, bodies: &[(&str, usize)], cuts: &[usize]) {
    let mut sent = Vec::new();
    for (path, size) in bodies {
        sent.extend_from_slice(&request(path, *size, ""));
        sent.extend_from_slice(&content(*size));
    }
    let (mut reader, mut writer) = tokio::io::split(client);
    let cuts: Vec<usize> = cuts.iter().map(|cut| cut % sent.len()).collect();
    let writing = tokio::spawn(async move {
        let mut cuts = cuts;
        cuts.extend([0, sent.len()]);
        cuts.sort_unstable();
        for (start, end) in cuts.iter().zip(&cuts[1..]) {
            writer.write_all(&sent[*start..*end]).await.unwrap();
            writer.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
        writer
    });
    for (path, size) in bodies {
        let expected = match *path {
            "/none" => "none".to_owned(),
            "/some" => "some".to_owned(),
            _ => saw(&content(*size)),
        };
        assert_eq!(answer(&mut reader).await, expected, "{path} of {size}");
    }
    drop(writing.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_any_size_come_as_they_were_sent() {
    for size in [MIN_BYTES, MIN_BYTES + 1, 2 * MIN_BYTES, 3 * MIN_BYTES + 17] {
        let bodies = [
            ("/all", size),
            ("/plain", 5),
            ("/all", MIN_BYTES),
            ("/plain", 0),
        ];
        one_after_another(plain().await, &bodies, &[]).await;
        one_after_another(secured().await, &bodies, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_left_is_not_the_next_request() {
    for path in ["/none", "/some"] {
        let bodies = [
            (path, 3 * MIN_BYTES + 5),
            ("/all", MIN_BYTES),
            (path, MIN_BYTES),
            ("/plain", 9),
        ];
        one_after_another(plain().await, &bodies, &[]).await;
        one_after_another(secured().await, &bodies, &[]).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn however_it_is_cut(
        bodies in prop::collection::vec(
            (prop::sample::select(vec!["/all", "/some", "/none", "/plain"]), MIN_BYTES..3 * MIN_BYTES),
            1..4,
        ),
        cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            one_after_another(plain().await, &bodies, &cuts).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let mut client = plain().await;
    let head = request("/all", MIN_BYTES, "expect: 100-continue\r\n");
    client.write_all(&head).await.unwrap();
    let mut told = [0; 25];
    client.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(&content(MIN_BYTES)).await.unwrap();
    assert_eq!(answer(&mut client).await, saw(&content(MIN_BYTES)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_silent_client_sent_is_seen() {
    let asking = [0, 1, 1000, AT_ONCE - 1, MIN_BYTES + 1000].map(|part| async move {
        let sent = content(3 * MIN_BYTES);
        let said = [&request("/quick", sent.len(), ""), &sent[..part]].concat();
        let mut client = plain().await;
        client.write_all(&said).await.unwrap();
        let expected = format!("{} silent", saw(&sent[..part]));
        assert_eq!(answer(&mut client).await, expected);
    });
    futures_util::future::join_all(asking).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_before_the_connection_broke_is_seen() {
    for part in [0, 1, AT_ONCE - 1, MIN_BYTES, 2 * MIN_BYTES + 1000] {
        let (tell, told) = tokio::sync::oneshot::channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (server, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let (stream, tap) = tap::split(FileStream::new(server));
            let tell = std::sync::Mutex::new(Some(tell));
            let service = service_fn(move |request: http::Request<HyperBody>| {
                let seeing = tokio::spawn(handle(tap.clone(), request));
                let tell = tell.lock().unwrap().take().unwrap();
                tokio::spawn(async move { tell.send(seeing.await.unwrap()).unwrap() });
                ready(Ok::<_, Infallible>(http::Response::new(Body::empty())))
            });
            let builder = Builder::new(TokioExecutor::new());
            drop(
                builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
        client
            .write_all(&request("/all", 3 * MIN_BYTES, ""))
            .await
            .unwrap();
        client
            .write_all(&content(3 * MIN_BYTES)[..part])
            .await
            .unwrap();
        client.shutdown().await.unwrap();
        let expected = format!("{} broken", saw(&content(3 * MIN_BYTES)[..part]));
        assert_eq!(told.await.unwrap(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_unknown_length_is_left_to_hyper() {
    let mut client = plain().await;
    let head = "PUT /plain HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(b"3\r\nabc\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(answer(&mut client).await, saw(b"abc"));
}
