//! A registry with accounts, and how each of its callers proves who it is.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use serde_json::Value;

use super::{TestApp, testing};
use crate::auth::{Accounts, Effect};
use crate::config::HttpConfig;
use crate::testing::{Keep, TestRegistry};

/// Who asks. Each of those with an account has one right to `a` and below.
pub(super) const CALLERS: [&str; 7] = [
    "nobody", "wrong", "stranger", "puller", "pusher", "deleter", "admin",
];

pub(super) const PASSWORD: &str = "a long password";

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

pub(super) async fn grant(
    accounts: &Accounts,
    who: &str,
    effect: Effect,
    actions: &str,
    pattern: &str,
) {
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
    pub(super) async fn ask_as(&self, caller: &str, method: &str, uri: &str) -> super::Answer {
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

    pub(super) async fn ask_with(&self, token: &Value, method: &str, uri: &str) -> super::Answer {
        let line = format!("authorization: Bearer {}", token["token"].as_str().unwrap());
        self.ask(method, uri, &[&line], "").await
    }
}
