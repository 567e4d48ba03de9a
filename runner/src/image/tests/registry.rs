//! A registry in the test's own process: keeps everything in memory, counts what it is asked, and
//! misbehaves on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use futures_util::stream;
use http::{Method, StatusCode, header};
use hythe_oci::Digest;

/// What a registry holds and what happened to it.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// `REPOSITORY:TAG` and `REPOSITORY@DIGEST`.
    pub(super) manifests: Mutex<BTreeMap<String, (String, Bytes)>>,
    pub(super) blobs: Mutex<BTreeMap<Digest, Bytes>>,
    /// `REPOSITORY@DIGEST` of blobs that the repository may read.
    pub(super) links: Mutex<BTreeSet<String>>,
    /// Blob downloads begun, blob bytes sent, uploads finished, mounts made.
    pub(super) n_downloads: AtomicUsize,
    pub(super) n_sent_bytes: AtomicU64,
    pub(super) n_uploads: AtomicUsize,
    pub(super) n_mounts: AtomicUsize,
    /// Blob answers break off after so many bytes; 0 is never.
    pub(super) cut_after_bytes: AtomicUsize,
    /// Milliseconds between pieces of a blob.
    pub(super) delay_ms: AtomicU64,
}

pub(super) struct Registry {
    pub(super) shelf: Arc<Shelf>,
    pub(super) host: String,
}

impl Registry {
    pub(super) async fn start() -> Self {
        let shelf = Arc::new(Shelf::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let app = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shelf));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { shelf, host }
    }

    pub(super) fn put_blob(&self, repository: &str, bytes: impl Into<Bytes>) -> (Digest, u64) {
        let bytes = bytes.into();
        let (digest, size_bytes) = (Digest::of(&bytes), bytes.len() as u64);
        self.shelf
            .blobs
            .lock()
            .unwrap()
            .insert(digest.clone(), bytes);
        let link = format!("{repository}@{digest}");
        self.shelf.links.lock().unwrap().insert(link);
        (digest, size_bytes)
    }

    pub(super) fn put_manifest(
        &self,
        name: &str,
        tag: &str,
        media_type: &str,
        json: String,
    ) -> Digest {
        let digest = Digest::of(json.as_bytes());
        let value = (media_type.to_owned(), Bytes::from(json));
        let mut manifests = self.shelf.manifests.lock().unwrap();
        manifests.insert(format!("{name}:{tag}"), value.clone());
        manifests.insert(format!("{name}@{digest}"), value);
        digest
    }
}

async fn answer(State(shelf): State<Arc<Shelf>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let rest = path.strip_prefix("/v2/").unwrap_or_default();
    if rest.is_empty() {
        return StatusCode::OK.into_response();
    }
    if let Some((name, reference)) = rest.split_once("/manifests/") {
        return manifest(&shelf, name, reference, request).await;
    }
    if let Some((name, _)) = rest.split_once("/blobs/uploads/") {
        return upload(&shelf, name, request).await;
    }
    if let Some((name, digest)) = rest.split_once("/blobs/") {
        return blob(&shelf, name, digest, &request);
    }
    StatusCode::NOT_FOUND.into_response()
}

async fn manifest(shelf: &Shelf, name: &str, reference: &str, request: Request) -> Response {
    let separator = if reference.contains(':') { '@' } else { ':' };
    let key = format!("{name}{separator}{reference}");
    if request.method() == Method::PUT {
        let media_type = request.headers()[header::CONTENT_TYPE]
            .to_str()
            .unwrap()
            .to_owned();
        let bytes = axum::body::to_bytes(request.into_body(), usize::MAX)
            .await
            .unwrap();
        let digest = Digest::of(&bytes);
        let mut manifests = shelf.manifests.lock().unwrap();
        manifests.insert(key, (media_type.clone(), bytes.clone()));
        manifests.insert(format!("{name}@{digest}"), (media_type, bytes));
        let said = [("docker-content-digest", digest.to_string())];
        return (StatusCode::CREATED, said).into_response();
    }
    let found = shelf.manifests.lock().unwrap().get(&key).cloned();
    let Some((media_type, bytes)) = found else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let digest = Digest::of(&bytes).to_string();
    (
        [
            ("content-type", media_type),
            ("docker-content-digest", digest),
        ],
        bytes,
    )
        .into_response()
}

async fn upload(shelf: &Shelf, name: &str, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let value = |key: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.into_owned())
    };
    if request.method() == Method::POST {
        if let (Some(digest), Some(from)) = (value("mount"), value("from"))
            && shelf
                .links
                .lock()
                .unwrap()
                .contains(&format!("{from}@{digest}"))
        {
            shelf
                .links
                .lock()
                .unwrap()
                .insert(format!("{name}@{digest}"));
            shelf.n_mounts.fetch_add(1, Ordering::Relaxed);
            return StatusCode::CREATED.into_response();
        }
        let location = [("location", format!("/v2/{name}/blobs/uploads/1"))];
        return (StatusCode::ACCEPTED, location).into_response();
    }
    let bytes = axum::body::to_bytes(request.into_body(), usize::MAX)
        .await
        .unwrap();
    let digest: Digest = value("digest").unwrap().parse().unwrap();
    if Digest::of(&bytes) != digest {
        return StatusCode::BAD_REQUEST.into_response();
    }
    shelf
        .links
        .lock()
        .unwrap()
        .insert(format!("{name}@{digest}"));
    shelf.blobs.lock().unwrap().insert(digest, bytes);
    shelf.n_uploads.fetch_add(1, Ordering::Relaxed);
    StatusCode::CREATED.into_response()
}

fn blob(shelf: &Arc<Shelf>, name: &str, digest: &str, request: &Request) -> Response {
    let linked = shelf
        .links
        .lock()
        .unwrap()
        .contains(&format!("{name}@{digest}"));
    let found = digest
        .parse()
        .ok()
        .and_then(|digest| shelf.blobs.lock().unwrap().get(&digest).cloned());
    let Some(bytes) = found.filter(|_| linked) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if request.method() == Method::HEAD {
        return StatusCode::OK.into_response();
    }
    shelf.n_downloads.fetch_add(1, Ordering::Relaxed);
    let total = bytes.len();
    let range = request
        .headers()
        .get(header::RANGE)
        .map(|range| range.to_str().unwrap());
    let start: usize = range.map_or(0, |range| {
        range
            .trim_start_matches("bytes=")
            .trim_end_matches('-')
            .parse()
            .unwrap()
    });
    let rest = bytes.slice(start..);
    let length = rest.len();
    let cut = match shelf.cut_after_bytes.load(Ordering::Relaxed) {
        0 => None,
        n => Some(n.min(length)),
    };
    let body = body(Arc::clone(shelf), &rest, cut);
    let status = if start > 0 {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    let headers = [
        ("content-length", length.to_string()),
        (
            "content-range",
            format!("bytes {start}-{}/{total}", total.max(1) - 1),
        ),
    ];
    (status, headers, body).into_response()
}

/// The bytes in pieces, ending in an error where they are cut.
fn body(shelf: Arc<Shelf>, bytes: &[u8], cut: Option<usize>) -> Body {
    let end = cut.unwrap_or(bytes.len());
    let is_cut = end < bytes.len();
    let pieces: Vec<Bytes> = bytes[..end]
        .chunks(16 << 10)
        .map(Bytes::copy_from_slice)
        .collect();
    let broken = is_cut.then(|| Err(std::io::Error::other("cut")));
    let pieces = pieces.into_iter().map(Ok).chain(broken);
    Body::from_stream(stream::iter(pieces).then(move |piece| {
        let shelf = Arc::clone(&shelf);
        async move {
            tokio::time::sleep(std::time::Duration::from_millis(
                shelf.delay_ms.load(Ordering::Relaxed),
            ))
            .await;
            if let Ok(piece) = &piece {
                shelf
                    .n_sent_bytes
                    .fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
            piece
        }
    }))
}
