//! What goes out: blobs by upload and mount, manifests.

use std::io;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use hythe_oci::client::{BlobContent, ClientError, Credentials};
use hythe_oci::{Descriptor, Digest, Reference, media_type};

use crate::support::{
    Diary, MANIFEST, authorization, content, hasty, host_of, repository, repository_of, robot,
    serve, serve_slowly, tag,
};

fn hello() -> Descriptor {
    Descriptor::new("x", Digest::of(b"hello world"), 11)
}

/// `hello world` in parts, each after `pause`.
fn hello_content(pause: Duration) -> BlobContent {
    let parts = ["hello", " ", "wor", "ld"];
    let slowly = stream::iter(parts).then(move |part| async move {
        tokio::time::sleep(pause).await;
        Ok(Bytes::from(part))
    });
    slowly.boxed()
}

fn quickly() -> BlobContent {
    hello_content(Duration::ZERO)
}

fn begun() -> Response {
    let location = "/v2/team/app/blobs/uploads/7?_state=abc";
    (StatusCode::ACCEPTED, [(header::LOCATION, location)]).into_response()
}

#[tokio::test]
async fn an_upload_keeps_the_query_of_its_location_and_sends_every_byte() {
    let host = serve_slowly(|request: Request| async move {
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/v2/team/app/blobs/uploads/") => begun(),
            (&Method::PUT, "/v2/team/app/blobs/uploads/7") => {
                let query = request.uri().query().unwrap();
                assert!(query.starts_with("_state=abc&digest=sha256%3A"), "{query}");
                assert_eq!(request.headers()[header::CONTENT_LENGTH], "11");
                assert_eq!(content(request.into_body()).await.unwrap(), b"hello world");
                StatusCode::CREATED.into_response()
            }
            _ => StatusCode::OK.into_response(),
        }
    })
    .await;
    let repository = repository(&host, Credentials::None);
    repository.upload_blob(&hello(), quickly).await.unwrap();
}

#[tokio::test]
async fn an_upload_may_take_longer_than_the_registry_may_be_silent() {
    let host = serve_slowly(|request: Request| async move {
        match *request.method() {
            Method::POST => begun(),
            Method::PUT => match content(request.into_body()).await.as_deref() {
                Some(b"hello world") => StatusCode::CREATED.into_response(),
                other => panic!("{other:?}"),
            },
            _ => StatusCode::OK.into_response(),
        }
    })
    .await;
    let silence = Duration::from_millis(500);
    let repository = repository_of(&hasty(silence), &host, Credentials::None);
    let began = Instant::now();
    let slowly = || hello_content(Duration::from_millis(250));
    repository.upload_blob(&hello(), slowly).await.unwrap();
    assert!(began.elapsed() > silence);
}

#[tokio::test]
async fn an_upload_that_stands_still_is_given_up() {
    let diary = Diary::default();
    let written = diary.clone();
    let host = serve_slowly(move |request: Request| {
        let written = written.clone();
        async move {
            match *request.method() {
                Method::POST => {
                    written.write("begin");
                    begun()
                }
                Method::PUT => {
                    drop(content(request.into_body()).await);
                    StatusCode::CREATED.into_response()
                }
                _ => StatusCode::OK.into_response(),
            }
        }
    })
    .await;
    let client = hasty(Duration::from_millis(100));
    let stuck = || stream::pending().boxed();
    let outcome = repository_of(&client, &host, Credentials::None)
        .upload_blob(&hello(), stuck)
        .await;
    assert!(
        matches!(outcome, Err(ClientError::Stalled { .. })),
        "{outcome:?}"
    );
    assert_eq!(diary.count("begin"), 4);
}

#[tokio::test]
async fn an_upload_that_breaks_begins_again_from_the_start() {
    let diary = Diary::default();
    let written = diary.clone();
    let host = serve_slowly(move |request: Request| {
        let written = written.clone();
        async move {
            match *request.method() {
                Method::POST => {
                    written.write("begin");
                    begun()
                }
                Method::PUT => {
                    let content = content(request.into_body()).await.unwrap();
                    assert_eq!(content, b"hello world");
                    match written.write("send") {
                        1 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                        2 => StatusCode::NOT_FOUND.into_response(),
                        _ => StatusCode::CREATED.into_response(),
                    }
                }
                _ => StatusCode::OK.into_response(),
            }
        }
    })
    .await;
    let repository = repository(&host, Credentials::None);
    repository.upload_blob(&hello(), quickly).await.unwrap();
    let entries = diary.entries();
    assert_eq!(entries, ["begin", "send", "begin", "send", "begin", "send"]);
}

#[tokio::test]
async fn what_cannot_be_read_here_is_not_the_registrys_fault() {
    let host = serve_slowly(|request: Request| async move {
        if request.method() == Method::POST {
            return begun();
        }
        drop(content(request.into_body()).await);
        StatusCode::OK.into_response()
    })
    .await;
    let broken = || {
        let parts = [
            Ok(Bytes::from("hello")),
            Err(io::Error::other("disk on fire")),
        ];
        stream::iter(parts).boxed()
    };
    let repository = repository(&host, Credentials::None);
    match repository.upload_blob(&hello(), broken).await {
        Err(ClientError::Io { source, .. }) => assert_eq!(source.to_string(), "disk on fire"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_location_elsewhere_gets_the_blob_and_no_password() {
    let store = serve_slowly(|request: Request| async move {
        if request.method() != Method::PUT {
            return StatusCode::OK.into_response();
        }
        assert_eq!(authorization(request.headers()), None);
        assert_eq!(content(request.into_body()).await.unwrap(), b"hello world");
        StatusCode::CREATED.into_response()
    })
    .await;
    let host = serve(move |request| {
        if authorization(request.headers()).is_none() {
            let challenge = [(header::WWW_AUTHENTICATE, r#"Basic realm="r""#)];
            return (StatusCode::UNAUTHORIZED, challenge).into_response();
        }
        let location = format!("http://{store}/bucket/7");
        (StatusCode::ACCEPTED, [(header::LOCATION, location)]).into_response()
    })
    .await;
    repository(&host, robot())
        .upload_blob(&hello(), quickly)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_error_does_not_show_the_query_of_an_upload() {
    let host = serve(|request| match *request.method() {
        Method::POST => {
            let location = "http://127.0.0.1:1/bucket/7?signature=s3cret";
            (StatusCode::ACCEPTED, [(header::LOCATION, location)]).into_response()
        }
        _ => StatusCode::OK.into_response(),
    })
    .await;
    let outcome = repository(&host, Credentials::None)
        .upload_blob(&hello(), quickly)
        .await;
    let error = outcome.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(
        shown.starts_with("Put \"http://127.0.0.1:1/bucket/7\": "),
        "{shown}"
    );
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn a_mount_asks_to_read_where_it_takes_from() {
    let diary = Diary::default();
    let written = diary.clone();
    let host = serve(move |request| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        match request.uri().path() {
            "/token" => {
                let fields = url::form_urlencoded::parse(query.as_bytes());
                for (_, scope) in fields.filter(|(key, _)| key == "scope") {
                    written.write(scope);
                }
                r#"{"token":"good"}"#.into_response()
            }
            "/v2/" => StatusCode::OK.into_response(),
            _ if authorization(request.headers()).is_none() => {
                let host = host_of(&request);
                let challenge = format!(r#"Bearer realm="http://{host}/token",service="S""#);
                (
                    StatusCode::UNAUTHORIZED,
                    [(header::WWW_AUTHENTICATE, challenge)],
                )
                    .into_response()
            }
            _ if request.method() == Method::POST => {
                assert!(query.ends_with("&from=base/os"), "{query}");
                StatusCode::CREATED.into_response()
            }
            _ => StatusCode::IM_A_TEAPOT.into_response(),
        }
    })
    .await;
    let from = "base/os".parse().unwrap();
    let repository = repository(&host, robot());
    assert!(repository.mount_blob(&hello(), &from).await.unwrap());
    let scopes = ["repository:team/app:pull,push", "repository:base/os:pull"];
    assert_eq!(diary.entries(), scopes);
}

#[tokio::test]
async fn a_manifest_must_be_what_its_digest_says() {
    let host = serve(|_| StatusCode::CREATED.into_response()).await;
    let repository = repository(&host, Credentials::None);
    let put = async |reference: &Reference| {
        let bytes = Bytes::from_static(MANIFEST.as_bytes());
        repository
            .put_manifest(reference, media_type::OCI_INDEX, bytes)
            .await
    };
    let digest = Digest::of(MANIFEST.as_bytes());
    assert_eq!(put(&tag()).await.unwrap(), digest);
    assert_eq!(
        put(&Reference::Digest(digest.clone())).await.unwrap(),
        digest
    );
    let outcome = put(&Reference::Digest(Digest::of(b"else"))).await;
    assert!(
        matches!(outcome, Err(ClientError::WrongDigest { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_push_that_is_refused_says_why() {
    // An answer to HEAD has no body; the one to the request after it has.
    for status in [StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED] {
        let host = serve(move |request| {
            let body = r#"{"errors":[{"code":"DENIED","message":"robot may not push"}]}"#;
            let body = if request.method() == Method::HEAD {
                ""
            } else {
                body
            };
            (status, body).into_response()
        })
        .await;
        let repository = repository(&host, robot());
        assert!(!repository.has_blob(&hello()).await.unwrap());
        let refused = repository.upload_blob(&hello(), quickly).await.unwrap_err();
        assert!(
            matches!(refused, ClientError::Unauthorized { .. }),
            "{refused}"
        );
        let text = refused.to_string();
        assert!(text.ends_with(": denied: robot may not push"), "{text}");
    }
}
