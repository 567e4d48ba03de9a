//! A registry that answers as a test tells it, and what the tests ask it for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use hythe_oci::client::{Client, ClientConfig, Credentials, RemoteRepository, Secret};
use hythe_oci::{Digest, ImageReference, Reference, media_type};

pub(crate) const MANIFEST: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// Serves `answer` on a port of its own and returns `127.0.0.1:PORT`.
pub(crate) async fn serve<F>(answer: F) -> String
where
    F: Fn(Request) -> Response + Clone + Send + Sync + 'static,
{
    serve_slowly(move |request| std::future::ready(answer(request))).await
}

/// The same for answers that take time.
pub(crate) async fn serve_slowly<F, A>(answer: F) -> String
where
    F: Fn(Request) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// What requests came, in order, shared between a registry and its test.
#[derive(Debug, Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    /// Writes an entry; returns how many there are of its kind now.
    pub(crate) fn write(&self, entry: impl Into<String>) -> usize {
        let entry = entry.into();
        let mut entries = self.0.lock().unwrap();
        entries.push(entry.clone());
        entries.iter().filter(|known| **known == entry).count()
    }

    pub(crate) fn entries(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, entry: &str) -> usize {
        self.entries()
            .iter()
            .filter(|known| *known == entry)
            .count()
    }
}

/// A client for whom a second is a long time.
pub(crate) fn hasty(read_timeout: Duration) -> Client {
    let config = ClientConfig {
        read_timeout,
        ..ClientConfig::default()
    };
    Client::new(config).unwrap()
}

pub(crate) fn repository(host: &str, credentials: Credentials) -> RemoteRepository {
    repository_of(
        &Client::new(ClientConfig::default()).unwrap(),
        host,
        credentials,
    )
}

pub(crate) fn repository_of(
    client: &Client,
    host: &str,
    credentials: Credentials,
) -> RemoteRepository {
    let image = ImageReference::parse(&format!("{host}/team/app:1"), host).unwrap();
    client.repository(&image, credentials)
}

pub(crate) fn robot() -> Credentials {
    Credentials::Basic {
        user: "robot".into(),
        password: Secret::new("s3cret"),
    }
}

/// `robot:s3cret` in a header.
pub(crate) const ROBOT: &str = "Basic cm9ib3Q6czNjcmV0";

pub(crate) fn tag() -> Reference {
    "1".parse().unwrap()
}

pub(crate) fn manifest() -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type::OCI_INDEX.to_owned()),
        (
            "docker-content-digest".parse().unwrap(),
            Digest::of(MANIFEST.as_bytes()).to_string(),
        ),
    ];
    (headers, MANIFEST).into_response()
}

pub(crate) fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

/// The host that a request was sent to, as its client calls it.
pub(crate) fn host_of(request: &Request) -> String {
    request.headers()[header::HOST].to_str().unwrap().to_owned()
}

/// Reads a body to its end; `None` when it broke.
pub(crate) async fn content(body: Body) -> Option<Vec<u8>> {
    let mut stream = body.into_data_stream();
    let mut content = Vec::new();
    while let Some(part) = stream.next().await {
        content.extend_from_slice(&part.ok()?);
    }
    Some(content)
}
