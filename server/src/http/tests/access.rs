//! Every route, asked by every kind of caller; and what those are told who may
//! not.

use std::collections::BTreeSet;

use http::StatusCode;

use super::super::route::tests as routes;
use super::callers::{CALLERS, PASSWORD, basic, closed, grant, proof};
use crate::auth::Effect;

/// A route, and how each of [`CALLERS`] is answered: `y` is let in, `1` is 401,
/// `3` is 403.
const TABLE: [(&str, &str); 24] = [
    ("ping", "11yyyyy"),
    ("get_blob", "113y33y"),
    ("head_blob", "113yy3y"),
    ("delete_blob", "11333yy"),
    ("get_manifest", "113y33y"),
    ("head_manifest", "113yy3y"),
    ("put_manifest", "1133y3y"),
    ("delete_manifest", "11333yy"),
    ("start_upload", "1133y3y"),
    ("upload_status", "1133y3y"),
    ("append_chunk", "1133y3y"),
    ("complete_upload", "1133y3y"),
    ("cancel_upload", "1133y3y"),
    ("list_tags", "113y33y"),
    ("list_referrers", "113y33y"),
    ("list_repositories", "11yyyyy"),
    ("search", "11yyyyy"),
    ("search_ping", "yyyyyyy"),
    ("get_token", "y1yyyyy"),
    ("post_token", "yyyyyyy"),
    ("jwks", "yyyyyyy"),
    ("health", "yyyyyyy"),
    ("ready", "yyyyyyy"),
    ("metrics", "yyyyyyy"),
];

/// The same of `/api/v1`.
const API_TABLE: [(&str, &str); 33] = [
    ("api_audit", "113333y"),
    ("api_list_accounts", "113333y"),
    ("api_add_account", "113333y"),
    ("api_change_account", "113333y"),
    ("api_remove_account", "113333y"),
    ("api_list_groups", "113333y"),
    ("api_add_group", "113333y"),
    ("api_remove_group", "113333y"),
    ("api_add_member", "113333y"),
    ("api_remove_member", "113333y"),
    ("api_list_grants", "113333y"),
    ("api_add_grant", "113333y"),
    ("api_remove_grant", "113333y"),
    ("api_list_identities", "113333y"),
    ("api_add_identity", "113333y"),
    ("api_remove_identity", "113333y"),
    ("api_list_own_tokens", "11yyyyy"),
    // Of nobody's; and the body is none, where it comes to that.
    ("api_make_token", "11yyyyy"),
    ("api_revoke_token", "113333y"),
    ("api_who_am_i", "11yyyyy"),
    ("api_list_repositories", "11yyyyy"),
    ("api_describe_repository", "113y33y"),
    ("api_change_repository", "113333y"),
    ("api_delete_repository", "11333yy"),
    ("api_give_star", "113y33y"),
    ("api_take_star", "113y33y"),
    ("api_list_tags", "113y33y"),
    ("api_describe_tag", "113y33y"),
    ("api_tag_history", "113y33y"),
    ("api_restore_tag", "1133y3y"),
    ("api_list_policies", "113333y"),
    ("api_set_policy", "113333y"),
    ("api_open_api", "yyyyyyy"),
];

const SHA: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ID: &str = "f6e5c35b-82b5-419f-833c-d8884060402d";

#[tokio::test]
async fn every_route_asks_every_caller_for_what_it_needs() {
    let app = closed().await;
    let rows: Vec<_> = TABLE.iter().chain(&API_TABLE).collect();
    let named: BTreeSet<&str> = rows.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        named,
        routes::names(),
        "a route without a row, or a row without a route"
    );
    let mut asked = BTreeSet::new();
    let within = |row: &&(&str, &str, &str, &str)| ["", "a", "a/b"].contains(&row.3);
    for (method, path, name, _) in routes::ROUTES.iter().filter(within) {
        asked.insert(*name);
        let (_, expected) = rows.iter().find(|row| row.0 == *name).unwrap();
        for (caller, expected) in CALLERS.iter().zip(expected.chars()) {
            let path = path.replace("{sha}", SHA).replace("{id}", ID);
            let answer = app.ask_as(caller, method, &path).await;
            let was = match answer.status.as_u16() {
                401 => '1',
                403 => '3',
                _ => 'y',
            };
            assert_eq!(was, expected, "{caller}: {method} {path}: {answer:?}");
            match was {
                '1' => assert!(
                    answer
                        .header("www-authenticate")
                        .starts_with("Bearer realm=")
                ),
                '3' if *method != "HEAD" => {
                    answer.is_error(StatusCode::FORBIDDEN, "DENIED");
                    let message = answer.json()["errors"][0]["message"].to_string();
                    let who = ["may not", "has no"].map(|what| format!("{caller} {what} "));
                    assert!(who.iter().any(|who| message.contains(who)), "{message}");
                }
                '3' => {
                    // No body may say it.
                    let warning = answer.header("warning");
                    let who = format!("299 - \"{caller} may not ");
                    assert!(warning.starts_with(&who), "{warning}");
                }
                _ => {}
            }
        }
    }
    assert_eq!(asked, named, "a row that was not tried");
}

#[tokio::test]
async fn lists_and_mounts_show_what_may_be_pulled() {
    let app = closed().await;
    let admin = proof("admin");
    for name in ["a/x", "a/y", "b/z"] {
        for part in ["tags", "layer"] {
            let digest = hythe_oci::Digest::of(part.as_bytes());
            let uri = format!("/v2/{name}/blobs/uploads/?digest={digest}");
            let pushed = app.ask("POST", &uri, &[&admin[0]], part).await;
            pushed.is(StatusCode::CREATED);
        }
        let config = hythe_oci::Digest::of(b"tags");
        let layer = hythe_oci::Digest::of(b"layer");
        let image = super::image(&config, 4, &layer, 5, &serde_json::json!({}));
        let media_type = "content-type: application/vnd.oci.image.manifest.v1+json";
        let uri = format!("/v2/{name}/manifests/1");
        let lines = [admin[0].as_str(), media_type];
        app.ask("PUT", &uri, &lines, image.to_string())
            .await
            .is(StatusCode::CREATED);
    }
    let names = async |caller: &str, uri: &str| {
        let answer = app.ask_as(caller, "GET", uri).await;
        answer.is(StatusCode::OK);
        answer.json()
    };
    let all = names("puller", "/v2/_catalog").await;
    assert_eq!(all, serde_json::json!({ "repositories": ["a/x", "a/y"] }));
    let one = names("puller", "/v2/_catalog?n=1&last=a/x").await;
    assert_eq!(one["repositories"], serde_json::json!(["a/y"]));
    let admins = names("admin", "/v2/_catalog").await;
    assert_eq!(admins["repositories"].as_array().unwrap().len(), 3);
    assert_eq!(
        names("stranger", "/v2/_catalog").await["repositories"],
        serde_json::json!([])
    );
    assert_eq!(names("puller", "/v1/search?q=z").await["num_results"], 0);
    assert_eq!(names("puller", "/v1/search?q=y").await["num_results"], 1);
    let docker = app
        .ask("GET", "/v1/search?q=z", &["x-docker-token: true"], "")
        .await;
    assert_eq!(docker.json()["num_results"], 0);

    let layer = hythe_oci::Digest::of(b"layer");
    for (caller, from, expected) in [
        ("admin", "&from=b/z", StatusCode::CREATED),
        ("pusher", "&from=b/z", StatusCode::ACCEPTED),
        ("pusher", "", StatusCode::ACCEPTED),
        ("admin", "", StatusCode::CREATED),
    ] {
        let uri = format!("/v2/a/new-{caller}/blobs/uploads/?mount={layer}{from}");
        app.ask_as(caller, "POST", &uri).await.is(expected);
    }
}

#[tokio::test]
async fn guesses_are_slowed_down_and_hurt_nobody_else() {
    let app = closed().await;
    let send = async |address: &str, secret: &str| {
        let line = basic("puller", secret);
        let (name, value) = line.split_once(": ").unwrap();
        let peer: std::net::SocketAddr = address.parse().unwrap();
        let request = http::Request::get("/v2/a/tags/list")
            .header(name, value)
            .extension(axum::extract::ConnectInfo(peer))
            .body(axum::body::Body::empty());
        app.send(request.unwrap()).await
    };
    // Known to the registry since it was right once.
    send("192.0.2.7:1", PASSWORD)
        .await
        .is(StatusCode::NOT_FOUND);
    let mut refused = None;
    for _ in 0..70 {
        let answer = send("192.0.2.7:1", "hythe_guess").await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
            break;
        }
        answer.is(StatusCode::UNAUTHORIZED);
    }
    let refused = refused.expect("70 wrong secrets are too many");
    refused.is_error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    // Neither those elsewhere nor those who were let in before are held up.
    send("192.0.2.8:1", PASSWORD)
        .await
        .is(StatusCode::NOT_FOUND);
    send("192.0.2.7:1", PASSWORD)
        .await
        .is(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn each_account_has_one_star_and_flags_are_the_administrators() {
    let app = closed().await;
    // The administrator of a repository says what it is, not how official.
    let accounts = app
        .registry
        .auth
        .accounts(&crate::auth::Caller::everybody(), None);
    grant(&accounts, "user:stranger", Effect::Allow, "admin", "a").await;
    let admin = proof("admin");
    let digest = hythe_oci::Digest::of(b"{}");
    let uri = format!("/v2/a/blobs/uploads/?digest={digest}");
    app.ask("POST", &uri, &[&admin[0]], "{}")
        .await
        .is(StatusCode::CREATED);
    let image = super::image(&digest, 2, &digest, 2, &serde_json::json!({}));
    let media_type = "content-type: application/vnd.oci.image.manifest.v1+json";
    let pusher = proof("pusher");
    for tag in ["1", "2"] {
        let uri = format!("/v2/a/manifests/{tag}");
        app.ask("PUT", &uri, &[&pusher[0], media_type], image.to_string())
            .await
            .is(StatusCode::CREATED);
    }
    let star = "/api/v1/repositories/a/star";
    for caller in ["puller", "admin", "puller"] {
        app.ask_as(caller, "PUT", star)
            .await
            .is(StatusCode::NO_CONTENT);
    }
    let described = app.ask_as("puller", "GET", "/api/v1/repositories/a").await;
    assert_eq!(described.json()["star_count"], 2);
    let tag = app
        .ask_as("puller", "GET", "/api/v1/repositories/a/tags/1")
        .await;
    assert_eq!(tag.json()["pushed_by"], "pusher");
    app.ask_as("deleter", "DELETE", "/v2/a/manifests/1")
        .await
        .is(StatusCode::ACCEPTED);
    let uri = "/api/v1/repositories/a/tags/1/history";
    let history = app.ask_as("puller", "GET", uri).await.json();
    assert_eq!(history["moves"][0]["moved_by"], "deleter");
    let stranger = proof("stranger");
    let change = async |line: &str, body: &'static str| {
        app.ask("PATCH", "/api/v1/repositories/a", &[line], body)
            .await
    };
    change(&stranger[0], r#"{"description": "x"}"#)
        .await
        .is(StatusCode::OK);
    change(&stranger[0], r#"{"is_official": true}"#)
        .await
        .is_error(StatusCode::FORBIDDEN, "DENIED");
    change(&admin[0], r#"{"is_official": true}"#)
        .await
        .is(StatusCode::OK);
}
