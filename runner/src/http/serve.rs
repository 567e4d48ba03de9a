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
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::error::ApiError;
use super::router::router;
use super::stream::{Hijack, PeerClosed};
use super::target::{ApiVersion, fold_image_name, split_version};
use crate::engine::Engine;

/// More headers than any client sends.
const MAX_HEADERS: usize = 128;
/// Longest request head; `X-Registry-Auth` can hold a token of some KiB.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Pause after an accept failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long answers that are under way may take once the agent is to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// Answers the API on `listener` until `shutdown` resolves. Requests under way then get a moment
/// to finish; streams are cut.
pub async fn serve(listener: UnixListener, engine: Engine, shutdown: impl Future<Output = ()>) {
    let router = router(engine);
    let connections = TaskTracker::new();
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, router.clone()))),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
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

async fn connection(stream: UnixStream, router: Router) {
    let closed = match PeerClosed::watch(&stream) {
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
        // found out by `closed`.
        .half_close(true)
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
    let mut request = request.map(Body::new);
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
