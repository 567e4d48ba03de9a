//! What is counted, and the one line that each request leaves in the log.
//!
//! The names below are an interface: dashboards are made of them.

use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::StreamExt as _;
use http::{Method, Request, StatusCode, header};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::Span;

use super::answer::text;
use super::client::Client;
use super::trace;
use crate::registry::Incoming;

const REQUESTS: &str = "hythe_http_requests_total";
const DURATION: &str = "hythe_http_request_duration_seconds";
const SENT: &str = "hythe_http_response_bytes_total";
const RECEIVED: &str = "hythe_upload_bytes_total";
const IN_FLIGHT: &str = "hythe_uploads_in_flight";

const BUCKETS: [f64; 12] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0,
];

static PROMETHEUS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Starts counting; the second call in a process changes nothing.
pub(crate) fn install() {
    PROMETHEUS.get_or_init(|| {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(DURATION.to_owned()), &BUCKETS)
            .unwrap_or_else(|_| PrometheusBuilder::new())
            .build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::debug!("another recorder of metrics was installed before");
        }
        describe();
        handle
    });
}

fn describe() {
    metrics::describe_counter!(REQUESTS, "Requests answered, by route, method and status");
    metrics::describe_histogram!(
        DURATION,
        "Seconds until the last byte of the answer, by route"
    );
    metrics::describe_counter!(SENT, "Bytes of answers, by route");
    metrics::describe_counter!(RECEIVED, "Bytes of blobs received");
    metrics::describe_gauge!(IN_FLIGHT, "Blob bodies being received");
}

/// The text that Prometheus reads.
pub(super) fn render() -> String {
    PROMETHEUS.get().map_or_else(String::new, |handle| {
        handle.run_upkeep();
        handle.render()
    })
}

/// A request from its first byte to the last byte of its answer.
#[derive(Debug)]
pub(super) struct Observed {
    route: &'static str,
    method: Method,
    path: String,
    client: Option<Client>,
    status: StatusCode,
    started: Instant,
    sent_bytes: u64,
    /// How many there are to send, where that is known before.
    size_bytes: Option<u64>,
    ended: bool,
    span: Span,
}

impl Observed {
    pub(super) fn new(route: &'static str, request: &Request<Body>) -> Self {
        Self {
            route,
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            client: request.extensions().get().copied(),
            status: StatusCode::OK,
            started: Instant::now(),
            sent_bytes: 0,
            size_bytes: None,
            ended: false,
            span: trace::span(route, request),
        }
    }

    /// What the request's work is traced under.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Watches the answer's body to its end.
    pub(super) fn answered(mut self, response: Response) -> Response {
        self.status = response.status();
        trace::answered(&self.span, self.status);
        self.size_bytes = text(response.headers(), header::CONTENT_LENGTH)
            .and_then(|value| value.parse().ok())
            .or_else(|| response.body().size_hint().exact());
        response.map(|body| {
            Body::new(ObservedBody {
                body,
                observed: self,
            })
        })
    }
}

impl Observed {
    /// Whether the client was given everything that was promised. The body of
    /// an answer whose length is known is not asked for its end.
    fn is_whole(&self) -> bool {
        self.ended
            || self.method == Method::HEAD
            || self.size_bytes.is_some_and(|size| self.sent_bytes >= size)
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let seconds = self.started.elapsed().as_secs_f64();
        let status = self.status.as_u16();
        self.span.record("http.response.body.size", self.sent_bytes);
        tracing::info!(
            method = %self.method,
            path = self.path,
            status,
            bytes = self.sent_bytes,
            ms = (seconds * 1000.0).round(),
            client = self.client.map(tracing::field::display),
            route = self.route,
            whole = self.is_whole(),
            "request"
        );
        let labels = [
            ("route", self.route.to_owned()),
            ("method", self.method.to_string()),
            ("status", status.to_string()),
        ];
        metrics::counter!(REQUESTS, &labels).increment(1);
        metrics::counter!(SENT, "route" => self.route).increment(self.sent_bytes);
        metrics::histogram!(DURATION, "route" => self.route).record(seconds);
    }
}

struct ObservedBody {
    body: Body,
    observed: Observed,
}

impl HttpBody for ObservedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.observed.sent_bytes += bytes as u64;
            }
            Poll::Ready(None) => self.observed.ended = true,
            Poll::Ready(Some(Err(error))) => {
                tracing::error!(path = self.observed.path, error = %error, "an answer broke off");
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Counts a blob's body while it comes in.
pub(super) fn counted(body: Incoming) -> Incoming {
    let in_flight = InFlight::new();
    body.inspect(move |piece| {
        // Held by the stream, so that it counts as long as the stream lives.
        let _ = &in_flight;
        if let Ok(bytes) = piece {
            metrics::counter!(RECEIVED).increment(bytes.len() as u64);
        }
    })
    .boxed()
}

struct InFlight;

impl InFlight {
    fn new() -> Self {
        metrics::gauge!(IN_FLIGHT).increment(1.0);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics::gauge!(IN_FLIGHT).decrement(1.0);
    }
}
