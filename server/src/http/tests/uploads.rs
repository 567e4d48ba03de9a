//! Ways in which a blob arrives (end-4 to end-6, end-11, end-13, end-14).

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, StatusCode};
use hythe_oci::{Algorithm, Digest};

use super::{Answer, TestApp};

pub(super) async fn suite(app: &TestApp) {
    post_then_put(app).await;
    one_post(app).await;
    chunks(app).await;
    chunks_out_of_order(app).await;
    a_stream_of_unknown_length(app).await;
    an_empty_blob(app).await;
    sha512_announced_or_not(app).await;
    wrong_digests(app).await;
    wrong_sizes(app).await;
    cancelling(app).await;
    mounting(app).await;
    what_broke_off_is_kept(app).await;
    one_that_says_nothing_is_ended(app).await;
    the_same_blob_twice(app).await;
}

async fn start(app: &TestApp, repository: &str) -> String {
    let answer = app
        .ask("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], "")
        .await;
    answer.is(StatusCode::ACCEPTED);
    assert!(!answer.header("docker-upload-uuid").is_empty());
    answer.header("location").to_owned()
}

async fn patch(app: &TestApp, at: &str, range: Option<&str>, body: &'static str) -> Answer {
    let range = range.map(|range| format!("content-range: {range}"));
    let headers: Vec<&str> = range.iter().map(String::as_str).collect();
    app.ask("PATCH", at, &headers, body).await
}

async fn put(app: &TestApp, at: &str, digest: &Digest, body: &'static str) -> Answer {
    app.ask("PUT", &format!("{at}?digest={digest}"), &[], body)
        .await
}

async fn has(app: &TestApp, location: &str, content: &[u8]) {
    let answer = app.get(location).await;
    answer.is(StatusCode::OK);
    assert_eq!(answer.body, content);
    assert_eq!(answer.header("content-length"), content.len().to_string());
}

async fn post_then_put(app: &TestApp) {
    let at = start(app, "up/load").await;
    let digest = Digest::of(b"post then put");
    let answer = put(app, &at, &digest, "post then put").await;
    answer.is(StatusCode::CREATED);
    assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    has(app, answer.header("location"), b"post then put").await;
    app.get(&at)
        .await
        .is_error(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN");
}

async fn one_post(app: &TestApp) {
    let digest = app.push_blob("up/load", b"one post").await;
    has(app, &format!("/v2/up/load/blobs/{digest}"), b"one post").await;
}

async fn chunks(app: &TestApp) {
    let at = start(app, "up/load").await;
    let answer = patch(app, &at, Some("0-4"), "first").await;
    answer.is(StatusCode::ACCEPTED);
    assert_eq!(answer.header("range"), "0-4");
    let at = answer.header("location").to_owned();
    patch(app, &at, Some("5-10"), "second")
        .await
        .is(StatusCode::ACCEPTED);
    let status = app.get(&at).await;
    status.is(StatusCode::NO_CONTENT);
    assert_eq!(status.header("range"), "0-10");
    let digest = Digest::of(b"firstsecondlast");
    let uri = format!("{at}?digest={digest}");
    let answer = app
        .ask("PUT", &uri, &["content-range: 11-14"], "last")
        .await;
    answer.is(StatusCode::CREATED);
    has(app, answer.header("location"), b"firstsecondlast").await;
}

async fn chunks_out_of_order(app: &TestApp) {
    let at = start(app, "up/load").await;
    patch(app, &at, Some("1-5"), "early")
        .await
        .is_error(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID");
    patch(app, &at, Some("0-4"), "first")
        .await
        .is(StatusCode::ACCEPTED);
    for range in ["0-4", "6-10", "bytes=5-9"] {
        patch(app, &at, Some(range), "wrong")
            .await
            .is_error(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID");
    }
    let status = app.get(&at).await;
    status.is(StatusCode::NO_CONTENT);
    assert_eq!(status.header("range"), "0-4");
    let uri = format!("{at}?digest={}", Digest::of(b"first"));
    app.ask("PUT", &uri, &["content-range: 3-6"], "late")
        .await
        .is(StatusCode::RANGE_NOT_SATISFIABLE);
    put(app, &at, &Digest::of(b"first"), "")
        .await
        .is(StatusCode::CREATED);
}

async fn a_stream_of_unknown_length(app: &TestApp) {
    let at = start(app, "up/load").await;
    let pieces = (0..300).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![7; 10_000])));
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    let request = Request::patch(&at).body(body).unwrap();
    app.send(request).await.is(StatusCode::ACCEPTED);
    let content = vec![7; 3_000_000];
    let answer = put(app, &at, &Digest::of(&content), "").await;
    answer.is(StatusCode::CREATED);
    has(app, answer.header("location"), &content).await;
}

async fn an_empty_blob(app: &TestApp) {
    let digest = app.push_blob("up/load", b"").await;
    has(app, &format!("/v2/up/load/blobs/{digest}"), b"").await;
    let at = start(app, "up/load").await;
    put(app, &at, &digest, "").await.is(StatusCode::CREATED);
}

async fn sha512_announced_or_not(app: &TestApp) {
    for query in ["?digest-algorithm=sha512", ""] {
        for (chunk, last) in [
            ("", "all at once"),
            ("all at", " once"),
            ("all at once", ""),
        ] {
            let uri = format!("/v2/up/load/blobs/uploads/{query}");
            let answer = app.ask("POST", &uri, &[], "").await;
            let at = answer
                .is(StatusCode::ACCEPTED)
                .header("location")
                .to_owned();
            patch(app, &at, None, chunk).await.is(StatusCode::ACCEPTED);
            let digest = Digest::of_with(Algorithm::Sha512, b"all at once");
            let answer = put(app, &at, &digest, last).await;
            answer.is(StatusCode::CREATED);
            has(app, answer.header("location"), b"all at once").await;
        }
    }
    let uri = "/v2/up/load/blobs/uploads/?digest-algorithm=md5";
    app.ask("POST", uri, &[], "")
        .await
        .is_error(StatusCode::BAD_REQUEST, "DIGEST_INVALID");
}

async fn wrong_digests(app: &TestApp) {
    let wrong = Digest::of(b"something else");
    let at = start(app, "up/load").await;
    put(app, &at, &wrong, "content")
        .await
        .is_error(StatusCode::BAD_REQUEST, "DIGEST_INVALID");
    // Nothing of it is left to go on with.
    app.get(&at).await.is(StatusCode::NOT_FOUND);
    let uri = format!("/v2/up/load/blobs/uploads/?digest={wrong}");
    app.ask("POST", &uri, &[], "content")
        .await
        .is_error(StatusCode::BAD_REQUEST, "DIGEST_INVALID");
    app.head(&format!("/v2/up/load/blobs/{wrong}"))
        .await
        .is(StatusCode::NOT_FOUND);
    let at = start(app, "up/load").await;
    for query in ["", "?digest=", "?digest=sha256:beef", "?digest=md5:1"] {
        app.ask("PUT", &format!("{at}{query}"), &[], "content")
            .await
            .is_error(StatusCode::BAD_REQUEST, "DIGEST_INVALID");
    }
}

async fn wrong_sizes(app: &TestApp) {
    let at = start(app, "up/load").await;
    patch(app, &at, Some("0-9"), "short")
        .await
        .is_error(StatusCode::BAD_REQUEST, "SIZE_INVALID");
    let body = Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(
        "short",
    )]));
    let request = Request::patch(&at)
        .header("content-range", "0-9")
        .body(body)
        .unwrap();
    app.send(request)
        .await
        .is_error(StatusCode::BAD_REQUEST, "SIZE_INVALID");
    let status = app.get(&at).await;
    assert_eq!(status.is(StatusCode::NO_CONTENT).header("range"), "0-0");
}

async fn cancelling(app: &TestApp) {
    let at = start(app, "up/load").await;
    patch(app, &at, None, "some").await.is(StatusCode::ACCEPTED);
    app.delete(&at).await.is(StatusCode::NO_CONTENT);
    app.delete(&at)
        .await
        .is_error(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN");
    patch(app, &at, None, "more")
        .await
        .is(StatusCode::NOT_FOUND);
    // A session belongs to its repository.
    let at = start(app, "up/load").await;
    let elsewhere = at.replace("up/load", "up/other");
    patch(app, &elsewhere, None, "x")
        .await
        .is(StatusCode::NOT_FOUND);
    app.delete(&elsewhere).await.is(StatusCode::NOT_FOUND);
}

async fn mounting(app: &TestApp) {
    let digest = app.push_blob("mount/source", b"to be mounted").await;
    let mount =
        |to: &str, more: &str| format!("/v2/mount/{to}/blobs/uploads/?mount={digest}{more}");
    let answer = app
        .ask("POST", &mount("a", "&from=mount/source"), &[], "")
        .await;
    answer.is(StatusCode::CREATED);
    has(app, answer.header("location"), b"to be mounted").await;
    app.ask("POST", &mount("b", ""), &[], "")
        .await
        .is(StatusCode::CREATED);
    for from in ["&from=mount/none", "&from=NOT-A-NAME"] {
        let answer = app.ask("POST", &mount("c", from), &[], "").await;
        assert!(
            answer
                .is(StatusCode::ACCEPTED)
                .header("location")
                .contains("/uploads/")
        );
    }
    app.head(&format!("/v2/mount/c/blobs/{digest}"))
        .await
        .is(StatusCode::NOT_FOUND);
}

async fn what_broke_off_is_kept(app: &TestApp) {
    let at = start(app, "up/load").await;
    let pieces = [
        Ok(Bytes::from_static(b"begun")),
        Err(std::io::Error::other("gone")),
    ];
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    let answer = app.send(Request::patch(&at).body(body).unwrap()).await;
    answer.is(StatusCode::BAD_REQUEST);
    let status = app.get(&at).await;
    assert_eq!(status.is(StatusCode::NO_CONTENT).header("range"), "0-4");
    patch(app, &at, Some("5-9"), " well")
        .await
        .is(StatusCode::ACCEPTED);
    put(app, &at, &Digest::of(b"begun well"), "")
        .await
        .is(StatusCode::CREATED);
}

async fn one_that_says_nothing_is_ended(app: &TestApp) {
    let at = start(app, "up/load").await;
    let silent = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"hm"))])
        .chain(futures_util::stream::pending());
    let request = Request::patch(&at).body(Body::from_stream(silent)).unwrap();
    app.send(request).await.is(StatusCode::REQUEST_TIMEOUT);
    let status = app.get(&at).await;
    assert_eq!(status.is(StatusCode::NO_CONTENT).header("range"), "0-1");
}

async fn the_same_blob_twice(app: &TestApp) {
    let before = app.registry.stored_objects().await;
    let digest = app.push_blob("up/load", b"twice the same").await;
    app.push_blob("up/load", b"twice the same").await;
    app.push_blob("up/elsewhere", b"twice the same").await;
    assert_eq!(app.registry.stored_objects().await, before + 1);
    has(
        app,
        &format!("/v2/up/elsewhere/blobs/{digest}"),
        b"twice the same",
    )
    .await;
}
