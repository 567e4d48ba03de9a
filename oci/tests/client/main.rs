//! The client against registries that behave in every way real ones do.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use hythe_oci::client::{
    Client, ClientConfig, ClientError, Credentials, RemoteRepository, Secret, Sink,
};
use hythe_oci::{Algorithm, Descriptor, Digest, DigestHasher, ImageReference, media_type};

const MANIFEST: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// Serves `answer` on a port of its own and returns `127.0.0.1:PORT`.
async fn serve<F>(answer: F) -> String
where
    F: Fn(Request) -> Response + Clone + Send + Sync + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = Router::new().fallback(move |request: Request| {
        let answer = answer(request);
        async move { answer }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn repository(host: &str, credentials: Credentials) -> RemoteRepository {
    let image = ImageReference::parse(&format!("{host}/team/app:1"), host).unwrap();
    Client::new(ClientConfig::default()).repository(&image, credentials)
}

fn tag() -> hythe_oci::Reference {
    "1".parse().unwrap()
}

fn manifest() -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type::OCI_INDEX.to_owned()),
        (
            "docker-content-digest".parse().unwrap(),
            Digest::of(MANIFEST.as_bytes()).to_string(),
        ),
    ];
    (headers, MANIFEST).into_response()
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

#[tokio::test]
async fn a_challenge_is_answered_and_the_token_is_kept() {
    let token_requests = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&token_requests);
    let host = serve(move |request| {
        let host = request.headers()[header::HOST].to_str().unwrap().to_owned();
        match request.uri().path() {
            "/token" => {
                counter.fetch_add(1, Ordering::SeqCst);
                let query = request.uri().query().unwrap().to_owned();
                assert!(query.contains("service=S"), "{query}");
                assert!(query.contains("scope=repository%3Ateam%2Fapp%3Apull"), "{query}");
                // "robot:s3cret"
                assert_eq!(authorization(request.headers()), Some("Basic cm9ib3Q6czNjcmV0"));
                r#"{"token":"good","expires_in":300}"#.into_response()
            }
            _ if authorization(request.headers()) == Some("Bearer good") => manifest(),
            _ => {
                let challenge = format!(
                    r#"Bearer realm="http://{host}/token",service="S",scope="repository:team/app:pull""#
                );
                (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
            }
        }
    })
    .await;
    let credentials = Credentials::Basic {
        user: "robot".into(),
        password: Secret::new("s3cret"),
    };
    let repository = repository(&host, credentials);

    for _ in 0..3 {
        let fetched = repository.get_manifest(&tag()).await.unwrap();
        assert_eq!(fetched.bytes, MANIFEST);
    }
    assert_eq!(token_requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_refusal_says_what_was_refused_and_why() {
    let host = serve(|_| {
        let body = r#"{"errors":[{"code":"DENIED","message":"you may not pull this"}]}"#;
        (StatusCode::FORBIDDEN, body).into_response()
    })
    .await;
    let error = repository(&host, Credentials::None)
        .get_manifest(&tag())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert_eq!(
        text,
        format!("{host}/team/app:1: denied: you may not pull this")
    );
    assert!(matches!(error, ClientError::Unauthorized { .. }));
}

#[tokio::test]
async fn a_passing_failure_is_tried_again() {
    let requests = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&requests);
    let host = serve(move |request| match request.uri().path() {
        "/v2/" => StatusCode::OK.into_response(),
        _ => match counter.fetch_add(1, Ordering::SeqCst) {
            0 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            1 => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "0")]).into_response(),
            _ => manifest(),
        },
    })
    .await;
    repository(&host, Credentials::None)
        .get_manifest(&tag())
        .await
        .unwrap();
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_manifest_with_another_digest_is_refused() {
    let host = serve(|_| manifest()).await;
    let wanted = Digest::of(b"something else");
    let reference = hythe_oci::Reference::Digest(wanted);
    let error = repository(&host, Credentials::None)
        .get_manifest(&reference)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::WrongDigest { .. }), "{error}");
}

/// A blob that nobody mistakes for another.
fn blob() -> Vec<u8> {
    (0..200_000_u32).map(|i| (i % 251) as u8).collect()
}

async fn download(host: &str, descriptor: &Descriptor) -> (Result<(), ClientError>, Vec<u8>) {
    let mut content = Vec::new();
    let outcome = repository(host, Credentials::None)
        .download_blob(
            descriptor,
            DigestHasher::new(Algorithm::Sha256),
            0,
            Sink {
                writer: &mut content,
                progress: &mut |_| {},
            },
        )
        .await;
    (outcome, content)
}

/// The first `cut` bytes of `bytes`, then a broken connection.
fn cut_short(bytes: &[u8], cut: usize) -> Body {
    let first = Bytes::copy_from_slice(&bytes[..cut]);
    // A pause lets the server send what it has before it is cut off.
    let parts = futures_util::stream::once(async move { Ok(first) }).chain(
        futures_util::stream::once(async {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            Err(std::io::Error::other("cut"))
        }),
    );
    Body::from_stream(parts)
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_stopped() {
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let ranges = Arc::clone(&asked);
    let host = serve(move |request| {
        let blob = blob();
        let range = request
            .headers()
            .get(header::RANGE)
            .map(|value| value.to_str().unwrap());
        let start: usize = range.map_or(0, |text| {
            text.strip_prefix("bytes=")
                .unwrap()
                .strip_suffix('-')
                .unwrap()
                .parse()
                .unwrap()
        });
        if request.uri().path() != "/v2/" {
            ranges.lock().unwrap().push(start);
        }
        let rest = &blob[start..];
        let mut answer = Response::new(cut_short(rest, rest.len().min(70_000)));
        if start > 0 {
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            let range = format!("bytes {start}-{}/{}", blob.len() - 1, blob.len());
            answer
                .headers_mut()
                .insert(header::CONTENT_RANGE, range.parse().unwrap());
        }
        answer
            .headers_mut()
            .insert(header::CONTENT_LENGTH, rest.len().into());
        answer
    })
    .await;
    let blob = blob();
    let descriptor = Descriptor::new("x", Digest::of(&blob), blob.len() as u64);
    let (outcome, content) = download(&host, &descriptor).await;
    outcome.unwrap();
    assert!(content == blob);
    let starts = asked.lock().unwrap().clone();
    assert!(
        starts.len() >= 3 && starts.windows(2).all(|pair| pair[0] < pair[1]),
        "{starts:?}"
    );
}

#[tokio::test]
async fn wrong_bytes_too_many_and_too_few_are_refused() {
    let host = serve(|_| blob().into_response()).await;
    let size = blob().len() as u64;
    let good = Digest::of(&blob());

    let wrong = Descriptor::new("x", Digest::of(b"else"), size);
    let (outcome, _) = download(&host, &wrong).await;
    assert!(
        matches!(outcome, Err(ClientError::WrongDigest { .. })),
        "{outcome:?}"
    );
    let shorter = Descriptor::new("x", good.clone(), size - 1);
    let (outcome, _) = download(&host, &shorter).await;
    assert!(
        matches!(outcome, Err(ClientError::WrongSize { .. })),
        "{outcome:?}"
    );
    let longer = Descriptor::new("x", good, size + 1);
    let (outcome, _) = download(&host, &longer).await;
    assert!(
        matches!(outcome, Err(ClientError::WrongSize { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn an_upload_keeps_the_query_of_its_location_and_sends_every_byte() {
    let host = serve(|request| match (request.method(), request.uri().path()) {
        (&Method::POST, "/v2/team/app/blobs/uploads/") => {
            let location = "/v2/team/app/blobs/uploads/7?_state=abc";
            (StatusCode::ACCEPTED, [(header::LOCATION, location)]).into_response()
        }
        (&Method::PUT, "/v2/team/app/blobs/uploads/7") => {
            let query = request.uri().query().unwrap();
            assert!(query.starts_with("_state=abc&digest=sha256%3A"), "{query}");
            assert_eq!(request.headers()[header::CONTENT_LENGTH], "11");
            StatusCode::CREATED.into_response()
        }
        _ => StatusCode::OK.into_response(),
    })
    .await;
    let descriptor = Descriptor::new("x", Digest::of(b"hello world"), 11);
    let parts = [Ok(Bytes::from("hello ")), Ok(Bytes::from("world"))];
    let content = futures_util::stream::iter(parts).boxed();
    repository(&host, Credentials::None)
        .upload_blob(&descriptor, content)
        .await
        .unwrap();
}

#[tokio::test]
async fn tags_are_read_page_by_page() {
    let host = serve(|request| {
        let (body, link) = match request.uri().query() {
            None => (
                r#"{"name":"team/app","tags":["a","b"]}"#,
                Some("/v2/team/app/tags/list?last=b&n=2"),
            ),
            Some("last=b&n=2") => (r#"{"name":"team/app","tags":["c"]}"#, None),
            Some(other) => panic!("{other}"),
        };
        let mut answer = body.into_response();
        if let Some(link) = link {
            let value = format!("<{link}>; rel=\"next\"");
            answer
                .headers_mut()
                .insert(header::LINK, value.parse().unwrap());
        }
        answer
    })
    .await;
    let tags = repository(&host, Credentials::None)
        .list_tags()
        .await
        .unwrap();
    assert_eq!(
        tags.iter().map(hythe_oci::Tag::as_str).collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
}

#[tokio::test]
async fn mirrors_are_asked_first_and_their_failure_is_not_ours() {
    let broken = serve(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()).await;
    let mirror = serve(|request| {
        assert_eq!(request.uri().query(), Some("ns=registry.example.com"));
        assert_eq!(
            authorization(request.headers()),
            None,
            "the host's password is the host's"
        );
        manifest()
    })
    .await;
    let urls = [broken, mirror].map(|host| format!("http://{host}").parse().unwrap());
    let mut config = ClientConfig::default();
    config
        .mirrors
        .insert("registry.example.com".into(), urls.into());
    let image = ImageReference::parse("registry.example.com/team/app:1", "docker.io").unwrap();
    let credentials = Credentials::Basic {
        user: "robot".into(),
        password: Secret::new("s3cret"),
    };
    let repository = Client::new(config).repository(&image, credentials);
    repository.get_manifest(&tag()).await.unwrap();
}

#[test]
fn secrets_do_not_show() {
    let credentials = Credentials::Basic {
        user: "robot".into(),
        password: Secret::new("s3cret"),
    };
    assert!(!format!("{credentials:?}").contains("s3cret"));
}
