//! Quotas: what does not fit is refused, and what fits is taken, whoever pushes beside.

use std::time::Duration;

use http::StatusCode;
use hythe_oci::Digest;
use serde_json::json;
use tokio::task::JoinSet;

use super::policies::set;
use super::{TestApp, image};
use crate::registry::Policy;

pub(super) async fn suite(app: &TestApp) {
    a_quota_refuses_what_does_not_fit(app).await;
    a_refused_upload_gives_back_what_it_took(app).await;
    a_quota_holds_under_many_pushers(app).await;
}

async fn used(app: &TestApp, repositories: &[&str]) -> u64 {
    let mut bytes = 0;
    for repository in repositories {
        let described = app.get(&format!("/api/v1/repositories/{repository}")).await;
        bytes += described.json()["size_bytes"].as_u64().unwrap_or_default();
    }
    bytes
}

async fn a_quota_refuses_what_does_not_fit(app: &TestApp) {
    app.push_image("full/a", "1", &[1; 1000]).await;
    let before = used(app, &["full/a"]).await;
    let limit = before + 1500;
    set(
        app,
        "quotas",
        json!([{"repositories": "full/**", "bytes": limit}]),
    )
    .await;
    let post = |name: &str, content: &[u8]| {
        let uri = format!("/v2/{name}/blobs/uploads/?digest={}", Digest::of(content));
        let content = content.to_vec();
        async move { app.ask("POST", &uri, &[], content).await }
    };
    let refused = post("full/b", &[2; 1501]).await;
    refused.is_error(StatusCode::FORBIDDEN, "DENIED");
    let error = &refused.json()["errors"][0];
    let expected = format!(
        "the quota of full/** is {limit} bytes: {before} are used and 1501 more were asked for"
    );
    assert_eq!(error["message"], expected);
    assert_eq!(error["detail"]["limit_bytes"], limit);
    post("full/b", &[2; 1500]).await.is(StatusCode::CREATED);
    // The same again takes no room; in another repository it does.
    post("full/b", &[2; 1500]).await.is(StatusCode::CREATED);
    let mount = format!(
        "/v2/full/a/blobs/uploads/?mount={}&from=full/b",
        Digest::of(&[2; 1500])
    );
    app.ask("POST", &mount, &[], "")
        .await
        .is_error(StatusCode::FORBIDDEN, "DENIED");
    let config = app.push_blob("full/a", b"{}").await;
    let more = json!({"annotations": {"k": "v"}});
    let manifest = image(&config, 2, &Digest::of(&[1; 1000]), 1000, &more);
    app.put_manifest("full/a", "2", &manifest)
        .await
        .is_error(StatusCode::FORBIDDEN, "DENIED");
    app.get("/v2/full/a/manifests/2")
        .await
        .is(StatusCode::NOT_FOUND);
    // Others are not concerned, and what goes makes room.
    app.push_image("fuller", "1", &[3; 5000]).await;
    let blob = format!("/v2/full/b/blobs/{}", Digest::of(&[2; 1500]));
    app.delete(&blob).await.is(StatusCode::ACCEPTED);
    app.push_manifest("full/a", "2", &manifest).await;
    set(app, "quotas", json!([])).await;
}

async fn a_refused_upload_gives_back_what_it_took(app: &TestApp) {
    set(
        app,
        "quotas",
        json!([{"repositories": "tight", "bytes": 1000}]),
    )
    .await;
    let start = async || {
        let started = app.ask("POST", "/v2/tight/blobs/uploads/", &[], "").await;
        started.is(StatusCode::ACCEPTED);
        started.header("location").to_owned()
    };
    let session = start().await;
    app.ask("PATCH", &session, &[], vec![1; 600])
        .await
        .is(StatusCode::ACCEPTED);
    // What is under way counts.
    let other = start().await;
    let refused = app.ask("PATCH", &other, &[], vec![2; 401]).await;
    refused.is_error(StatusCode::FORBIDDEN, "DENIED");
    assert_eq!(refused.json()["errors"][0]["detail"]["used_bytes"], 600);
    // Without a length it is found out at the end, and the session goes.
    let refused = app.ask_in_pieces("PATCH", &other, vec![2; 401]).await;
    refused.is_error(StatusCode::FORBIDDEN, "DENIED");
    app.get(&other).await.is(StatusCode::NOT_FOUND);
    app.delete(&session).await.is(StatusCode::NO_CONTENT);
    let session = start().await;
    app.ask("PATCH", &session, &[], vec![3; 1000])
        .await
        .is(StatusCode::ACCEPTED);
    let digest = Digest::of(&[3; 1000]);
    app.ask("PUT", &format!("{session}?digest={digest}"), &[], "")
        .await
        .is(StatusCode::CREATED);
    let blob = format!("/v2/tight/blobs/{digest}");
    app.delete(&blob).await.is(StatusCode::ACCEPTED);
    // A session that is heard of no more ends, and holds nothing then.
    let session = start().await;
    app.ask("PATCH", &session, &[], vec![4; 1000])
        .await
        .is(StatusCode::ACCEPTED);
    tokio::time::sleep(Duration::from_millis(3)).await;
    let policy = Policy {
        grace: Duration::from_hours(1),
        untagged_manifests: false,
        upload_expire: Duration::ZERO,
        tag_history: Duration::from_hours(1),
    };
    app.registry.registry.collect(policy).await.unwrap();
    app.push_blob("tight", &[5; 1000]).await;
    set(app, "quotas", json!([])).await;
}

/// Sixteen pushers in several repositories, by every way a blob can come: what
/// was taken fits exactly, and what fits was taken.
async fn a_quota_holds_under_many_pushers(app: &TestApp) {
    const BLOB_BYTES: usize = 1000;
    const ROOM: usize = 20;
    let limit = ROOM * BLOB_BYTES;
    set(
        app,
        "quotas",
        json!([{"repositories": "crowd/*", "bytes": limit}]),
    )
    .await;
    let mut pushers = JoinSet::new();
    for pusher in 0..16u8 {
        let app = app.clone();
        pushers.spawn(async move {
            let name = format!("crowd/{}", pusher % 3);
            let mut taken = 0;
            for round in 0..4u8 {
                let mut content = vec![round; BLOB_BYTES];
                content[0] = pusher;
                let answer = if pusher % 2 == 0 {
                    let digest = Digest::of(&content);
                    let uri = format!("/v2/{name}/blobs/uploads/?digest={digest}");
                    app.ask("POST", &uri, &[], content).await
                } else {
                    push_in_chunks(&app, &name, &content).await
                };
                match answer.status {
                    StatusCode::CREATED => taken += 1,
                    StatusCode::FORBIDDEN => {}
                    other => panic!("{other}: {:?}", answer.body),
                }
            }
            taken
        });
    }
    let mut taken = 0;
    while let Some(pushed) = pushers.join_next().await {
        taken += pushed.unwrap();
    }
    assert!(taken <= ROOM, "{taken}");
    // Two that were refused side by side may each have fitted alone.
    for round in 0..ROOM {
        let content = [
            &[0xff, u8::try_from(round).unwrap()][..],
            &[0; BLOB_BYTES - 2],
        ]
        .concat();
        let uri = format!("/v2/crowd/0/blobs/uploads/?digest={}", Digest::of(&content));
        if app.ask("POST", &uri, &[], content).await.status == StatusCode::CREATED {
            taken += 1;
        }
    }
    assert_eq!(taken, ROOM);
    set(app, "quotas", json!([])).await;
}

async fn push_in_chunks(app: &TestApp, name: &str, content: &[u8]) -> super::Answer {
    let started = app
        .ask("POST", &format!("/v2/{name}/blobs/uploads/"), &[], "")
        .await;
    started.is(StatusCode::ACCEPTED);
    let session = started.header("location").to_owned();
    let (first, second) = content.split_at(content.len() / 2);
    let patched = app.ask_in_pieces("PATCH", &session, first.to_vec()).await;
    if patched.status != StatusCode::ACCEPTED {
        return patched;
    }
    let uri = format!("{session}?digest={}", Digest::of(content));
    app.ask_in_pieces("PUT", &uri, second.to_vec()).await
}
