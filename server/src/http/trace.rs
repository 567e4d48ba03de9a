//! One span per request, for traces. Nobody asks for them unless traces are
//! configured, and a span that nobody asks for costs next to nothing.

use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use opentelemetry::global;
use opentelemetry::propagation::Extractor;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::config::TRACE_TARGET;

/// A span that lasts until the answer's last byte; a part of the caller's trace
/// when the request says which that is (`traceparent`).
pub(super) fn span(route: &'static str, request: &Request<Body>) -> Span {
    let span = tracing::info_span!(
        target: TRACE_TARGET,
        "request",
        otel.name = route,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = %request.method(),
        http.route = route,
        url.path = request.uri().path(),
        http.response.status_code = Empty,
        http.response.body.size = Empty,
    );
    if !span.is_disabled() {
        let headers = Headers(request.headers());
        let caller = global::get_text_map_propagator(|propagator| propagator.extract(&headers));
        if let Err(error) = span.set_parent(caller) {
            tracing::debug!(%error, "a request is not in its caller's trace");
        }
    }
    span
}

/// Notes how the request was answered.
pub(super) fn answered(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
