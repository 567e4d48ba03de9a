//! One request to the agent: method, path, query, headers and body, before it meets a connection.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE, USER_AGENT};
use hyper::{Method, Request};
use serde::Serialize;
use url::form_urlencoded;

use super::{Address, ApiError};

/// What travels with a request: nothing, one JSON value, or a stream such as a build context.
pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

pub(crate) struct Call {
    method: Method,
    path: String,
    query: String,
    headers: Vec<(&'static str, String)>,
    body: Body,
    upgrade: bool,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Headers may hold credentials.
        write!(f, "Call({})", self.describe())
    }
}

impl Call {
    /// `path` starts with a slash; put outside text into it with [`segment`].
    fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: String::new(),
            headers: Vec::new(),
            body: full(Bytes::new()),
            upgrade: false,
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn head(path: impl Into<String>) -> Self {
        Self::new(Method::HEAD, path)
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub(crate) fn query(mut self, key: &str, value: impl AsRef<str>) -> Self {
        form_urlencoded::Serializer::new(&mut self.query).append_pair(key, value.as_ref());
        self
    }

    /// Adds the pair when there is a value.
    pub(crate) fn query_option(self, key: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(key, value.to_string()),
            None => self,
        }
    }

    /// Adds `key=1` when `on`; leaving it out means false to every engine.
    pub(crate) fn flag(self, key: &str, on: bool) -> Self {
        if on { self.query(key, "1") } else { self }
    }

    pub(crate) fn filters(self, filters: &Filters) -> Self {
        if filters.0.is_empty() {
            return self;
        }
        let text = filters.to_json();
        self.query("filters", text)
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends `value` as the JSON body.
    pub(crate) fn json(mut self, value: &impl Serialize) -> Result<Self, ApiError> {
        let bytes = serde_json::to_vec(value).map_err(|source| ApiError::Unreadable {
            what: self.describe(),
            source,
        })?;
        self.body = full(Bytes::from(bytes));
        Ok(self.header(CONTENT_TYPE.as_str(), "application/json"))
    }

    /// Sends the stream, chunk by chunk, as the body.
    pub(crate) fn stream(
        mut self,
        content_type: &str,
        stream: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    ) -> Self {
        self.body = StreamBody::new(stream.map(|chunk| chunk.map(Frame::data))).boxed_unsync();
        self.header(CONTENT_TYPE.as_str(), content_type)
    }

    /// Asks the agent to give the connection away after the answer (hijack).
    pub(super) fn upgrade(mut self) -> Self {
        self.upgrade = true;
        self
    }

    /// Method and path, for error texts.
    pub(super) fn describe(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub(super) fn into_request(self, address: &Address) -> Result<Request<Body>, ApiError> {
        let target = if self.query.is_empty() {
            self.path
        } else {
            format!("{}?{}", self.path, self.query)
        };
        let host = match address {
            Address::Unix(_) => "hythe.localhost",
            Address::Tcp { authority } => authority,
        };
        let mut builder = Request::builder()
            .method(self.method)
            .uri(target)
            .header(HOST, host)
            .header(USER_AGENT, concat!("hythe/", env!("CARGO_PKG_VERSION")));
        for (name, value) in self.headers {
            builder = builder.header(name, value);
        }
        if self.upgrade {
            builder = builder.header(CONNECTION, "Upgrade").header(UPGRADE, "tcp");
        }
        builder.body(self.body).map_err(ApiError::Request)
    }
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// Text from outside as a part of a path. Slashes and colons stay: image names are made of them.
pub(crate) fn segment(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// `--filter key=value`, any number of times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filters(BTreeMap<String, BTreeSet<String>>);

impl Filters {
    /// The pairs that the user gave.
    pub(crate) fn new(said: &[(String, String)]) -> Self {
        let mut filters = Self::default();
        for (key, value) in said {
            filters.add(key, value);
        }
        filters
    }

    pub(crate) fn add(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.entry(key.into()).or_default().insert(value.into());
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// `{"label":{"a=b":true}}`, the form of Go clients, which every engine takes.
    fn to_json(&self) -> String {
        let map: serde_json::Map<String, serde_json::Value> = self
            .0
            .iter()
            .map(|(key, values)| {
                let values = values
                    .iter()
                    .map(|value| (value.clone(), serde_json::Value::Bool(true)));
                (key.clone(), serde_json::Value::Object(values.collect()))
            })
            .collect();
        serde_json::Value::Object(map).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_segment() {
        let cases = [
            ("web", "web"),
            ("127.0.0.1:5000/nginx:1", "127.0.0.1:5000/nginx:1"),
            ("a?b#c%d e", "a%3Fb%23c%25d%20e"),
            ("ü", "%C3%BC"),
        ];
        for (text, expected) in cases {
            assert_eq!(segment(text), expected);
        }
    }

    #[test]
    fn query_and_host_are_written_once() {
        let request = Call::get("/containers/json")
            .flag("all", true)
            .flag("size", false)
            .query_option("limit", Some(3))
            .query_option("x", None::<i32>)
            .into_request(&Address::Unix("/x".into()))
            .unwrap();
        assert_eq!(request.uri().to_string(), "/containers/json?all=1&limit=3");
        assert_eq!(request.headers()[HOST], "hythe.localhost");
    }

    #[test]
    fn filters_are_sets() {
        let said = [
            ("label", "a=b"),
            ("status", "exited"),
            ("status", "created"),
            ("status", "exited"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let filters = Filters::new(&said);
        assert_eq!(
            filters.to_json(),
            r#"{"label":{"a=b":true},"status":{"created":true,"exited":true}}"#
        );
    }
}
