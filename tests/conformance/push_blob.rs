//! "Pushing Blobs": in one request, in two, in chunks, or from another repository.

use hythe_tests::{Host, sha256_digest};
use sha2::{Digest as _, Sha512};

use super::registry::{Registry, error_code, with_digest};

/// "Upon success, the response MUST have a code of `202 Accepted`, and MUST include the following
/// header: `Location`"; after the PUT: "the response MUST be `201 Created`" with a `Location` that
/// is "the pullable blob URL".
#[test]
fn post_then_put() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let content = b"post then put";
    let digest = sha256_digest(content);
    let url = with_digest(&registry.start_upload(), &digest);
    let answer = registry.ask("PUT", &url, &[], Some(content));
    assert_eq!(answer.status, 201, "{answer:?}");
    let pulled = registry.get(&answer.headers["location"]);
    assert_eq!((pulled.status, pulled.body.as_slice()), (200, &content[..]));
}

/// "Registries MAY support pushing blobs using a single POST": "Upon successful completion … the
/// response MUST have a code of `201 Created`".
#[test]
fn post_alone() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let content = b"post alone";
    let digest = sha256_digest(content);
    let answer = registry.ask(
        "POST",
        &format!("blobs/uploads/?digest={digest}"),
        &[],
        Some(content),
    );
    assert_eq!(answer.status, 201, "{answer:?}");
    let pulled = registry.get(&answer.headers["location"]);
    assert_eq!(pulled.body, content);
}

/// "Each successful chunk upload MUST have a `202 Accepted` response code, and MUST have the
/// following headers: `Location`, `Range: 0-<end-of-range>`".
#[test]
fn chunks_in_order() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let chunks = [vec![1_u8; 3000], vec![2; 2000], vec![3; 1000]];
    let mut url = registry.start_upload();
    let mut sent = 0;
    for chunk in &chunks[..2] {
        let range = format!("Content-Range: {sent}-{}", sent + chunk.len() - 1);
        let answer = registry.ask("PATCH", &url, &[&range], Some(chunk));
        sent += chunk.len();
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.headers["range"], format!("0-{}", sent - 1));
        url = answer.headers["location"].clone();
    }
    let whole = chunks.concat();
    let range = format!("Content-Range: {sent}-{}", whole.len() - 1);
    let url = with_digest(&url, &sha256_digest(&whole));
    let answer = registry.ask("PUT", &url, &[&range], Some(&chunks[2]));
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(registry.get(&answer.headers["location"]).body == whole);
}

/// A PATCH without `Content-Range` appends: docker's own way.
#[test]
fn one_stream_then_an_empty_put() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let answer = registry.ask("PATCH", &registry.start_upload(), &[], Some(b"a stream"));
    assert_eq!(answer.status, 202, "{answer:?}");
    let url = with_digest(&answer.headers["location"], &sha256_digest(b"a stream"));
    assert_eq!(registry.ask("PUT", &url, &[], Some(b"")).status, 201);
}

/// "Chunks MUST be uploaded in order … If a chunk is uploaded out of order, the registry MUST
/// respond with a `416 Requested Range Not Satisfiable` code." "A GET request may be used to
/// retrieve the current valid offset": "the response MUST … `204 No Content`" with `Location` and
/// `Range`.
#[test]
fn chunks_out_of_order_are_refused_and_the_session_tells_where_it_is() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let url = registry.start_upload();
    let first = registry.ask("PATCH", &url, &["Content-Range: 0-2999"], Some(&[1; 3000]));
    assert_eq!(first.status, 202);
    let url = first.headers["location"].clone();
    for range in ["4000-4999", "0-999", "2999-3998"] {
        let header = format!("Content-Range: {range}");
        let wrong = registry.ask("PATCH", &url, &[&header], Some(&[2; 1000]));
        assert_eq!(wrong.status, 416, "{range}: {wrong:?}");
        let session = registry.get(&url);
        assert_eq!(session.status, 204, "{session:?}");
        assert_eq!(session.headers["range"], "0-2999");
        assert!(session.headers.contains_key("location"));
    }
    let mut whole = vec![1; 3000];
    whole.extend([2; 1000]);
    let url = with_digest(&url, &sha256_digest(&whole));
    let last = registry.ask("PUT", &url, &["Content-Range: 3000-3999"], Some(&[2; 1000]));
    assert_eq!(last.status, 201, "{last:?}");
}

/// A `Content-Range` that its body does not have, or that is none.
#[test]
fn ranges_that_lie_are_refused() {
    let host = Host::new();
    let registry = Registry::start(&host);
    for range in [
        "0-5",
        "0-999",
        "5-0",
        "bytes 0-9/10",
        "x",
        "-1-3",
        "0-99999999999999999999",
    ] {
        let url = registry.start_upload();
        let header = format!("Content-Range: {range}");
        let answer = registry.ask("PATCH", &url, &[&header], Some(b"ten bytes!"));
        assert!([400, 416].contains(&answer.status), "{range}: {answer:?}");
    }
}

/// "To cancel an upload … MUST be DELETE"; "If successful, the response SHOULD be a `204 No
/// Content`"; afterwards the session is unknown.
#[test]
fn an_upload_is_cancelled() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let url = registry.start_upload();
    assert_eq!(registry.delete(&url).status, 204);
    for answer in [
        registry.get(&url),
        registry.ask("PATCH", &url, &[], Some(b"x")),
        registry.delete(&url),
    ] {
        assert_eq!(answer.status, 404, "{answer:?}");
        assert_eq!(error_code(&answer), "BLOB_UPLOAD_UNKNOWN");
    }
}

/// "the registry MUST verify the digest"; a wrong one is `DIGEST_INVALID`, whichever way it came,
/// and nothing becomes visible.
#[test]
fn a_wrong_digest_is_refused() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let digest = sha256_digest(b"promised");
    let post = registry.ask(
        "POST",
        &format!("blobs/uploads/?digest={digest}"),
        &[],
        Some(b"sent"),
    );
    let put = registry.ask(
        "PUT",
        &with_digest(&registry.start_upload(), &digest),
        &[],
        Some(b"sent"),
    );
    let patched = registry.ask("PATCH", &registry.start_upload(), &[], Some(b"sent"));
    let url = with_digest(&patched.headers["location"], &digest);
    let chunked = registry.ask("PUT", &url, &[], Some(b""));
    for answer in [post, put, chunked] {
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(error_code(&answer), "DIGEST_INVALID");
    }
    for content in [&b"promised"[..], b"sent"] {
        assert_eq!(
            registry
                .head(&format!("blobs/{}", sha256_digest(content)))
                .status,
            404
        );
    }
    for digest in [
        "sha256:abc",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "nonsense",
    ] {
        let answer = registry.ask(
            "PUT",
            &with_digest(&registry.start_upload(), digest),
            &[],
            Some(b"x"),
        );
        assert_eq!(answer.status, 400, "{digest}: {answer:?}");
    }
}

/// A PUT without a digest ends nothing.
#[test]
fn a_put_without_a_digest_is_refused() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let answer = registry.ask("PUT", &registry.start_upload(), &[], Some(b"x"));
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(error_code(&answer), "DIGEST_INVALID");
}

/// "If a necessary blob exists already in another repository within the same registry, it can be
/// mounted": "the response MUST be `201 Created`", with a `Location` of the blob.
#[test]
fn a_blob_is_mounted_from_another_repository() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let digest = registry.put_blob(b"mounted");
    let other = format!("/v2/{}/other", registry.repository);
    let path = format!(
        "{other}/blobs/uploads/?mount={digest}&from={}",
        registry.repository
    );
    let answer = registry.ask("POST", &path, &[], Some(b""));
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(registry.get(&answer.headers["location"]).body, b"mounted");
    assert_eq!(
        registry.get(&format!("{other}/blobs/{digest}")).body,
        b"mounted"
    );
}

/// "Alternatively, if a registry does not support cross-repository mounting or is unable to mount
/// the requested blob, it SHOULD return a `202`": an upload begins.
#[test]
fn what_cannot_be_mounted_begins_an_upload() {
    let host = Host::new();
    let registry = Registry::start(&host);
    registry.put_blob(b"something");
    let missing = sha256_digest(b"missing");
    for from in [
        format!("&from={}", registry.repository),
        "&from=no/where".into(),
        String::new(),
    ] {
        let path = format!("blobs/uploads/?mount={missing}{from}");
        let answer = registry.ask("POST", &path, &[], Some(b""));
        assert_eq!(answer.status, 202, "{answer:?}");
        let url = with_digest(&answer.headers["location"], &missing);
        assert_eq!(registry.ask("PUT", &url, &[], Some(b"wrong")).status, 400);
    }
}

/// "If a registry supports … `from` is omitted": a blob that the caller may read anyway.
#[test]
fn a_blob_is_mounted_without_saying_from_where() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let digest = registry.put_blob(b"mounted from anywhere");
    let path = format!(
        "/v2/{}/third/blobs/uploads/?mount={digest}",
        registry.repository
    );
    assert_eq!(registry.ask("POST", &path, &[], Some(b"")).status, 201);
}

/// "`sha512` … implementations MAY": what is accepted is verified and served under its own name.
#[test]
fn sha512_is_a_digest_too() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let content = b"five hundred and twelve";
    let digest = format!("sha512:{}", hex::encode(Sha512::digest(content)));
    let url = with_digest(&registry.start_upload(), &digest);
    let answer = registry.ask("PUT", &url, &[], Some(content));
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.headers["docker-content-digest"], digest);
    assert_eq!(registry.get(&format!("blobs/{digest}")).body, content);
    let wrong = with_digest(&registry.start_upload(), &digest);
    assert_eq!(registry.ask("PUT", &wrong, &[], Some(b"other")).status, 400);
}

/// "the client MAY include … `digest-algorithm`" (end-4c): the session hashes with that one.
#[test]
fn the_algorithm_may_be_said_at_the_start() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let answer = registry.ask(
        "POST",
        "blobs/uploads/?digest-algorithm=sha512",
        &[],
        Some(b""),
    );
    assert_eq!(answer.status, 202, "{answer:?}");
    let chunk = registry.ask("PATCH", &answer.headers["location"], &[], Some(b"chunk "));
    let digest = format!("sha512:{}", hex::encode(Sha512::digest(b"chunk end")));
    let url = with_digest(&chunk.headers["location"], &digest);
    assert_eq!(registry.ask("PUT", &url, &[], Some(b"end")).status, 201);
    let unknown = registry.ask(
        "POST",
        "blobs/uploads/?digest-algorithm=md5",
        &[],
        Some(b""),
    );
    assert_eq!(unknown.status, 400, "{unknown:?}");
}

/// An unknown session is `404` and says so.
#[test]
fn an_unknown_session_is_not_found() {
    let host = Host::new();
    let registry = Registry::start(&host);
    registry.put_blob(b"the repository exists");
    for session in [
        "00000000-0000-0000-0000-000000000000",
        "nonsense",
        "..%2f..%2fx",
    ] {
        let answer = registry.get(&format!("blobs/uploads/{session}"));
        assert_eq!(answer.status, 404, "{session}: {answer:?}");
    }
}
