//! Every route, asked by every kind of caller; and what those are told who may
//! not.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use hythe_oci::Digest;
use serde_json::Value;

use super::super::route::tests as routes;
use super::{TestApp, testing};
use crate::auth::{Accounts, Effect};
use crate::config::HttpConfig;
use crate::testing::{Keep, TestRegistry};

/// Who asks. Each of those with an account has one right to `a` and below.
const CALLERS: [&str; 7] = [
    "nobody", "wrong", "stranger", "puller", "pusher", "deleter", "admin",
];

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

pub(super) const PASSWORD: &str = "a long password";
const SHA: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ID: &str = "f6e5c35b-82b5-419f-833c-d8884060402d";

pub(super) fn basic(name: &str, secret: &str) -> String {
    let pair = BASE64_STANDARD.encode(format!("{name}:{secret}"));
    format!("authorization: Basic {pair}")
}

/// Lines of headers that prove a caller.
pub(super) fn proof(caller: &str) -> Vec<String> {
    match caller {
        "nobody" => Vec::new(),
        "wrong" => vec![basic("admin", "a wrong password")],
        name => vec![basic(name, PASSWORD)],
    }
}

async fn grant(accounts: &Accounts, who: &str, effect: Effect, actions: &str, pattern: &str) {
    let (principal, pattern) = (who.parse().unwrap(), pattern.parse().unwrap());
    let what = (effect, actions.parse().unwrap());
    accounts.grant(&principal, what, &pattern).await.unwrap();
}

/// A registry with an account for every kind of caller.
pub(super) async fn closed() -> TestApp {
    closed_with(|_| {}).await
}

/// The same with some settings of its own.
pub(super) async fn closed_with(change: impl FnOnce(&mut HttpConfig)) -> TestApp {
    let (database, storage) = (testing::sqlite(), (testing::memory(), Keep::default()));
    let registry = TestRegistry::on(database, storage, testing::rules()).await;
    let app = TestApp::serving(registry, change);
    let accounts = app
        .registry
        .auth
        .accounts(&crate::auth::Caller::everybody(), None);
    for name in &CALLERS[2..] {
        accounts.add_user(name, Some(PASSWORD)).await.unwrap();
    }
    for (name, actions) in [
        ("puller", "pull"),
        ("pusher", "push"),
        ("deleter", "delete"),
    ] {
        for pattern in ["a", "a/**"] {
            grant(
                &accounts,
                &format!("user:{name}"),
                Effect::Allow,
                actions,
                pattern,
            )
            .await;
        }
    }
    grant(&accounts, "user:admin", Effect::Allow, "admin", "**").await;
    app
}

impl TestApp {
    async fn ask_as(&self, caller: &str, method: &str, uri: &str) -> super::Answer {
        let lines = proof(caller);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        self.ask(method, uri, &lines, "").await
    }

    /// A token of the token server, for scopes with spaces between.
    pub(super) async fn token(&self, caller: &str, scopes: &str) -> Value {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("service", "hythe")
            .append_pair("scope", scopes)
            .finish();
        let answer = self.ask_as(caller, "GET", &format!("/token?{query}")).await;
        answer.is(StatusCode::OK);
        answer.json()
    }

    async fn ask_with(&self, token: &Value, method: &str, uri: &str) -> super::Answer {
        let line = format!("authorization: Bearer {}", token["token"].as_str().unwrap());
        self.ask(method, uri, &[&line], "").await
    }
}

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
async fn a_challenge_says_what_token_would_do() {
    let app = closed().await;
    for (method, path, scope) in [
        ("GET", "/v2/", ""),
        ("GET", "/v2/a/tags/list", ",scope=\"repository:a:pull\""),
        (
            "HEAD",
            "/v2/a/manifests/1",
            ",scope=\"repository:a:pull,push\"",
        ),
        (
            "PUT",
            "/v2/a/b/manifests/1",
            ",scope=\"repository:a/b:pull,push\"",
        ),
        (
            "DELETE",
            "/v2/a/manifests/1",
            ",scope=\"repository:a:delete\"",
        ),
        ("GET", "/v2/_catalog", ",scope=\"registry:catalog:*\""),
    ] {
        let answer = app.ask(method, path, &["host: reg.example:5000"], "").await;
        answer.is(StatusCode::UNAUTHORIZED);
        let expected =
            format!("Bearer realm=\"http://reg.example:5000/token\",service=\"hythe\"{scope}");
        assert_eq!(answer.header("www-authenticate"), expected);
    }
    let answer = app.ask("GET", "/v2/", &["host: x\"y"], "").await;
    assert!(!answer.header("www-authenticate").contains("x\"y"));
}

#[tokio::test]
async fn a_token_is_for_what_was_asked_and_may_be_done() {
    let app = closed().await;
    let empty = Digest::of(b"");
    app.ask_as(
        "admin",
        "POST",
        &format!("/v2/a/blobs/uploads/?digest={empty}"),
    )
    .await
    .is(StatusCode::CREATED);
    let token = app
        .token(
            "puller",
            "repository:a:pull,push repository:b:pull registry:catalog:*",
        )
        .await;
    assert!(token["expires_in"].as_u64().unwrap() >= 60);
    app.ask_with(&token, "GET", "/v2/").await.is(StatusCode::OK);
    app.ask_with(&token, "GET", "/v2/a/tags/list")
        .await
        .is(StatusCode::OK);
    app.ask_with(&token, "GET", "/v2/_catalog")
        .await
        .is(StatusCode::OK);
    let denied = app.ask_with(&token, "POST", "/v2/a/blobs/uploads/").await;
    denied.is_error(StatusCode::FORBIDDEN, "DENIED");
    // They may, and the token is not for it: another one would do.
    let other = app.ask_with(&token, "GET", "/v2/a/b/tags/list").await;
    other.is_error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
    assert!(
        other
            .header("www-authenticate")
            .ends_with("error=\"insufficient_scope\"")
    );
    // As docker's login does: no scope at all.
    let login = app.token("stranger", "").await;
    app.ask_with(&login, "GET", "/v2/").await.is(StatusCode::OK);
    let anonymous = app.token("nobody", "repository:a:pull").await;
    app.ask_with(&anonymous, "GET", "/v2/")
        .await
        .is(StatusCode::OK);
    let unknown = app.ask_with(&anonymous, "GET", "/v2/a/tags/list").await;
    unknown.is_error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
    let forged = app
        .ask("GET", "/v2/", &["authorization: Bearer eyJ.x.y"], "")
        .await;
    forged.is_error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
    assert!(
        forged
            .header("www-authenticate")
            .ends_with("error=\"invalid_token\"")
    );
    let other = app
        .ask("GET", "/v2/", &["authorization: Digest x"], "")
        .await;
    other.is_error(StatusCode::BAD_REQUEST, "UNAUTHORIZED");
}

#[tokio::test]
async fn forms_buy_tokens_as_oauth_has_it() {
    let app = closed().await;
    let post = async |form: String| {
        let line = "content-type: application/x-www-form-urlencoded";
        app.ask("POST", "/token", &[line], form).await
    };
    let password = PASSWORD.replace(' ', "+");
    let login = post(format!(
        "grant_type=password&service=hythe&client_id=x&access_type=offline\
         &username=pusher&password={password}&scope=repository%3Aa%3Apull%2Cpush"
    ));
    let login = login.await;
    login.is(StatusCode::OK);
    assert_eq!(login.json()["scope"], "repository:a:push");
    app.ask_with(&login.json(), "POST", "/v2/a/blobs/uploads/")
        .await
        .is(StatusCode::ACCEPTED);
    let refresh = login.json()["refresh_token"].as_str().unwrap().to_owned();
    let again = post(format!(
        "grant_type=refresh_token&service=hythe&refresh_token={refresh}&scope=repository%3Aa%3Apush"
    ));
    let again = again.await;
    assert_eq!(again.json()["scope"], "repository:a:push");
    let wrong = post("grant_type=password&username=pusher&password=wrong".to_owned()).await;
    wrong.is_error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
    let wrong = post("grant_type=refresh_token&refresh_token=wrong".to_owned()).await;
    wrong.is_error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
    let huge = post(format!("scope={}", "x".repeat(100_000))).await;
    huge.is_error(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID");
    // And with GET, as docker's login does.
    let offline = "/token?service=hythe&offline_token=true&client_id=docker&account=pusher";
    let offline = app.ask_as("pusher", "GET", offline).await;
    assert!(offline.json()["refresh_token"].is_string());
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
