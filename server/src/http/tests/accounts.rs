//! The accounts of `/api/v1`: what an administrator does there, and what
//! everybody else may.

use http::StatusCode;
use serde_json::{Value, json};

use super::callers::{PASSWORD, closed, proof};
use super::{Answer, TestApp};

impl TestApp {
    pub(super) async fn call(&self, caller: &str, line: &str, body: Value) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let lines = proof(caller);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.ask(method, &format!("/api/v1/{path}"), &lines, body)
            .await
    }
}

#[tokio::test]
async fn an_administrator_manages_accounts() {
    let app = closed().await;
    let admin = async |line: &str, body: Value| app.call("admin", line, body).await;
    let bob = json!({ "name": "bob", "kind": "user", "password": PASSWORD });
    admin("POST accounts", bob.clone())
        .await
        .is(StatusCode::CREATED);
    admin("POST accounts", bob)
        .await
        .is_error(StatusCode::CONFLICT, "DENIED");
    admin("POST groups", json!({ "name": "devs" }))
        .await
        .is(StatusCode::CREATED);
    admin("PUT groups/devs/members/bob", json!(null))
        .await
        .is(StatusCode::NO_CONTENT);
    let grant = json!({ "principal": "group:devs", "actions": "pull,push", "pattern": "b/*" });
    let grant = admin("POST grants", grant).await;
    grant.is(StatusCode::CREATED);
    // What was done is seen at once by whoever asks the same process.
    let line = super::callers::basic("bob", PASSWORD);
    let tags = app.ask("GET", "/v2/b/x/tags/list", &[&line], "").await;
    tags.is(StatusCode::NOT_FOUND);
    let listed = admin("GET accounts", json!(null)).await.json();
    let bob = listed["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "bob");
    assert_eq!(bob.unwrap()["groups"], json!(["devs"]));
    assert!(!listed.to_string().contains("argon2"), "{listed}");
    let id = grant.json()["id"].as_str().unwrap().to_owned();
    let grants = admin("GET grants", json!(null)).await.json();
    assert!(
        grants["grants"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["id"] == id.as_str())
    );
    admin(&format!("DELETE grants/{id}"), json!(null))
        .await
        .is(StatusCode::NO_CONTENT);
    app.ask("GET", "/v2/b/x/tags/list", &[&line], "")
        .await
        .is(StatusCode::FORBIDDEN);
    admin("PATCH accounts/bob", json!({ "disabled": true }))
        .await
        .is(StatusCode::NO_CONTENT);
    let refused = app.ask("GET", "/v2/", &[&line], "").await;
    refused.is_error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
    let change = json!({ "disabled": false, "password": "another password" });
    admin("PATCH accounts/bob", change)
        .await
        .is(StatusCode::NO_CONTENT);
    app.ask("GET", "/v2/", &[&line], "")
        .await
        .is(StatusCode::UNAUTHORIZED);
    admin("DELETE groups/devs/members/bob", json!(null))
        .await
        .is(StatusCode::NO_CONTENT);
    admin("DELETE groups/devs", json!(null))
        .await
        .is(StatusCode::NO_CONTENT);
    admin("DELETE accounts/bob", json!(null))
        .await
        .is(StatusCode::NO_CONTENT);
    admin("DELETE accounts/bob", json!(null))
        .await
        .is(StatusCode::NOT_FOUND);
    let identity = json!({
        "account": "puller", "issuer": "https://ci.example.com",
        "subject": "repo:team/*", "audience": "hythe",
    });
    let identity = admin("POST identities", identity).await;
    identity.is(StatusCode::CREATED);
    let listed = admin("GET identities", json!(null)).await.json();
    assert_eq!(listed["identities"][0]["account"], "puller");
    let path = format!(
        "DELETE identities/{}",
        identity.json()["id"].as_str().unwrap()
    );
    admin(&path, json!(null)).await.is(StatusCode::NO_CONTENT);
    let records = admin("GET audit?n=1000", json!(null))
        .await
        .json()
        .to_string();
    assert!(
        records.contains("disable") && records.contains("\"admin\""),
        "{records}"
    );
    assert!(!records.contains(PASSWORD), "{records}");
}

#[tokio::test]
async fn bad_words_are_told_and_change_nothing() {
    let app = closed().await;
    for (line, body) in [
        ("POST accounts", json!({ "name": "a b", "kind": "user" })),
        (
            "POST accounts",
            json!({ "name": "r", "kind": "robot", "password": PASSWORD }),
        ),
        ("POST accounts", json!({ "name": "x", "kind": "god" })),
        (
            "POST accounts",
            json!({ "name": "x", "kind": "user", "surprise": 1 }),
        ),
        ("POST accounts", json!(null)),
        (
            "POST grants",
            json!({ "principal": "puller", "actions": "pull", "pattern": "a" }),
        ),
        (
            "POST grants",
            json!({ "principal": "anonymous", "actions": "fly", "pattern": "a" }),
        ),
        (
            "POST grants",
            json!({ "principal": "anonymous", "actions": "pull", "pattern": "A" }),
        ),
        (
            "POST tokens",
            json!({ "account": "puller", "scopes": ["x"] }),
        ),
        ("GET audit?n=x", json!(null)),
    ] {
        let answer = app.call("admin", line, body.clone()).await;
        answer.is_error(StatusCode::BAD_REQUEST, "UNSUPPORTED");
    }
    let long = json!({ "name": "x".repeat(100_000), "kind": "user" });
    let answer = app.call("admin", "POST accounts", long).await;
    answer.is_error(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID");
    let wrong = app.call("admin", "PUT accounts", json!(null)).await;
    wrong.is_error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED");
    assert_eq!(wrong.header("allow"), "GET, POST");
}

#[tokio::test]
async fn everybody_has_tokens_of_their_own() {
    let app = closed().await;
    let made = app
        .call("puller", "POST tokens", json!({ "label": "laptop" }))
        .await;
    made.is(StatusCode::CREATED);
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let bearer = format!("authorization: Bearer {secret}");
    for line in [super::callers::basic("puller", &secret), bearer.clone()] {
        app.ask("GET", "/v2/a/tags/list", &[&line], "")
            .await
            .is(StatusCode::NOT_FOUND);
    }
    // A token makes no tokens, and nobody makes those of others.
    let answer = app.ask("POST", "/api/v1/tokens", &[&bearer], "{}").await;
    answer.is_error(StatusCode::FORBIDDEN, "DENIED");
    let theirs = app
        .call("puller", "POST tokens", json!({ "account": "admin" }))
        .await;
    theirs.is_error(StatusCode::FORBIDDEN, "DENIED");
    let listed = app
        .call("pusher", "GET tokens?account=puller", json!(null))
        .await;
    assert_eq!(listed.json(), json!({ "tokens": [] }));
    let revoke = format!("DELETE tokens/{id}");
    app.call("pusher", &revoke, json!(null))
        .await
        .is(StatusCode::FORBIDDEN);
    let listed = app.call("puller", "GET tokens", json!(null)).await;
    assert_eq!(listed.json()["tokens"][0]["label"], "laptop");
    assert!(!listed.json().to_string().contains(&secret));
    app.call("puller", &revoke, json!(null))
        .await
        .is(StatusCode::NO_CONTENT);
    let refused = app.ask("GET", "/v2/", &[&bearer], "").await;
    refused.is_error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
    let limits = json!({ "account": "admin", "scopes": ["repository:a:pull"] });
    let made = app.call("admin", "POST tokens", limits).await.json();
    let line = super::callers::basic("admin", made["secret"].as_str().unwrap());
    app.ask("GET", "/api/v1/accounts", &[&line], "")
        .await
        .is(StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_was_done_to_images_is_on_record() {
    let app = closed().await;
    let uri = "/v2/a/manifests/1";
    let lines = proof("pusher");
    app.ask("PUT", uri, &[&lines[0]], "{}")
        .await
        .is(StatusCode::BAD_REQUEST);
    app.ask("DELETE", uri, &[&lines[0]], "")
        .await
        .is(StatusCode::FORBIDDEN);
    app.ask("GET", "/v2/", &[&proof("wrong")[0]], "")
        .await
        .is(StatusCode::UNAUTHORIZED);
    app.registry.auth.flush().await;
    let records = app.call("admin", "GET audit", json!(null)).await.json();
    let records = records["records"].as_array().unwrap();
    let find = |actor: &str, action: &str| {
        let found = records
            .iter()
            .find(|one| one["actor"] == actor && one["action"] == action);
        found.unwrap_or_else(|| panic!("{actor} {action}: {records:?}"))
    };
    assert_eq!(find("pusher", "push")["subject"], "a:1");
    assert_ne!(find("pusher", "push")["outcome"], "done");
    let denied = find("pusher", "delete")["outcome"].to_string();
    assert!(denied.contains("may not delete a"), "{denied}");
    let login = find("admin", "log in")["outcome"].to_string();
    assert!(login.contains("wrong user name or password"), "{login}");
}
