//! Pushing, pulling and deleting manifests and tags (end-3, end-7, end-9).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use hythe_oci::{Algorithm, Digest};
use serde_json::json;

use super::{TestApp, image, index};
use crate::testing;

const IMAGE: &str = "content-type: application/vnd.oci.image.manifest.v1+json";

pub(super) async fn suite(app: &TestApp) {
    by_tag_and_by_digest(app).await;
    a_tag_that_moves_is_never_stale(app).await;
    bytes_are_kept_as_they_came(app).await;
    many_tags_at_once(app).await;
    other_algorithms(app).await;
    indexes_and_docker_types(app).await;
    what_is_refused(app).await;
    foreign_layers_are_not_asked_for(app).await;
    deleting(app).await;
    subjects(app).await;
}

async fn by_tag_and_by_digest(app: &TestApp) {
    let digest = app.push_image("man", "v1", b"a layer").await;
    for reference in ["v1".to_owned(), digest.to_string()] {
        let uri = format!("/v2/man/manifests/{reference}");
        let got = app.get(&uri).await;
        got.is(StatusCode::OK);
        assert_eq!(Digest::of(&got.body), digest);
        let head = app.head(&uri).await;
        for answer in [&got, &head] {
            assert_eq!(
                answer.is(StatusCode::OK).header("docker-content-digest"),
                digest.to_string()
            );
            assert_eq!(
                answer.header("content-type"),
                "application/vnd.oci.image.manifest.v1+json"
            );
            assert_eq!(answer.header("content-length"), got.body.len().to_string());
        }
        let known = format!("if-none-match: {}", got.header("etag"));
        app.ask("GET", &uri, &[&known], "")
            .await
            .is(StatusCode::NOT_MODIFIED);
    }
    app.get("/v2/man/manifests/v2")
        .await
        .is_error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN");
    app.get("/v2/nobody/manifests/v1")
        .await
        .is(StatusCode::NOT_FOUND);
    // A tag moves, and what it named stays.
    let next = app.push_image("man", "v1", b"another layer").await;
    let got = app.get("/v2/man/manifests/v1").await;
    assert_eq!(got.header("docker-content-digest"), next.to_string());
    app.get(&format!("/v2/man/manifests/{digest}"))
        .await
        .is(StatusCode::OK);
}

/// Whoever asks after a push was answered gets that push or a later one.
async fn a_tag_that_moves_is_never_stale(app: &TestApp) {
    const MOVES: usize = 40;
    const MOVING: &str = "/v2/man/manifests/moving";
    let config = app.push_blob("man", b"{}").await;
    let nth = |n: usize| {
        image(
            &config,
            2,
            &config,
            2,
            &json!({"annotations": {"n": n.to_string()}}),
        )
    };
    app.push_manifest("man", "moving", &nth(0)).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (app, acknowledged) = (app.clone(), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                loop {
                    let at_least = acknowledged.load(Ordering::SeqCst);
                    let got = app.get(MOVING).await;
                    let n: usize = got.is(StatusCode::OK).json()["annotations"]["n"]
                        .as_str()
                        .unwrap()
                        .parse()
                        .unwrap();
                    assert!(n >= at_least, "{n} after {at_least} was acknowledged");
                    if n == MOVES {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for n in 1..=MOVES {
        app.push_manifest("man", "moving", &nth(n)).await;
        acknowledged.store(n, Ordering::SeqCst);
    }
    for reader in readers {
        reader.await.unwrap();
    }
    app.delete(MOVING).await.is(StatusCode::ACCEPTED);
    app.get(MOVING).await.is(StatusCode::NOT_FOUND);
}

async fn bytes_are_kept_as_they_came(app: &TestApp) {
    let config = app.push_blob("man", b"{}").await;
    let odd = format!(
        "{{ \"x-unknown\" : [1,\t2.50 , null],\n\"schemaVersion\":2, \
         \"config\": {{\"mediaType\":\"application/vnd.example+json\",\"digest\":\"{config}\",\"size\":2}} }}\n\n"
    );
    let answer = app
        .ask("PUT", "/v2/man/manifests/odd", &[IMAGE], odd.clone())
        .await;
    answer.is(StatusCode::CREATED);
    assert_eq!(app.get("/v2/man/manifests/odd").await.body, odd);
    assert_eq!(app.get(answer.header("location")).await.body, odd);
}

async fn many_tags_at_once(app: &TestApp) {
    let config = app.push_blob("man", b"{}").await;
    let manifest = image(
        &config,
        2,
        &config,
        2,
        &json!({"annotations": {"n": "many"}}),
    );
    let digest = Digest::of(manifest.to_string().as_bytes());
    let tags: Vec<String> = (0..20).map(|n| format!("many-{n:02}")).collect();
    let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
    let uri = format!("/v2/man/manifests/{digest}?{}", query.join("&"));
    let answer = app.ask("PUT", &uri, &[IMAGE], manifest.to_string()).await;
    answer.is(StatusCode::CREATED);
    let told: Vec<&str> = answer
        .headers
        .get_all("oci-tag")
        .iter()
        .map(|tag| tag.to_str().unwrap())
        .collect();
    assert_eq!(told, tags);
    for tag in &tags {
        app.head(&format!("/v2/man/manifests/{tag}"))
            .await
            .is(StatusCode::OK);
    }
    let wrong = format!("/v2/man/manifests/{digest}?tag=fine&tag=-not");
    app.ask("PUT", &wrong, &[IMAGE], manifest.to_string())
        .await
        .is(StatusCode::BAD_REQUEST);
    app.head("/v2/man/manifests/fine")
        .await
        .is(StatusCode::NOT_FOUND);
}

async fn other_algorithms(app: &TestApp) {
    let config = app.push_blob("man", b"{}").await;
    let manifest = image(&config, 2, &config, 2, &json!({}));
    let digest = Digest::of_with(Algorithm::Sha512, manifest.to_string().as_bytes());
    let stored = app
        .push_manifest("man/sha512", &digest.to_string(), &manifest)
        .await;
    assert_eq!(stored, digest);
    app.get(&format!("/v2/man/sha512/manifests/{digest}"))
        .await
        .is(StatusCode::OK);
}

async fn indexes_and_docker_types(app: &TestApp) {
    let child = app.push_image("man", "child", b"a layer").await;
    app.push_manifest("man", "index", &index(&[(&child, 500)]))
        .await;
    let config = app.push_blob("man", b"{}").await;
    for (tag, media_type) in [
        (
            "docker",
            "application/vnd.docker.distribution.manifest.v2+json",
        ),
        (
            "list",
            "application/vnd.docker.distribution.manifest.list.v2+json",
        ),
    ] {
        let mut manifest = if tag == "list" {
            index(&[(&child, 500)])
        } else {
            image(&config, 2, &config, 2, &json!({}))
        };
        manifest["mediaType"] = json!(media_type);
        app.push_manifest("man", tag, &manifest).await;
        let got = app.get(&format!("/v2/man/manifests/{tag}")).await;
        assert_eq!(got.header("content-type"), media_type);
    }
}

async fn what_is_refused(app: &TestApp) {
    let config = app.push_blob("man", b"{}").await;
    let good = image(&config, 2, &config, 2, &json!({})).to_string();
    let other = Digest::of(b"other");
    let uri = "/v2/man/manifests/refused";
    app.ask(
        "PUT",
        &format!("/v2/man/manifests/{other}"),
        &[IMAGE],
        good.clone(),
    )
    .await
    .is_error(StatusCode::BAD_REQUEST, "DIGEST_INVALID");
    for (headers, body) in [
        (IMAGE, "{"),
        (IMAGE, "[]"),
        (IMAGE, "{\"schemaVersion\":1,\"fsLayers\":[]}"),
        (
            "content-type: application/vnd.docker.distribution.manifest.v1+prettyjws",
            &good,
        ),
        (
            "content-type: application/vnd.oci.image.index.v1+json",
            &good,
        ),
        ("content-type: text/plain", &good),
    ] {
        app.ask("PUT", uri, &[headers], body.to_owned())
            .await
            .is_error(StatusCode::BAD_REQUEST, "MANIFEST_INVALID");
    }
    let large = format!("{good}{}", " ".repeat(4 * 1024 * 1024));
    app.ask("PUT", uri, &[IMAGE], large)
        .await
        .is_error(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID");
    app.head(uri).await.is(StatusCode::NOT_FOUND);
}

async fn foreign_layers_are_not_asked_for(app: &TestApp) {
    let config = app.push_blob("man", b"{}").await;
    let foreign = json!({"layers": [{
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "digest": Digest::of(b"elsewhere"),
        "size": 9,
        "urls": ["https://elsewhere.example/layer"],
    }]});
    app.push_manifest("man", "foreign", &image(&config, 2, &config, 2, &foreign))
        .await;
}

async fn deleting(app: &TestApp) {
    let digest = app.push_image("man/del", "one", b"a layer").await;
    app.push_image("man/del", "two", b"a layer").await;
    app.delete("/v2/man/del/manifests/one")
        .await
        .is(StatusCode::ACCEPTED);
    app.get("/v2/man/del/manifests/one")
        .await
        .is(StatusCode::NOT_FOUND);
    app.get("/v2/man/del/manifests/two")
        .await
        .is(StatusCode::OK);
    app.delete(&format!("/v2/man/del/manifests/{digest}"))
        .await
        .is(StatusCode::ACCEPTED);
    app.get("/v2/man/del/manifests/two")
        .await
        .is(StatusCode::NOT_FOUND);
    for reference in ["one".to_owned(), digest.to_string()] {
        app.delete(&format!("/v2/man/del/manifests/{reference}"))
            .await
            .is_error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN");
    }
}

async fn subjects(app: &TestApp) {
    let config = app.push_blob("man", b"{}").await;
    let subject = Digest::of(b"not pushed yet");
    let referrer = image(
        &config,
        2,
        &config,
        2,
        &json!({"subject": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": subject, "size": 9,
        }}),
    );
    let answer = app.put_manifest("man", "referrer", &referrer).await;
    assert_eq!(
        answer.is(StatusCode::CREATED).header("oci-subject"),
        subject.to_string()
    );
}

#[tokio::test]
async fn incomplete_manifests_are_refused_where_that_is_asked_for() {
    let rules = crate::config::RulesConfig {
        allow_sparse: false,
        ..testing::rules()
    };
    let app = TestApp::quick(rules).await;
    let config = app.push_blob("man", b"{}").await;
    let missing = Digest::of(b"missing");
    let answer = app
        .put_manifest("man", "v1", &image(&config, 2, &missing, 7, &json!({})))
        .await;
    answer.is_error(StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(
        answer.json()["errors"][0]["detail"]["digest"],
        missing.to_string()
    );
    app.head("/v2/man/manifests/v1")
        .await
        .is(StatusCode::NOT_FOUND);
    app.put_manifest("man", "v1", &index(&[(&missing, 7)]))
        .await
        .is_error(StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN");
    app.push_image("man", "v1", b"missing").await;
}
