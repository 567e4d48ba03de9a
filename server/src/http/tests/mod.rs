//! The whole API, in process: real stores, no socket.
//!
//! One suite runs unchanged on every pair of a database and a store; at its end
//! every route must have been asked something.

mod access;
mod accounts;
mod blobs;
mod callers;
mod facts;
mod limits;
mod listings;
mod manifests;
mod policies;
mod quotas;
mod token_server;
mod tokens;
mod uploads;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use hythe_oci::Digest;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::Api;
use super::api_v1::Endpoint;
use super::route::{self, Route};
use crate::config::{DatabaseConfig, HttpConfig, RulesConfig, StorageConfig};
use crate::testing::{self, Keep, TestRegistry};

/// The application and what was asked of it.
#[derive(Clone, Debug)]
struct TestApp {
    router: Router,
    registry: TestRegistry,
    asked: Arc<Mutex<BTreeSet<&'static str>>>,
}

/// An answer, read to its end.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl TestApp {
    async fn on(database: (DatabaseConfig, Keep), storage: (StorageConfig, Keep)) -> Self {
        Self::with(database, storage, testing::rules()).await
    }

    async fn with(
        database: (DatabaseConfig, Keep),
        storage: (StorageConfig, Keep),
        rules: RulesConfig,
    ) -> Self {
        let registry = TestRegistry::on(database, storage, rules).await;
        Self::serving(registry, |_| {})
    }

    /// A registry, with some settings unlike the usual ones.
    fn serving(registry: TestRegistry, change: impl FnOnce(&mut HttpConfig)) -> Self {
        super::install_metrics();
        let mut config = HttpConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            connections: 16,
            header_timeout: Duration::from_secs(5),
            body_idle_timeout: Duration::from_millis(200),
            shutdown_grace: Duration::from_secs(1),
            redirect_expire: None,
            external_url: None,
            trusted_proxies: Vec::new(),
            tls: None,
            audit_pulls: false,
            requests_per_minute_of_address: 0,
            requests_per_minute_of_account: 0,
        };
        change(&mut config);
        Self {
            router: super::router::router(Api::new(
                registry.registry.clone(),
                registry.auth.clone(),
                config,
            )),
            registry,
            asked: Arc::default(),
        }
    }

    async fn quick(rules: RulesConfig) -> Self {
        let memory = (testing::memory(), Keep::default());
        Self::with(testing::sqlite(), memory, rules).await
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        if let Ok(route) = Route::parse(request.method(), request.uri().path()) {
            self.asked.lock().unwrap().insert(route.name());
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// `headers` are lines of `name: value`.
    async fn ask(
        &self,
        method: &str,
        uri: &str,
        headers: &[&str],
        body: impl Into<Bytes>,
    ) -> Answer {
        let body: Bytes = body.into();
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header("content-length", body.len());
        for line in headers {
            let (name, value) = line.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// Without a length, as docker sends what it packs on the way.
    async fn ask_in_pieces(&self, method: &str, uri: &str, body: Vec<u8>) -> Answer {
        let pieces = body
            .chunks(100)
            .map(Bytes::copy_from_slice)
            .map(Ok::<_, std::io::Error>);
        let pieces: Vec<_> = pieces.collect();
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        let request = Request::builder().method(method).uri(uri);
        self.send(request.body(body).unwrap()).await
    }

    async fn get(&self, uri: &str) -> Answer {
        self.ask("GET", uri, &[], "").await
    }

    async fn head(&self, uri: &str) -> Answer {
        self.ask("HEAD", uri, &[], "").await
    }

    async fn delete(&self, uri: &str) -> Answer {
        self.ask("DELETE", uri, &[], "").await
    }

    /// Pushes a blob in one request.
    async fn push_blob(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::of(content);
        let uri = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = self.ask("POST", &uri, &[], content.to_vec()).await;
        answer.is(StatusCode::CREATED);
        digest
    }

    /// Pushes an image of one layer and answers its digest.
    async fn push_image(&self, repository: &str, tag: &str, layer: &[u8]) -> Digest {
        let config = self.push_blob(repository, b"{}").await;
        let layer_digest = self.push_blob(repository, layer).await;
        let manifest = image(&config, 2, &layer_digest, layer.len(), &json!({}));
        self.push_manifest(repository, tag, &manifest).await
    }

    async fn push_manifest(&self, repository: &str, reference: &str, manifest: &Value) -> Digest {
        let answer = self.put_manifest(repository, reference, manifest).await;
        answer.is(StatusCode::CREATED);
        answer.header("docker-content-digest").parse().unwrap()
    }

    /// Points another tag at what is there.
    async fn push_manifest_again(&self, repository: &str, digest: &Digest, tag: &str) {
        let there = self
            .get(&format!("/v2/{repository}/manifests/{digest}"))
            .await;
        let manifest: Value = there.json();
        let content_type = format!("content-type: {}", manifest["mediaType"].as_str().unwrap());
        let uri = format!("/v2/{repository}/manifests/{tag}");
        self.ask("PUT", &uri, &[&content_type], there.body)
            .await
            .is(StatusCode::CREATED);
    }

    async fn put_manifest(&self, repository: &str, reference: &str, manifest: &Value) -> Answer {
        let media_type = manifest["mediaType"].as_str().unwrap();
        self.ask(
            "PUT",
            &format!("/v2/{repository}/manifests/{reference}"),
            &[&format!("content-type: {media_type}")],
            manifest.to_string(),
        )
        .await
    }
}

impl Answer {
    #[track_caller]
    fn is(&self, status: StatusCode) -> &Self {
        assert_eq!(self.status, status, "{:?} {:?}", self.headers, self.body);
        self
    }

    #[track_caller]
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
            .to_str()
            .unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// An error answer with one of the specification's codes.
    #[track_caller]
    fn is_error(&self, status: StatusCode, code: &str) {
        self.is(status);
        assert_eq!(self.json()["errors"][0]["code"], code, "{:?}", self.body);
        assert!(self.json()["errors"][0]["message"].is_string());
    }
}

/// An image manifest, with `more` fields laid over.
fn image(
    config: &Digest,
    config_size: usize,
    layer: &Digest,
    layer_size: usize,
    more: &Value,
) -> Value {
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config,
            "size": config_size,
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": layer,
            "size": layer_size,
        }],
    });
    for (key, value) in more.as_object().unwrap() {
        manifest[key] = value.clone();
    }
    manifest
}

fn index(manifests: &[(&Digest, usize)]) -> Value {
    let manifests: Vec<Value> = manifests
        .iter()
        .map(|(digest, size)| {
            json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest,
                "size": size,
            })
        })
        .collect();
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    })
}

#[tokio::test]
async fn on_sqlite_and_memory() {
    suite(&TestApp::on(testing::sqlite(), (testing::memory(), Keep::default())).await).await;
}

#[tokio::test]
async fn on_sqlite_and_disk() {
    suite(&TestApp::on(testing::sqlite(), testing::disk()).await).await;
}

#[tokio::test]
async fn on_postgres_and_disk() {
    let Some(database) = testing::postgres() else {
        eprintln!("PostgreSQL is not installed here; not tested on it");
        return;
    };
    suite(&TestApp::on(database, testing::disk()).await).await;
}

async fn suite(app: &TestApp) {
    answers_about_itself(app).await;
    uploads::suite(app).await;
    blobs::suite(app).await;
    manifests::suite(app).await;
    listings::suite(app).await;
    facts::suite(app).await;
    policies::suite(app).await;
    quotas::suite(app).await;
    assert_eq!(*app.asked.lock().unwrap(), route::tests::names());
}

async fn answers_about_itself(app: &TestApp) {
    let ping = app.get("/v2/").await;
    ping.is(StatusCode::OK);
    assert_eq!(
        ping.header("docker-distribution-api-version"),
        "registry/2.0"
    );
    app.get("/healthz").await.is(StatusCode::OK);
    app.get("/readyz").await.is(StatusCode::OK);
    let metrics = app.get("/metrics").await;
    metrics.is(StatusCode::OK);
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.contains("hythe_http_requests_total{"), "{text}");
    let token = app
        .get("/token?service=hythe&scope=repository:a:pull")
        .await;
    token.is(StatusCode::OK);
    assert_eq!(token.json()["token"], token.json()["access_token"]);
    let form = app.ask("POST", "/token", &[], "grant_type=fly").await;
    form.is_error(StatusCode::BAD_REQUEST, "UNSUPPORTED");
    let keys = app.get("/.well-known/jwks.json").await;
    assert_eq!(keys.json()["keys"][0]["crv"], "Ed25519");
    for endpoint in Endpoint::NAMES {
        // Each is asked by the tests of its own, on registries with accounts.
        app.asked.lock().unwrap().insert(endpoint);
    }
    let me = app.get("/api/v1/whoami").await;
    assert_eq!(me.json(), json!({ "name": null, "administrator": true }));
    app.get("/elsewhere").await.is(StatusCode::NOT_FOUND);
    let wrong = app.ask("POST", "/v2/", &[], "").await;
    wrong.is_error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED");
    assert_eq!(wrong.header("allow"), "GET, HEAD");
    app.get("/v2/NO/tags/list")
        .await
        .is_error(StatusCode::BAD_REQUEST, "NAME_INVALID");
}
