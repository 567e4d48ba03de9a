//! How often somebody may ask, by where they come from and by who they are.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, StatusCode};

use super::callers::{PASSWORD, basic, closed_with};
use super::{Answer, TestApp};

impl TestApp {
    /// A request as it comes over a connection from `peer`; `headers` are lines
    /// of `name: value`.
    async fn ask_from(&self, peer: &str, headers: &[&str], uri: &str) -> Answer {
        let peer: SocketAddr = peer.parse().unwrap();
        let mut request = Request::get(uri).extension(ConnectInfo(peer));
        for line in headers {
            let (name, value) = line.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }
}

#[track_caller]
fn is_too_many(answer: &Answer) {
    answer.is_error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS");
    let pause: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&pause), "{pause}");
}

#[tokio::test]
async fn an_address_and_an_account_have_their_limits() {
    let app = closed_with(|config| {
        config.requests_per_minute_of_address = 3;
        config.requests_per_minute_of_account = 5;
    })
    .await;
    let (one, near, other) = ("[2001:db8::1]:1", "[2001:db8::2]:1", "192.0.2.1:1");
    // Both are of one /64.
    for peer in [one, near, one] {
        app.ask_from(peer, &[], "/v2/")
            .await
            .is(StatusCode::UNAUTHORIZED);
    }
    is_too_many(&app.ask_from(near, &[], "/v2/").await);
    app.ask_from(other, &[], "/v2/")
        .await
        .is(StatusCode::UNAUTHORIZED);
    // An account is counted wherever it asks from, and not by its address.
    let puller = basic("puller", PASSWORD);
    for peer in [one, one, other, other, near] {
        app.ask_from(peer, &[&puller], "/v2/")
            .await
            .is(StatusCode::OK);
    }
    is_too_many(&app.ask_from(other, &[&puller], "/v2/").await);
    let pusher = basic("pusher", PASSWORD);
    app.ask_from(one, &[&pusher], "/v2/")
        .await
        .is(StatusCode::OK);
    // Those that watch over the registry are not limited.
    app.ask_from(one, &[], "/healthz").await.is(StatusCode::OK);
}

#[tokio::test]
async fn behind_a_proxy_each_client_has_its_own_limit() {
    let app = closed_with(|config| {
        config.requests_per_minute_of_address = 2;
        config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    })
    .await;
    let proxy = "10.0.0.1:1";
    for client in ["198.51.100.1", "198.51.100.2"] {
        let line = format!("x-forwarded-for: {client}");
        // What clients make up stands before what the proxy says of them.
        let lies = format!("x-forwarded-for: 203.0.113.9, {client}");
        app.ask_from(proxy, &[&line], "/v2/")
            .await
            .is(StatusCode::UNAUTHORIZED);
        app.ask_from(proxy, &[&lies], "/v2/")
            .await
            .is(StatusCode::UNAUTHORIZED);
        is_too_many(&app.ask_from(proxy, &[&line], "/v2/").await);
    }
    // Nobody else is believed.
    for made_up in 0..2 {
        let line = format!("x-forwarded-for: 198.51.100.{made_up}");
        app.ask_from("192.0.2.1:1", &[&line], "/v2/")
            .await
            .is(StatusCode::UNAUTHORIZED);
    }
    is_too_many(
        &app.ask_from("192.0.2.1:1", &["x-forwarded-for: 203.0.113.1"], "/v2/")
            .await,
    );
}

#[tokio::test]
async fn records_and_challenges_know_who_is_behind_a_proxy() {
    let app = closed_with(|config| {
        config.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    })
    .await;
    let wrong = basic("puller", "hythe_wrong");
    let said = [
        wrong.as_str(),
        "host: reg.example",
        "x-forwarded-for: 198.51.100.7",
        "x-forwarded-proto: https",
    ];
    let through = app.ask_from("127.0.0.1:1", &said, "/v2/").await;
    let realm = "Bearer realm=\"https://reg.example/token\"";
    assert!(through.header("www-authenticate").starts_with(realm));
    let direct = app.ask_from("192.0.2.1:1", &said, "/v2/").await;
    let realm = "Bearer realm=\"http://reg.example/token\"";
    assert!(direct.header("www-authenticate").starts_with(realm));
    app.registry.auth.flush().await;
    let admin = basic("admin", PASSWORD);
    let records = app.ask("GET", "/api/v1/audit", &[&admin], "").await.json();
    let records = records["records"].as_array().unwrap();
    let refused = records.iter().filter(|one| one["action"] == "log in");
    let from: Vec<&str> = refused
        .map(|one| one["address"].as_str().unwrap())
        .collect();
    assert_eq!(from, ["192.0.2.1", "198.51.100.7"]);
}
