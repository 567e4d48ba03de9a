//! Connections: accepting them, speaking HTTP/1.1 on them, giving them away to attach and exec.
//!
//! Each request runs in a task of its own. A client that goes away in the middle of a `start`
//! must not leave half a container: the task runs to its end, only the answer is dropped. A
//! streaming answer (logs, events, pull) ends with its client.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::SERVER;
use http::{HeaderValue, Request, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hythe_oci::HeardOut;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::error::ApiError;
use super::router::router;
use super::stream::{Connection, Hijack};
use super::target::{ApiVersion, fold_image_name, split_version};
use super::tls::TlsListener;
use crate::engine::Engine;

/// More headers than any client sends.
const MAX_HEADERS: usize = 128;
/// Longest request head; `X-Registry-Auth` can hold a token of some KiB.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Pause after an accept failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long answers that are under way may take once the agent is to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// Answers the API on the listeners until `shutdown` resolves. Requests under way then get a
/// moment to finish; streams are cut.
pub async fn serve(
    listener: UnixListener,
    tls: Option<TlsListener>,
    engine: Engine,
    shutdown: impl Future<Output = ()>,
) {
    serve_router(listener, tls, router(engine), shutdown).await;
}

async fn serve_router(
    listener: UnixListener,
    tls: Option<TlsListener>,
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    let connections = TaskTracker::new();
    tokio::select! {
        () = accept(&listener, &router, &connections) => {}
        () = accept_tls(tls.as_ref(), &router, &connections) => {}
        () = shutdown => {}
    }
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait())
        .await
        .is_err()
    {
        tracing::info!(
            n_connections = connections.len(),
            "cutting open connections"
        );
    }
}

async fn accept(listener: &UnixListener, router: &Router, connections: &TaskTracker) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(connections.spawn(connection(stream, router.clone()))),
            Err(error) => pause_after(&error).await,
        }
    }
}

/// Never returns without a listener: then there is nobody to wait for.
async fn accept_tls(listener: Option<&TlsListener>, router: &Router, connections: &TaskTracker) {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    loop {
        match listener.accept().await {
            Ok(knock) => {
                let router = router.clone();
                drop(connections.spawn(async move {
                    if let Some(stream) = knock.let_in().await {
                        connection(stream, router).await;
                    }
                }));
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

async fn pause_after(error: &std::io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn connection<C: Connection>(stream: C, router: Router) {
    let closed = match stream.watch() {
        Ok(closed) => closed,
        Err(error) => {
            tracing::warn!(%error, "cannot watch a connection");
            return;
        }
    };
    let (hijacks, mut hijacked) = mpsc::channel(1);
    let service = service_fn(move |request| answer(router.clone(), hijacks.clone(), request));
    let mut connection = http1::Builder::new()
        // A client that shuts down its writing side still wants its answer; one that is gone is
        // found out by `closed`. Where the two look the same, it is gone.
        .half_close(C::TELLS_HALF_CLOSE)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let hijack = tokio::select! {
        result = &mut connection => {
            if let Err(error) = result {
                tracing::debug!(%error, "connection failed");
            }
            return;
        }
        () = closed.wait() => return,
        Some(hijack) = hijacked.recv() => hijack,
    };
    let parts = connection.into_parts();
    drop(closed);
    hijack.run(parts.io.into_inner(), parts.read_buf).await;
}

/// Answers one request, or hands the connection over and never returns.
async fn answer(
    router: Router,
    hijacks: mpsc::Sender<Hijack>,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let began = Instant::now();
    let method = request.method().clone();
    let uri = request.uri().clone();
    let mut response = respond(router, request).await;
    add_headers(&mut response);
    tracing::info!(
        %method,
        path = uri.path(),
        status = response.status().as_u16(),
        duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        "request"
    );
    if let Some(hijack) = Hijack::claimed_by(&mut response) {
        // A send fails only when the connection is gone, and this future with it.
        if hijacks.send(hijack).await.is_ok() {
            std::future::pending::<()>().await;
        }
        return Ok(ApiError::broken_handler().into_response());
    }
    Ok(response)
}

/// Takes the version off the path, then lets the router answer in a task that outlives the
/// connection.
async fn respond(router: Router, request: Request<Incoming>) -> Response {
    let (parts, body) = request.into_parts();
    let body = HeardOut::new(body, &parts.headers);
    let mut request = Request::from_parts(parts, Body::new(body));
    match retarget(&request) {
        Ok((version, uri)) => {
            request.extensions_mut().insert(version);
            *request.uri_mut() = uri;
        }
        Err(error) => return error.into_response(),
    }
    match tokio::spawn(router.oneshot(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(error) => {
            tracing::error!(%error, "handler broke");
            ApiError::broken_handler().into_response()
        }
    }
}

/// The version a request asks for, and its target as the router knows it.
fn retarget<B>(request: &Request<B>) -> Result<(ApiVersion, Uri), ApiError> {
    let uri = request.uri();
    let (version, path) = split_version(uri.path())?;
    let path = fold_image_name(request.method(), path);
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.into_owned(),
    };
    let uri = target
        .parse()
        .map_err(|_| ApiError::bad_parameter(format!("invalid request target: {target}")))?;
    Ok((version, uri))
}

/// What Docker says about itself on every answer.
fn add_headers(response: &mut Response) {
    let headers = response.headers_mut();
    let api_version = HeaderValue::from_static("1.50");
    debug_assert_eq!(
        api_version.as_bytes(),
        ApiVersion::MAX.to_string().as_bytes()
    );
    headers.insert("api-version", api_version);
    headers.insert("docker-experimental", HeaderValue::from_static("false"));
    headers.insert("ostype", HeaderValue::from_static("linux"));
    headers.insert(
        SERVER,
        HeaderValue::from_static(concat!("Hythe/", env!("CARGO_PKG_VERSION"), " (linux)")),
    );
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post, put};
    use futures_util::{StreamExt as _, stream};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixStream;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::engine::Attached;
    use crate::http::stream::{LineEnd, Upgrade, json_lines};
    use crate::spec::StdStream;

    /// Serves `router` until dropped.
    struct Server {
        directory: tempfile::TempDir,
        task: tokio::task::JoinHandle<()>,
    }

    impl Server {
        fn new(router: Router) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let listener = UnixListener::bind(directory.path().join("s")).unwrap();
            let forever = std::future::pending();
            let task = tokio::spawn(serve_router(listener, None, router, forever));
            Self { directory, task }
        }

        async fn connect(&self) -> UnixStream {
            UnixStream::connect(self.directory.path().join("s"))
                .await
                .unwrap()
        }

        /// Sends a request, closes the writing side and reads the whole answer.
        async fn ask(&self, request: &str) -> String {
            let mut client = self.connect().await;
            client.write_all(request.as_bytes()).await.unwrap();
            client.shutdown().await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    async fn read_until(client: &mut UnixStream, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            text.push(char::from(client.read_u8().await.unwrap()));
        }
        text
    }

    #[tokio::test]
    async fn a_client_that_closed_its_writing_side_is_answered() {
        let slow = async || {
            tokio::task::yield_now().await;
            "there"
        };
        let server = Server::new(Router::new().route("/slow", get(slow)));
        let answer = server
            .ask("GET /v1.30/slow HTTP/1.1\r\nHost: x\r\n\r\n")
            .await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("api-version: 1.50\r\n"), "{answer}");
        assert!(answer.contains("ostype: linux\r\n"), "{answer}");
        assert!(answer.contains("server: Hythe/"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nthere"), "{answer}");
    }

    #[tokio::test]
    async fn versions_that_are_not_spoken_are_refused() {
        let server = Server::new(Router::new());
        let answer = server
            .ask("GET /v9.99/info HTTP/1.1\r\nHost: x\r\n\r\n")
            .await;
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{answer}"
        );
        assert!(
            answer.contains("content-type: application/json\r\n"),
            "{answer}"
        );
        let body = r#"{"message":"client version 9.99 is too new. Maximum supported API version is 1.50"}"#;
        assert!(answer.ends_with(body), "{answer}");
    }

    #[tokio::test]
    async fn a_head_without_end_is_refused() {
        let server = Server::new(Router::new());
        let mut client = server.connect().await;
        let head = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(MAX_HEAD_BYTES));
        client.write_all(head.as_bytes()).await.unwrap();
        let status = read_until(&mut client, "\r\n").await;
        assert!(status.starts_with("HTTP/1.1 431 "), "{status}");
    }

    #[tokio::test]
    async fn who_is_answered_early_may_finish_the_sentence() {
        const LENGTH: usize = 4 << 20;
        let refuse = async || http::StatusCode::FORBIDDEN;
        let server = Server::new(Router::new().route("/x", put(refuse)));
        let mut client = server.connect().await;
        let head = format!("PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: {LENGTH}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let status = read_until(&mut client, "\r\n").await;
        assert!(status.starts_with("HTTP/1.1 403 "), "{status}");
        client.write_all(&vec![b'x'; LENGTH]).await.unwrap();
    }

    #[tokio::test]
    async fn a_handler_that_panics_answers_500() {
        let broken = async || -> &'static str { panic!("on purpose") };
        let server = Server::new(Router::new().route("/x", get(broken)));
        let answer = server.ask("GET /x HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    }

    #[tokio::test]
    async fn a_verb_is_carried_through_when_its_client_goes_away() {
        let (begun, go, done) = (Semaphore::new(0), Semaphore::new(0), Semaphore::new(0));
        let steps: &'static _ = Box::leak(Box::new((begun, go, done)));
        let verb = async || {
            steps.0.add_permits(1);
            steps.1.acquire().await.unwrap().forget();
            steps.2.add_permits(1);
        };
        let server = Server::new(Router::new().route("/verb", post(verb)));
        let mut client = server.connect().await;
        let request = b"POST /verb HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
        client.write_all(request).await.unwrap();
        steps.0.acquire().await.unwrap().forget();
        drop(client);
        // The connection is gone when another one has been served meanwhile.
        server.ask("GET /none HTTP/1.1\r\nHost: x\r\n\r\n").await;
        steps.1.add_permits(1);
        steps.2.acquire().await.unwrap().forget();
    }

    #[tokio::test]
    async fn a_stream_sends_its_head_at_once_and_ends_with_its_client() {
        struct Listening(std::sync::Arc<Semaphore>);
        impl Drop for Listening {
            fn drop(&mut self) {
                self.0.add_permits(1);
            }
        }

        let let_go = std::sync::Arc::new(Semaphore::new(0));
        let listening = let_go.clone();
        let events = async move || {
            let listening = Listening(listening.clone());
            let silence = stream::pending::<u8>().map(move |event| (&listening, event).1);
            json_lines(silence, LineEnd::Lf)
        };
        let server = Server::new(Router::new().route("/events", get(events)));
        let mut client = server.connect().await;
        client
            .write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let head = read_until(&mut client, "\r\n\r\n").await;
        assert!(
            head.contains("content-type: application/json\r\n"),
            "{head}"
        );
        drop(client);
        let_go.acquire().await.unwrap().forget();
    }

    #[tokio::test]
    async fn a_connection_is_given_away_after_others_were_answered_on_it() {
        let attach = async |upgrade: Upgrade| {
            let (input, output) = tokio::io::duplex(64);
            let output = tokio_util::io::ReaderStream::new(output);
            upgrade.answer(Attached {
                tty: true,
                output: output
                    .map(|bytes| Ok((StdStream::Stdout, bytes.unwrap())))
                    .boxed(),
                input: Some(Box::pin(input)),
            })
        };
        let router = Router::new()
            .route("/attach", post(attach))
            .route("/_ping", get(async || "OK"));
        let server = Server::new(router);
        let mut client = server.connect().await;
        client
            .write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        read_until(&mut client, "\r\n\r\nOK").await;
        let request = "POST /v1.50/attach HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\
                       Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly";
        client.write_all(request.as_bytes()).await.unwrap();
        let head = read_until(&mut client, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{head}");
        assert!(head.contains("api-version: 1.50\r\n"), "{head}");
        assert!(!head.contains("content-length"), "{head}");
        client.write_all(b" and late").await.unwrap();
        client.shutdown().await.unwrap();
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "early and late");
    }
}
