//! Reading and deleting blobs (end-2, end-10).

use http::StatusCode;
use hythe_oci::Digest;

use super::TestApp;

pub(super) async fn suite(app: &TestApp) {
    reading(app).await;
    ranges(app).await;
    over_several_segments(app).await;
    not_modified(app).await;
    deleting(app).await;
    only_where_it_was_pushed(app).await;
}

async fn reading(app: &TestApp) {
    let digest = app.push_blob("blob", b"some content").await;
    let uri = format!("/v2/blob/blobs/{digest}");
    for answer in [app.get(&uri).await, app.head(&uri).await] {
        answer.is(StatusCode::OK);
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        assert_eq!(answer.header("content-length"), "12");
        assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        assert_eq!(answer.header("accept-ranges"), "bytes");
    }
    let unknown = format!("/v2/blob/blobs/{}", Digest::of(b"never pushed"));
    app.get(&unknown)
        .await
        .is_error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN");
    app.head(&unknown).await.is(StatusCode::NOT_FOUND);
    app.get("/v2/blob/blobs/sha256:beef")
        .await
        .is_error(StatusCode::BAD_REQUEST, "DIGEST_INVALID");
}

async fn ranges(app: &TestApp) {
    let digest = app.push_blob("blob", b"0123456789").await;
    let uri = format!("/v2/blob/blobs/{digest}");
    for (range, content, expected) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=3-5", "345", "bytes 3-5/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=5-99", "56789", "bytes 5-9/10"),
    ] {
        let answer = app
            .ask("GET", &uri, &[&format!("range: {range}")], "")
            .await;
        answer.is(StatusCode::PARTIAL_CONTENT);
        assert_eq!(answer.body, content, "{range}");
        assert_eq!(answer.header("content-range"), expected);
        assert_eq!(answer.header("content-length"), content.len().to_string());
    }
    for range in ["bytes=10-", "bytes=20-30", "bytes=5-3"] {
        let answer = app
            .ask("GET", &uri, &[&format!("range: {range}")], "")
            .await;
        answer.is(StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(answer.header("content-range"), "bytes */10");
    }
    let answer = app.ask("GET", &uri, &["range: bytes=0-1,4-5"], "").await;
    assert_eq!(answer.is(StatusCode::OK).body, "0123456789");
}

async fn over_several_segments(app: &TestApp) {
    let answer = app.ask("POST", "/v2/blob/blobs/uploads/", &[], "").await;
    let at = answer.header("location").to_owned();
    for chunk in ["abc", "", "d", "efgh"] {
        app.ask("PATCH", &at, &[], chunk)
            .await
            .is(StatusCode::ACCEPTED);
    }
    let digest = Digest::of(b"abcdefgh");
    app.ask("PUT", &format!("{at}?digest={digest}"), &[], "")
        .await
        .is(StatusCode::CREATED);
    let uri = format!("/v2/blob/blobs/{digest}");
    assert_eq!(app.get(&uri).await.body, "abcdefgh");
    let answer = app.ask("GET", &uri, &["range: bytes=2-5"], "").await;
    assert_eq!(answer.is(StatusCode::PARTIAL_CONTENT).body, "cdef");
}

async fn not_modified(app: &TestApp) {
    let digest = app.push_blob("blob", b"as before").await;
    let uri = format!("/v2/blob/blobs/{digest}");
    let known = format!("if-none-match: \"{digest}\"");
    let answer = app.ask("GET", &uri, &[&known], "").await;
    answer.is(StatusCode::NOT_MODIFIED);
    assert!(answer.body.is_empty());
    app.ask("GET", &uri, &["if-none-match: \"other\""], "")
        .await
        .is(StatusCode::OK);
}

async fn deleting(app: &TestApp) {
    let digest = app.push_blob("blob/del", b"to be deleted").await;
    let uri = format!("/v2/blob/del/blobs/{digest}");
    app.delete(&uri).await.is(StatusCode::ACCEPTED);
    app.get(&uri).await.is(StatusCode::NOT_FOUND);
    app.delete(&uri)
        .await
        .is_error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN");
    // What an image needs stays, and the answer names the image.
    let manifest = app.push_image("blob/del", "kept", b"layer in use").await;
    let uri = format!("/v2/blob/del/blobs/{}", Digest::of(b"layer in use"));
    let answer = app.delete(&uri).await;
    answer.is_error(StatusCode::METHOD_NOT_ALLOWED, "DENIED");
    assert_eq!(
        answer.json()["errors"][0]["detail"]["manifest"],
        manifest.to_string()
    );
    app.delete(&format!("/v2/blob/del/manifests/{manifest}"))
        .await
        .is(StatusCode::ACCEPTED);
    app.delete(&uri).await.is(StatusCode::ACCEPTED);
}

async fn only_where_it_was_pushed(app: &TestApp) {
    let digest = app.push_blob("blob/mine", b"private").await;
    app.get(&format!("/v2/blob/yours/blobs/{digest}"))
        .await
        .is(StatusCode::NOT_FOUND);
    // Deleting it in one repository leaves it in another.
    app.push_blob("blob/yours", b"private").await;
    app.delete(&format!("/v2/blob/mine/blobs/{digest}"))
        .await
        .is(StatusCode::ACCEPTED);
    app.get(&format!("/v2/blob/yours/blobs/{digest}"))
        .await
        .is(StatusCode::OK);
}
