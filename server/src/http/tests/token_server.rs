//! What the token server gives, to whom, and what those are told who bring nothing.

use http::StatusCode;
use hythe_oci::Digest;

use super::callers::{PASSWORD, closed};

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
