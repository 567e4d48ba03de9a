//! What the tests say to a registry: requests with bodies, images of a few bytes.

use std::io::Write as _;

use hythe_tests::{Host, Postgres, Response, S3, Server, ServerOptions, sha256_digest};
use serde_json::{Value, json};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const OCTETS: &str = "Content-Type: application/octet-stream";

/// A registry, and a repository that no other test uses.
pub(crate) struct Registry<'host> {
    pub(crate) server: Server<'host>,
    host: &'host Host,
    pub(crate) repository: String,
    /// What the server works on, when it is not its own disk.
    _back_ends: Option<(S3<'host>, Postgres)>,
}

impl<'host> Registry<'host> {
    pub(crate) fn start(host: &'host Host) -> Self {
        let back_ends = (env!("CARGO_CRATE_NAME") == "conformance_s3_postgres")
            .then(|| (S3::start(host), Postgres::start()));
        let mut options = ServerOptions::default();
        if let Some((s3, postgres)) = &back_ends {
            options.environment = s3.environment(&s3.address());
            options = options
                .with("HYTHE_STORAGE", &s3.url())
                .with("HYTHE_DATABASE", &postgres.url());
        }
        let server = Server::start_as(host, &options);
        let repository = format!("conformance/r{:012x}", rand::random::<u64>() >> 16);
        Self {
            server,
            host,
            repository,
            _back_ends: back_ends,
        }
    }

    /// A request to `/v2/REPOSITORY/` + `path`; a full URL or `/v2/…` goes where it says.
    #[track_caller]
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: Option<&[u8]>,
    ) -> Response {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else if path.starts_with('/') {
            self.server.url(path)
        } else {
            self.server.url(&format!("/v2/{}/{path}", self.repository))
        };
        let mut words = if method == "HEAD" {
            vec!["--head"]
        } else {
            vec!["--request", method]
        };
        for header in headers {
            words.extend(["--header", header]);
        }
        let mut file = tempfile::NamedTempFile::new().expect("a file for the body");
        let data = format!("@{}", file.path().display());
        if let Some(body) = body {
            file.write_all(body).expect("the body is written");
            words.extend(["--data-binary", &data]);
            if !headers
                .iter()
                .any(|header| header.to_ascii_lowercase().starts_with("content-type"))
            {
                words.extend(["--header", OCTETS]);
            }
        }
        words.push(&url);
        self.host.curl(&words)
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Response {
        self.ask("GET", path, &[], None)
    }

    #[track_caller]
    pub(crate) fn head(&self, path: &str) -> Response {
        self.ask("HEAD", path, &[], None)
    }

    #[track_caller]
    pub(crate) fn delete(&self, path: &str) -> Response {
        self.ask("DELETE", path, &[], None)
    }

    /// Starts an upload; the answer is its URL.
    #[track_caller]
    pub(crate) fn start_upload(&self) -> String {
        let answer = self.ask("POST", "blobs/uploads/", &[], Some(b""));
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.headers["location"].clone()
    }

    /// Stores a blob and returns its digest.
    #[track_caller]
    pub(crate) fn put_blob(&self, content: &[u8]) -> String {
        let digest = sha256_digest(content);
        let url = with_digest(&self.start_upload(), &digest);
        let answer = self.ask("PUT", &url, &[], Some(content));
        assert_eq!(answer.status, 201, "{answer:?}");
        digest
    }

    #[track_caller]
    pub(crate) fn put_manifest(&self, reference: &str, manifest: &Value) -> Response {
        let media_type = manifest["mediaType"].as_str().unwrap_or(MANIFEST);
        let content_type = format!("Content-Type: {media_type}");
        let body = manifest.to_string();
        self.ask(
            "PUT",
            &format!("manifests/{reference}"),
            &[&content_type],
            Some(body.as_bytes()),
        )
    }

    /// Pushes an image under `tag` and returns its manifest's digest.
    #[track_caller]
    pub(crate) fn push_image(&self, tag: &str) -> String {
        let manifest = self.image(tag);
        let answer = self.put_manifest(tag, &manifest);
        assert_eq!(answer.status, 201, "{answer:?}");
        sha256_digest(manifest.to_string().as_bytes())
    }

    /// A manifest whose blobs are stored; another `salt` makes another one.
    #[track_caller]
    pub(crate) fn image(&self, salt: &str) -> Value {
        let config = format!(r#"{{"architecture":"amd64","os":"linux","salt":"{salt}"}}"#);
        let layer = format!("layer of {salt}");
        json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.descriptor(CONFIG, config.as_bytes()),
            "layers": [self.descriptor(LAYER, layer.as_bytes())],
        })
    }

    /// Stores `content` and describes it.
    #[track_caller]
    pub(crate) fn descriptor(&self, media_type: &str, content: &[u8]) -> Value {
        json!({"mediaType": media_type, "digest": self.put_blob(content), "size": content.len()})
    }
}

/// An upload's URL with the digest that ends it.
pub(crate) fn with_digest(url: &str, digest: &str) -> String {
    format!(
        "{url}{}digest={digest}",
        if url.contains('?') { '&' } else { '?' }
    )
}

/// How a manifest is described by who points at it.
pub(crate) fn describe(manifest: &Value) -> Value {
    let bytes = manifest.to_string();
    json!({
        "mediaType": manifest["mediaType"],
        "digest": sha256_digest(bytes.as_bytes()),
        "size": bytes.len(),
    })
}

/// The first error code of an answer in the spec's error format.
#[track_caller]
pub(crate) fn error_code(answer: &Response) -> String {
    let body = answer.json();
    let error = &body["errors"][0];
    assert!(
        error["message"].is_string(),
        "an error has a message: {body}"
    );
    error["code"]
        .as_str()
        .expect("an error has a code")
        .to_owned()
}
