//! Requests are told to an OpenTelemetry collector, when there is one.

use hythe_tests::{Host, SHORT, Server, ServerOptions, Sink, eventually};

use crate::push_busybox;

#[test]
fn a_request_is_a_span_of_its_callers_trace() {
    let host = Host::new();
    let sink = Sink::on(&host, 4318);
    let options = ServerOptions::default()
        .with("HYTHE_TELEMETRY_OTLP_ENDPOINT", &sink.url())
        .with("OTEL_BSP_SCHEDULE_DELAY", "100");
    let server = Server::start_as(&host, &options);
    push_busybox(&host, &server);

    let trace: [u8; 16] = rand::random();
    let parent = format!("traceparent: 00-{}-00f067aa0ba902b7-01", hex::encode(trace));
    let manifest = server.url("/v2/busybox/manifests/1");
    assert_eq!(host.curl(&["-H", &parent, &manifest]).status, 200);

    // The body is protobuf, in which names and ids stand as they are.
    let holds = |body: &[u8], word: &[u8]| body.windows(word.len()).any(|part| part == word);
    let told = eventually("the collector hears of the request", SHORT, || {
        let mut posts = sink.posts().into_iter();
        posts.rfind(|post| holds(&post.body, &trace))
    });
    assert!(told.line.starts_with("POST /v1/traces "), "{}", told.line);
    for word in [
        "hythe",
        "/v2/busybox/manifests/1",
        "http.route",
        "db.find_manifest",
    ] {
        assert!(holds(&told.body, word.as_bytes()), "{word} is told");
    }
    // Lines of the log stay as they are.
    let log = server.log();
    let line = log
        .lines()
        .find(|line| line.contains("/v2/busybox/manifests/1"));
    assert!(!line.expect("a line").contains("otel"), "{log}");
}

#[test]
fn a_collector_that_is_gone_stops_nothing() {
    let host = Host::new();
    let options = ServerOptions::default()
        .with("HYTHE_TELEMETRY_OTLP_ENDPOINT", "http://127.0.0.1:4318")
        .with("OTEL_BSP_SCHEDULE_DELAY", "10");
    let mut server = Server::start_as(&host, &options);
    push_busybox(&host, &server);
    server.restart();
    let manifest = server.url("/v2/busybox/manifests/1");
    assert_eq!(host.curl(&[&manifest]).status, 200);
}
