//! What comes in: manifests, tags, and blobs over connections that break.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use hythe_oci::client::{ClientError, Credentials, Sink};
use hythe_oci::{Algorithm, Descriptor, Digest, DigestHasher, Reference, Tag, media_type};

use crate::support::{Diary, MANIFEST, manifest, repository, serve, tag};

#[tokio::test]
async fn a_passing_failure_is_tried_again() {
    let diary = Diary::default();
    let written = diary.clone();
    let host = serve(move |request| match request.uri().path() {
        "/v2/" => StatusCode::OK.into_response(),
        _ => match written.write("asked") {
            1 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            2 => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "0")]).into_response(),
            _ => manifest(),
        },
    })
    .await;
    repository(&host, Credentials::None)
        .get_manifest(&tag())
        .await
        .unwrap();
    assert_eq!(diary.count("asked"), 3);
}

#[tokio::test]
async fn a_registry_that_wants_an_hour_is_not_waited_for() {
    let host = serve(|_| {
        let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
        let after = [(header::RETRY_AFTER, "3600")];
        (StatusCode::TOO_MANY_REQUESTS, after, body).into_response()
    })
    .await;
    let began = Instant::now();
    let outcome = repository(&host, Credentials::None)
        .get_manifest(&tag())
        .await;
    let text = outcome.unwrap_err().to_string();
    assert!(
        text.ends_with("429 Too Many Requests: toomanyrequests: slow down"),
        "{text}"
    );
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_head_says_what_a_tag_names() {
    let digest = Digest::of(MANIFEST.as_bytes());
    let size = MANIFEST.len() as u64;
    let expected = Descriptor::new(media_type::OCI_INDEX, digest.clone(), size);
    let host = serve(|request| match request.uri().path() {
        "/v2/team/app/manifests/1" => manifest(),
        // A registry that does not say the digest.
        "/v2/team/app/manifests/2" if request.method() == Method::HEAD => {
            StatusCode::OK.into_response()
        }
        "/v2/team/app/manifests/2" => {
            ([(header::CONTENT_TYPE, "application/json")], MANIFEST).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    })
    .await;
    let repository = repository(&host, Credentials::None);
    for (tag, found) in [("1", Some(&expected)), ("2", Some(&expected)), ("3", None)] {
        let head = repository
            .head_manifest(&tag.parse().unwrap())
            .await
            .unwrap();
        assert_eq!(head.as_ref(), found, "{tag}");
    }
}

#[tokio::test]
async fn what_is_no_manifest_says_why() {
    for (content_type, body, reason) in [
        (
            media_type::DOCKER_SCHEMA1_SIGNED,
            r#"{"schemaVersion":1}"#,
            "schema 1",
        ),
        (media_type::OCI_MANIFEST, MANIFEST, "its sender says"),
        ("text/html", "<html>", "not valid JSON"),
    ] {
        let host = serve(move |_| ([(header::CONTENT_TYPE, content_type)], body).into_response());
        let repository = repository(&host.await, Credentials::None);
        match repository.get_manifest(&tag()).await {
            Err(ClientError::Manifest { source, .. }) => {
                assert!(source.to_string().contains(reason), "{source}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_manifest_with_another_digest_is_refused() {
    let host = serve(|_| manifest()).await;
    let wanted = Digest::of(b"something else");
    let reference = Reference::Digest(wanted);
    let error = repository(&host, Credentials::None)
        .get_manifest(&reference)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::WrongDigest { .. }), "{error}");
}

#[tokio::test]
async fn who_may_only_push_may_not_read() {
    for (status, expected) in [
        (StatusCode::PARTIAL_CONTENT, Some(true)),
        (StatusCode::OK, Some(true)),
        (StatusCode::NOT_FOUND, Some(false)),
        (StatusCode::FORBIDDEN, None),
    ] {
        let host = serve(move |request| {
            if request.method() == Method::HEAD || request.uri().path() == "/v2/" {
                return StatusCode::OK.into_response();
            }
            assert_eq!(request.headers()[header::RANGE], "bytes=0-0");
            (status, "x").into_response()
        })
        .await;
        let blob = Descriptor::new("x", Digest::of(b"x"), 1);
        let repository = repository(&host, Credentials::None);
        let answer = repository.may_read_blob(&blob).await;
        assert_eq!(answer.ok(), expected, "{status}");
    }
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
            tokio::time::sleep(Duration::from_millis(20)).await;
            Err(std::io::Error::other("cut"))
        }),
    );
    Body::from_stream(parts)
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_stopped() {
    let asked = Arc::new(Mutex::new(Vec::new()));
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
        tags.iter().map(Tag::as_str).collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
}
