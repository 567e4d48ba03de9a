//! History of tags, and the rules about them that are set under `/api/v1/policies`.

use std::time::Duration;

use http::StatusCode;
use hythe_oci::Digest;
use serde_json::{Value, json};

use super::{TestApp, image};
use crate::registry::Policy;

pub(super) async fn suite(app: &TestApp) {
    every_move_is_known(app).await;
    a_tag_is_restored(app).await;
    what_history_names_is_kept(app).await;
    immutable_tags_stay(app).await;
    retention_removes_what_nothing_keeps(app).await;
    what_is_no_rule_is_refused(app).await;
}

pub(super) async fn set(app: &TestApp, kind: &str, rules: Value) {
    let uri = format!("/api/v1/policies/{kind}");
    let answer = app.ask("PUT", &uri, &[], rules.to_string()).await;
    answer.is(StatusCode::OK);
    assert_eq!(
        answer.json()["set"][kind].as_array().unwrap().len(),
        rules.as_array().unwrap().len()
    );
}

async fn moves(app: &TestApp, tag: &str) -> Vec<(String, String, String)> {
    let uri = format!("/api/v1/repositories/moved/tags/{tag}/history");
    let answer = app.get(&uri).await;
    answer.is(StatusCode::OK);
    let moves = answer.json()["moves"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    moves
        .iter()
        .map(|one| {
            (
                text(&one["reason"]),
                text(&one["previous"]),
                text(&one["digest"]),
            )
        })
        .collect()
}

async fn every_move_is_known(app: &TestApp) {
    let one = app.push_image("moved", "latest", b"one").await.to_string();
    let two = app.push_image("moved", "latest", b"two").await.to_string();
    // No move.
    app.push_image("moved", "latest", b"two").await;
    let none = "-".to_owned();
    let pushed = |from: &String, to: &String| ("push".to_owned(), from.clone(), to.clone());
    assert_eq!(
        moves(app, "latest").await,
        [pushed(&one, &two), pushed(&none, &one)]
    );
    app.delete("/v2/moved/manifests/latest")
        .await
        .is(StatusCode::ACCEPTED);
    assert_eq!(
        moves(app, "latest").await[0],
        ("delete".to_owned(), two.clone(), none.clone())
    );
    app.push_image("moved", "other", b"two").await;
    app.delete(&format!("/v2/moved/manifests/{two}"))
        .await
        .is(StatusCode::ACCEPTED);
    assert_eq!(
        moves(app, "other").await[0],
        ("delete".to_owned(), two, none)
    );
    let page = app
        .get("/api/v1/repositories/moved/tags/latest/history?n=1")
        .await;
    let first = &page.json()["moves"][0];
    assert_eq!(first["moved_by"], "anonymous");
    // What it named went with its manifest.
    assert_eq!(first["restorable"], false);
    let uri = format!(
        "/api/v1/repositories/moved/tags/latest/history?n=1&before={}",
        first["id"]
    );
    assert_eq!(app.get(&uri).await.json()["moves"][0]["restorable"], true);
    assert!(moves(app, "never").await.is_empty());
    app.get("/api/v1/repositories/never/tags/latest/history")
        .await
        .is_error(StatusCode::NOT_FOUND, "NAME_UNKNOWN");
}

async fn a_tag_is_restored(app: &TestApp) {
    let restore = async |body: String| {
        let uri = "/api/v1/repositories/undo/tags/v/restore";
        app.ask("POST", uri, &[], body).await
    };
    let named =
        async || app.get("/v2/undo/manifests/v").await.json()["layers"][0]["digest"].clone();
    let layer = |content: &[u8]| json!(Digest::of(content));
    let one = app.push_image("undo", "v", b"one").await;
    restore(String::new())
        .await
        .is_error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN");
    let between = jiff::Timestamp::now();
    tokio::time::sleep(Duration::from_millis(3)).await;
    app.push_image("undo", "v", b"two").await;
    app.push_image("undo", "v", b"three").await;
    restore(String::new()).await.is(StatusCode::OK);
    assert_eq!(named().await, layer(b"two"));
    // What was before the last move, which was that one.
    restore("{}".to_owned()).await.is(StatusCode::OK);
    assert_eq!(named().await, layer(b"three"));
    let as_of = json!({ "as_of": between.to_string() }).to_string();
    let answer = restore(as_of).await;
    answer.is(StatusCode::OK);
    assert_eq!(answer.json()["digest"], json!(one));
    assert_eq!(named().await, layer(b"one"));
    app.delete("/v2/undo/manifests/v")
        .await
        .is(StatusCode::ACCEPTED);
    restore(String::new()).await.is(StatusCode::OK);
    assert_eq!(named().await, layer(b"one"));
    for wrong in [
        json!({ "as_of": "2001-01-01T00:00:00Z" }),
        json!({ "digest": Digest::of(b"never") }),
    ] {
        restore(wrong.to_string())
            .await
            .is_error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN");
    }
    // An image of the repository that the tag never named is not its past.
    let other = app.push_image("undo", "other", b"other").await;
    restore(json!({ "digest": other }).to_string())
        .await
        .is_error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN");
    app.delete(&format!("/v2/undo/manifests/{other}"))
        .await
        .is(StatusCode::ACCEPTED);
    for wrong in [
        "x",
        "{\"digest\": 1}",
        "{\"at\": 1}",
        "{\"as_of\": \"soon\"}",
    ] {
        restore(wrong.to_owned())
            .await
            .is_error(StatusCode::BAD_REQUEST, "UNSUPPORTED");
    }
}

async fn what_history_names_is_kept(app: &TestApp) {
    let old = app.push_image("past", "v", b"old").await;
    app.push_image("past", "v", b"new").await;
    let there = async || app.get(&format!("/v2/past/manifests/{old}")).await.status;
    let policy = Policy {
        grace: Duration::ZERO,
        untagged_manifests: true,
        upload_expire: Duration::from_hours(1),
        tag_history: Duration::from_hours(1),
    };
    tokio::time::sleep(Duration::from_millis(3)).await;
    app.registry.registry.collect(policy).await.unwrap();
    assert_eq!(there().await, StatusCode::OK);
    let over = Policy {
        tag_history: Duration::ZERO,
        ..policy
    };
    app.registry.registry.collect(over).await.unwrap();
    assert_eq!(there().await, StatusCode::NOT_FOUND);
    let uri = "/api/v1/repositories/past/tags/v/history";
    assert_eq!(app.get(uri).await.json()["moves"], json!([]));
}

async fn immutable_tags_stay(app: &TestApp) {
    let digest = app.push_image("fixed/app", "v1", b"one").await;
    app.push_image("fixed/app", "latest", b"one").await;
    set(
        app,
        "immutable-tags",
        json!([{"repositories": "fixed/**", "tags": "v*"}]),
    )
    .await;
    let config = app.push_blob("fixed/app", b"{}").await;
    let layer = app.push_blob("fixed/app", b"two").await;
    let other = image(&config, 2, &layer, 3, &json!({}));
    let refused = app.put_manifest("fixed/app", "v1", &other).await;
    refused.is_error(StatusCode::FORBIDDEN, "DENIED");
    let message = refused.json()["errors"][0]["message"].to_string();
    assert!(
        message.contains("tag v1 of fixed/app is immutable"),
        "{message}"
    );
    for uri in [
        "/v2/fixed/app/manifests/v1".to_owned(),
        format!("/v2/fixed/app/manifests/{digest}"),
        "/api/v1/repositories/fixed/app".to_owned(),
    ] {
        app.delete(&uri)
            .await
            .is_error(StatusCode::FORBIDDEN, "DENIED");
    }
    // Nothing of it happened: not the manifest, not another tag, no move.
    let other_digest = Digest::of(other.to_string().as_bytes());
    app.get(&format!("/v2/fixed/app/manifests/{other_digest}"))
        .await
        .is(StatusCode::NOT_FOUND);
    let both = format!("{other_digest}?tag=free&tag=v1");
    app.put_manifest("fixed/app", &both, &other)
        .await
        .is_error(StatusCode::FORBIDDEN, "DENIED");
    app.get("/v2/fixed/app/manifests/free")
        .await
        .is(StatusCode::NOT_FOUND);
    let tag = app.get("/api/v1/repositories/fixed/app/tags/v1").await;
    assert_eq!(tag.json()["digest"], json!(digest));
    // The same again is no move, a new tag is not there yet, and others are free.
    app.push_image("fixed/app", "v1", b"one").await;
    app.push_manifest("fixed/app", "v2", &other).await;
    app.push_manifest("fixed/app", "latest", &other).await;
    app.push_manifest("fixed/app", "1", &other).await;
    app.delete("/v2/fixed/app/manifests/1")
        .await
        .is(StatusCode::ACCEPTED);
    set(app, "immutable-tags", json!([])).await;
    app.push_manifest("fixed/app", "v1", &other).await;
}

async fn retention_removes_what_nothing_keeps(app: &TestApp) {
    for number in 1..=5 {
        let content = [number];
        app.push_image("kept/app", &format!("pr-{number}"), &content)
            .await;
        // Each is newer than the one before.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    app.push_image("kept/app", "v1", b"v1").await;
    let digest = app.push_image("kept/app", "pr-0", &[1]).await;
    app.get(&format!("/v2/kept/app/manifests/{digest}"))
        .await
        .is(StatusCode::OK);
    app.registry.registry.write_pulls().await.unwrap();
    let rule = json!({
        "repositories": "kept/*", "tags": "pr-*", "keep_last": 2, "keep_pulled_seconds": 3600,
    });
    set(app, "retention", json!([rule])).await;
    let decided = app.registry.registry.decide_tags().await.unwrap();
    let why = |name: &str| {
        let one = decided.iter().find(|one| one.tag.as_str() == name).unwrap();
        (one.remove, one.why.clone())
    };
    assert_eq!(decided.len(), 6);
    assert_eq!(
        why("pr-0"),
        (false, "number 1 of the last 2 of pr-*".to_owned())
    );
    assert_eq!(
        why("pr-1"),
        (false, "pulled within 3600 seconds".to_owned())
    );
    assert_eq!(
        why("pr-3"),
        (
            true,
            "number 4 of pr-*, 2 are kept; never pulled".to_owned()
        )
    );
    let tags = async || app.get("/v2/kept/app/tags/list").await.json()["tags"].clone();
    assert_eq!(
        tags().await.as_array().unwrap().len(),
        7,
        "nothing was removed yet"
    );
    assert_eq!(app.registry.registry.expire_tags().await.unwrap(), 3);
    assert_eq!(tags().await, json!(["pr-0", "pr-1", "pr-5", "v1"]));
    let uri = "/api/v1/repositories/kept/app/tags/pr-3/history";
    assert_eq!(app.get(uri).await.json()["moves"][0]["reason"], "retention");
    // It can be undone.
    app.ask(
        "POST",
        "/api/v1/repositories/kept/app/tags/pr-3/restore",
        &[],
        "",
    )
    .await
    .is(StatusCode::OK);
    set(app, "retention", json!([])).await;
}

async fn what_is_no_rule_is_refused(app: &TestApp) {
    for (kind, rules) in [
        ("quotas", "{}"),
        ("quotas", r#"[{"repositories": "a"}]"#),
        ("quotas", r#"[{"repositories": "A", "bytes": 1}]"#),
        ("quotas", r#"[{"repositories": "a", "bytes": -1}]"#),
        ("retention", r#"[{"repositories": "a"}]"#),
        ("immutable-tags", r#"[{"repositories": "a", "tags": "/"}]"#),
        ("immutable-tags", r#"[{"repositories": "a", "tag": "x"}]"#),
    ] {
        app.ask("PUT", &format!("/api/v1/policies/{kind}"), &[], rules)
            .await
            .is_error(StatusCode::BAD_REQUEST, "UNSUPPORTED");
    }
    let document = app.get("/api/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let all = app.get("/api/v1/policies").await.json();
    assert_eq!(all["set"]["quotas"], json!([]));
    assert_eq!(all["configured"]["retention"], json!([]));
    app.ask("PUT", "/api/v1/policies/other", &[], "[]")
        .await
        .is(StatusCode::NOT_FOUND);
}
