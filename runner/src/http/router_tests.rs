//! Every route, asked of a real engine that has nothing yet.

use axum::Router;
use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;

use super::router::{ROUTES, router};
use crate::engine::NetworkSettings;
use crate::engine::{Engine, EngineSettings, RegistrySettings};
use crate::spec::LogConfig;

/// A route as `router` has it, what is put for its parameter, the JSON body if any, and the
/// status of the answer.
type Row = (&'static str, &'static str, &'static str, &'static str, u16);

const NONE: &str = "";
#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("HEAD", "/_ping", "/_ping", NONE, 200),
    ("GET", "/_ping", "/_ping", NONE, 200),
    ("GET", "/version", "/version", NONE, 200),
    ("GET", "/info", "/info", NONE, 200),
    ("POST", "/auth", "/auth", r#"{"serveraddress":"127.0.0.1:1"}"#, 500),
    ("GET", "/events", "/events?until=1", NONE, 200),
    ("GET", "/events", "/events?since=x", NONE, 400),
    ("GET", "/system/df", "/system/df", NONE, 200),
    ("GET", "/system/df", "/system/df?type=tape", NONE, 400),
    ("GET", "/containers/json", "/containers/json?all=1&size=1", NONE, 200),
    ("GET", "/containers/json", "/containers/json?limit=x", NONE, 400),
    ("GET", "/containers/json", "/containers/json?filters=%7B", NONE, 400),
    ("GET", "/containers/json", r#"/containers/json?filters={"no":["x"]}"#, NONE, 400),
    ("POST", "/containers/create", "/containers/create", r#"{"Image":"none"}"#, 404),
    ("POST", "/containers/create", "/containers/create", NONE, 400),
    ("POST", "/containers/create", "/containers/create?name=-", r#"{"Image":"none"}"#, 400),
    ("POST", "/containers/prune", "/containers/prune?filters=", NONE, 200),
    ("GET", "/containers/{id}/json", "/containers/no/json", NONE, 404),
    ("DELETE", "/containers/{id}", "/containers/no?force=1", NONE, 404),
    ("POST", "/containers/{id}/start", "/containers/no/start", NONE, 404),
    ("POST", "/containers/{id}/start", "/containers/no/start?checkpoint=c", NONE, 501),
    ("POST", "/containers/{id}/stop", "/containers/no/stop?t=1", NONE, 404),
    ("POST", "/containers/{id}/stop", "/containers/no/stop?t=x", NONE, 400),
    ("POST", "/containers/{id}/restart", "/containers/no/restart", NONE, 404),
    ("POST", "/containers/{id}/kill", "/containers/no/kill?signal=9", NONE, 404),
    ("POST", "/containers/{id}/pause", "/containers/no/pause", NONE, 404),
    ("POST", "/containers/{id}/unpause", "/containers/no/unpause", NONE, 404),
    ("POST", "/containers/{id}/rename", "/containers/no/rename?name=yes", NONE, 404),
    ("POST", "/containers/{id}/rename", "/containers/no/rename", NONE, 400),
    ("POST", "/containers/{id}/update", "/containers/no/update", "{}", 404),
    ("POST", "/containers/{id}/resize", "/containers/no/resize?h=1&w=1", NONE, 404),
    ("POST", "/containers/{id}/resize", "/containers/no/resize?h=x&w=1", NONE, 400),
    ("POST", "/containers/{id}/wait", "/containers/no/wait", NONE, 404),
    ("POST", "/containers/{id}/wait", "/containers/no/wait?condition=dark", NONE, 400),
    ("POST", "/containers/{id}/attach", "/containers/no/attach?stream=1&stdout=1", NONE, 404),
    ("GET", "/containers/{id}/attach/ws", "/containers/no/attach/ws", NONE, 400),
    ("GET", "/containers/{id}/logs", "/containers/no/logs?stdout=1", NONE, 404),
    ("GET", "/containers/{id}/logs", "/containers/no/logs", NONE, 400),
    ("GET", "/containers/{id}/top", "/containers/no/top", NONE, 404),
    ("GET", "/containers/{id}/stats", "/containers/no/stats", NONE, 404),
    ("GET", "/containers/{id}/changes", "/containers/no/changes", NONE, 404),
    ("GET", "/containers/{id}/export", "/containers/no/export", NONE, 404),
    ("HEAD", "/containers/{id}/archive", "/containers/no/archive?path=/", NONE, 404),
    ("GET", "/containers/{id}/archive", "/containers/no/archive?path=/", NONE, 404),
    ("GET", "/containers/{id}/archive", "/containers/no/archive", NONE, 400),
    ("PUT", "/containers/{id}/archive", "/containers/no/archive?path=/", NONE, 404),
    ("POST", "/containers/{id}/exec", "/containers/no/exec", r#"{"Cmd":["true"]}"#, 404),
    ("POST", "/containers/{id}/exec", "/containers/no/exec", "{}", 400),
    ("POST", "/exec/{id}/start", "/exec/no/start", "{}", 404),
    ("POST", "/exec/{id}/resize", "/exec/no/resize?h=1&w=1", NONE, 404),
    ("GET", "/exec/{id}/json", "/exec/no/json", NONE, 404),
    ("GET", "/images/json", "/images/json?all=1", NONE, 200),
    ("POST", "/images/create", "/images/create", NONE, 400),
    ("POST", "/images/create", "/images/create?fromSrc=-", NONE, 200),
    ("POST", "/images/create", "/images/create?fromSrc=http://x", NONE, 501),
    ("POST", "/images/prune", "/images/prune", NONE, 200),
    ("GET", "/images/search", "/images/search?term=", NONE, 400),
    ("GET", "/images/search", "/images/search?term=127.0.0.1:1/x", NONE, 500),
    ("GET", "/images/search", "/images/search?term=x&limit=101", NONE, 400),
    ("GET", "/images/get", "/images/get?names=x", NONE, 404),
    ("POST", "/images/load", "/images/load", NONE, 400),
    ("GET", "/images/{name}/get", "/images/a%2Fb/get", NONE, 404),
    ("GET", "/images/{name}/json", "/images/a%2Fb/json", NONE, 404),
    ("GET", "/images/{name}/history", "/images/no/history", NONE, 404),
    ("POST", "/images/{name}/push", "/images/127.0.0.1:1%2Fno/push?tag=1", NONE, 404),
    ("POST", "/images/{name}/tag", "/images/no/tag?repo=x", NONE, 404),
    ("DELETE", "/images/{name}", "/images/no", NONE, 404),
    ("GET", "/distribution/{name}/json", "/distribution/127.0.0.1:1%2Fno/json", NONE, 500),
    ("GET", "/distribution/{name}/json", "/distribution/No/json", NONE, 400),
    ("POST", "/commit", "/commit", NONE, 400),
    ("POST", "/commit", "/commit?container=no", NONE, 404),
    ("POST", "/build", "/build", NONE, 400),
    ("POST", "/build", "/build?version=2", NONE, 501),
    ("POST", "/build", "/build?remote=http://x", NONE, 501),
    ("POST", "/build", "/build?buildargs=[", NONE, 400),
    ("POST", "/build/prune", "/build/prune", NONE, 200),
    ("POST", "/session", "/session", NONE, 501),
    ("POST", "/grpc", "/grpc", NONE, 501),
    ("GET", "/volumes", "/volumes", NONE, 200),
    ("POST", "/volumes/create", "/volumes/create", r#"{"Name":"data"}"#, 201),
    ("POST", "/volumes/create", "/volumes/create", r#"{"ClusterVolumeSpec":{}}"#, 503),
    ("POST", "/volumes/prune", "/volumes/prune", NONE, 200),
    ("GET", "/volumes/{name}", "/volumes/data", NONE, 200),
    ("PUT", "/volumes/{name}", "/volumes/data", NONE, 503),
    ("DELETE", "/volumes/{name}", "/volumes/data", NONE, 204),
    ("GET", "/networks", "/networks", NONE, 200),
    ("POST", "/networks/create", "/networks/create", r#"{"Name":"n","Ingress":true}"#, 501),
    ("POST", "/networks/prune", "/networks/prune", NONE, 200),
    ("GET", "/networks/{id}", "/networks/no", NONE, 404),
    ("DELETE", "/networks/{id}", "/networks/no", NONE, 404),
    ("POST", "/networks/{id}/connect", "/networks/no/connect", r#"{"Container":"no"}"#, 404),
    ("POST", "/networks/{id}/disconnect", "/networks/no/disconnect", r#"{"Container":"no"}"#, 404),
    ("GET", "/plugins", "/plugins", NONE, 200),
    ("GET", "/plugins/{*rest}", "/plugins/a/b/json", NONE, 501),
    ("POST", "/plugins/{*rest}", "/plugins/pull", NONE, 501),
    ("DELETE", "/plugins/{*rest}", "/plugins/a", NONE, 501),
    ("GET", "/swarm", "/swarm", NONE, 503),
    ("POST", "/swarm/init", "/swarm/init", "{}", 501),
    ("POST", "/swarm/join", "/swarm/join", "{}", 501),
    ("POST", "/swarm/leave", "/swarm/leave", NONE, 503),
    ("POST", "/swarm/update", "/swarm/update", NONE, 503),
    ("POST", "/swarm/unlock", "/swarm/unlock", NONE, 503),
    ("GET", "/swarm/unlockkey", "/swarm/unlockkey", NONE, 503),
    ("GET", "/nodes", "/nodes", NONE, 503),
    ("GET", "/nodes/{*rest}", "/nodes/self", NONE, 503),
    ("POST", "/nodes/{*rest}", "/nodes/n/update", NONE, 503),
    ("DELETE", "/nodes/{*rest}", "/nodes/n", NONE, 503),
    ("GET", "/services", "/services", NONE, 503),
    ("GET", "/services/{*rest}", "/services/s/logs", NONE, 503),
    ("POST", "/services/{*rest}", "/services/create", NONE, 503),
    ("DELETE", "/services/{*rest}", "/services/s", NONE, 503),
    ("GET", "/tasks", "/tasks", NONE, 503),
    ("GET", "/tasks/{*rest}", "/tasks/t", NONE, 503),
    ("GET", "/secrets", "/secrets", NONE, 503),
    ("GET", "/secrets/{*rest}", "/secrets/s", NONE, 503),
    ("POST", "/secrets/{*rest}", "/secrets/create", NONE, 503),
    ("DELETE", "/secrets/{*rest}", "/secrets/s", NONE, 503),
    ("GET", "/configs", "/configs", NONE, 503),
    ("GET", "/configs/{*rest}", "/configs/c", NONE, 503),
    ("POST", "/configs/{*rest}", "/configs/create", NONE, 503),
    ("DELETE", "/configs/{*rest}", "/configs/c", NONE, 503),
];

#[test]
fn every_route_has_a_row() {
    for (method, path) in ROUTES {
        let has_row = ROWS.iter().any(|row| (row.0, row.1) == (*method, *path));
        assert!(has_row, "{method} {path} is not asked");
    }
    for row in ROWS {
        assert!(
            ROUTES.contains(&(row.0, row.1)),
            "{} {} is no route",
            row.0,
            row.1
        );
    }
}

async fn ask(router: &Router, method: &str, target: &str, body: &str) -> (StatusCode, Value) {
    // What a URL may not hold as it is.
    let target = target
        .replace('{', "%7B")
        .replace('}', "%7D")
        .replace('"', "%22");
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(target);
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20)
        .await
        .unwrap();
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}

/// Opens an engine in an empty folder and a network namespace of its own, and asks it.
#[test]
fn every_route_answers_as_docker_does() {
    let directory = tempfile::tempdir().unwrap();
    let asking = std::thread::spawn(move || {
        // For this thread and those it starts: the bridge and the firewall of the engine.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let router = router(open_engine(directory.path()).await);
            let mut wrong = Vec::new();
            for (method, _, target, body, status) in ROWS {
                let (got, answer) = ask(&router, method, target, body).await;
                let has_message = answer["message"].is_string() || *method == "HEAD";
                if got.as_u16() != *status || (*status >= 400 && !has_message) {
                    wrong.push(format!("{method} {target}: {got} {answer}"));
                }
            }
            assert!(wrong.is_empty(), "{wrong:#?}");
            let (status, answer) = ask(&router, "GET", "/nowhere", NONE).await;
            assert_eq!(
                (status.as_u16(), &answer["message"]),
                (404, &"page not found".into())
            );
            let (status, answer) = ask(&router, "PUT", "/info", NONE).await;
            assert_eq!(
                (status.as_u16(), &answer["message"]),
                (404, &"page not found".into())
            );
        });
    });
    asking.join().unwrap();
}

async fn open_engine(directory: &std::path::Path) -> Engine {
    let settings = EngineSettings {
        data_root: directory.join("data"),
        exec_root: directory.join("exec"),
        network: NetworkSettings::new("hytest"),
        neighbour: None,
        registry: RegistrySettings {
            default_registry: "docker.io".to_owned(),
            mirrors: Vec::new(),
            insecure: Vec::new(),
            max_concurrent_downloads: 1,
            max_concurrent_uploads: 1,
            auth_file: None,
            max_layer_bytes: 1 << 20,
        },
        dns: Vec::new(),
        dns_search: Vec::new(),
        dns_options: Vec::new(),
        log: LogConfig::default(),
        shm_size_bytes: 64 << 20,
        ulimits: Vec::new(),
        cgroup_parent: String::new(),
        init: false,
        userns_remap: None,
        labels: Vec::new(),
        debug: false,
    };
    Engine::open(settings).await.unwrap()
}
