//! "Pull": manifests and blobs are read, whole, in part, or only asked after.

use hythe_tests::{Host, sha256_digest};
use serde_json::json;

use super::registry::{MANIFEST, Registry, error_code};

/// "This endpoint … MUST return `200 OK`" when the registry implements the specification.
#[test]
fn the_registry_says_that_it_is_one() {
    let host = Host::new();
    let registry = Registry::start(&host);
    assert_eq!(registry.get("/v2/").status, 200);
}

/// "A GET request to an existing manifest URL MUST provide the expected manifest, with a response
/// code that MUST be `200 OK`." "the `Docker-Content-Digest` header … MUST match" the content.
/// "the client … MUST be able to pull by digest".
#[test]
fn a_manifest_is_read_by_tag_and_by_digest() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let digest = registry.push_image("one");
    for reference in ["one", &digest] {
        let answer = registry.get(&format!("manifests/{reference}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(sha256_digest(&answer.body), digest);
        assert_eq!(answer.headers["docker-content-digest"], digest);
        assert_eq!(answer.headers["content-type"], MANIFEST);
        assert_eq!(
            answer.headers["content-length"],
            answer.body.len().to_string()
        );
    }
}

/// "If the manifest is not found in the repository, the response code MUST be `404 Not Found`."
#[test]
fn a_missing_manifest_is_not_found() {
    let host = Host::new();
    let registry = Registry::start(&host);
    registry.push_image("one");
    let missing = sha256_digest(b"missing");
    for reference in ["nope", &missing] {
        let answer = registry.get(&format!("manifests/{reference}"));
        assert_eq!(answer.status, 404, "{answer:?}");
        assert_eq!(error_code(&answer), "MANIFEST_UNKNOWN");
        assert_eq!(registry.head(&format!("manifests/{reference}")).status, 404);
    }
    let nowhere = registry.get("/v2/no/such/repository/manifests/one");
    assert_eq!(nowhere.status, 404);
}

/// "A GET request to an existing blob URL MUST provide the expected blob, with a response code
/// that MUST be `200 OK`."
#[test]
fn a_blob_is_read() {
    let host = Host::new();
    let registry = Registry::start(&host);
    for content in [&b"some content"[..], b"", b"{}"] {
        let digest = registry.put_blob(content);
        let answer = registry.get(&format!("blobs/{digest}"));
        assert_eq!((answer.status, answer.body.as_slice()), (200, content));
        assert_eq!(answer.headers["docker-content-digest"], digest);
    }
}

/// "If the blob is not found in the repository, the response code MUST be `404 Not Found`."
#[test]
fn a_missing_blob_is_not_found() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let answer = registry.get(&format!("blobs/{}", sha256_digest(b"missing")));
    assert_eq!(answer.status, 404);
    assert_eq!(error_code(&answer), "BLOB_UNKNOWN");
    // A blob of one repository is not one of another.
    let digest = registry.put_blob(b"here");
    assert_eq!(
        registry
            .get(&format!("/v2/else/where/blobs/{digest}"))
            .status,
        404
    );
}

/// "A registry SHOULD support the `Range` request header in accordance with RFC 9110."
#[test]
fn parts_of_a_blob_are_read() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let content: Vec<u8> = (0..5000_u32).map(|i| (i % 251) as u8).collect();
    let digest = registry.put_blob(&content);
    let path = format!("blobs/{digest}");
    for (range, start, end) in [
        ("500-1499", 500, 1500),
        ("500-", 500, 5000),
        ("-500", 4500, 5000),
        ("2000-9999", 2000, 5000),
    ] {
        let answer = registry.ask("GET", &path, &[&format!("Range: bytes={range}")], None);
        assert_eq!(answer.status, 206, "{range}");
        assert!(answer.body == content[start..end], "{range}");
        assert_eq!(
            answer.headers["content-range"],
            format!("bytes {start}-{}/5000", end - 1)
        );
    }
    for range in ["5000-10000", "-0"] {
        let answer = registry.ask("GET", &path, &[&format!("Range: bytes={range}")], None);
        assert_eq!(answer.status, 416, "{range}");
    }
}

/// "A HEAD request to an existing blob or manifest URL MUST return `200 OK`." "A successful
/// response SHOULD contain the digest …", "… the size in bytes of the uploaded blob".
#[test]
fn what_is_there_can_be_asked_after() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let manifest = registry.push_image("one");
    let blob = registry.put_blob(b"some content");
    for (path, digest) in [
        ("manifests/one".to_owned(), &manifest),
        (format!("blobs/{blob}"), &blob),
    ] {
        let head = registry.head(&path);
        let get = registry.get(&path);
        assert_eq!(head.status, 200);
        assert!(head.body.is_empty());
        assert_eq!(&head.headers["docker-content-digest"], digest);
        assert_eq!(head.headers["content-length"], get.body.len().to_string());
    }
    assert_eq!(
        registry
            .head(&format!("blobs/{}", sha256_digest(b"missing")))
            .status,
        404
    );
}

/// RFC 9110: a client that has the content already is told so.
#[test]
fn what_has_not_changed_is_not_sent_again() {
    let host = Host::new();
    let registry = Registry::start(&host);
    registry.push_image("one");
    let tag = registry.head("manifests/one").headers["etag"].clone();
    let condition = format!("If-None-Match: {tag}");
    let same = registry.ask("GET", "manifests/one", &[&condition], None);
    assert_eq!((same.status, same.body.len()), (304, 0));
    let other = registry.ask("GET", "manifests/one", &[r#"If-None-Match: "other""#], None);
    assert_eq!(other.status, 200);
}

/// "`<name>` MUST match the following regular expression"; "`<reference>` as a tag MUST be at most
/// 128 characters".
#[test]
fn names_outside_the_grammar_are_refused() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let manifest = json!({"schemaVersion": 2}).to_string();
    for name in ["UPPER", "a..b", "-a", "a__-b"] {
        let answer = registry.ask(
            "PUT",
            &format!("/v2/{name}/manifests/x"),
            &[],
            Some(manifest.as_bytes()),
        );
        assert!([400, 404].contains(&answer.status), "{name}: {answer:?}");
    }
    let long = "t".repeat(129);
    let answer = registry.put_manifest(&long, &registry.image("one"));
    assert!([400, 404].contains(&answer.status), "{answer:?}");
}
