//! "Content Management": tags, manifests and blobs are deleted.

use hythe_tests::{Host, sha256_digest};

use super::registry::{Registry, error_code};

/// "To delete a tag … Upon success, the registry MUST respond with a `202 Accepted`"; the manifest
/// it named stays.
#[test]
fn a_tag_is_deleted_and_its_manifest_stays() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let digest = registry.push_image("x");
    assert_eq!(registry.delete("manifests/x").status, 202);
    assert_eq!(registry.get("manifests/x").status, 404);
    assert_eq!(registry.get(&format!("manifests/{digest}")).status, 200);
    assert_eq!(registry.delete("manifests/x").status, 404);
}

/// "To delete a manifest, perform a DELETE request … `<digest>`"; "`202 Accepted`"; its tags go too.
#[test]
fn a_manifest_is_deleted_with_its_tags() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let digest = registry.push_image("x");
    let path = format!("manifests/{digest}");
    assert_eq!(registry.delete(&path).status, 202);
    assert_eq!(registry.get(&path).status, 404);
    assert_eq!(registry.get("manifests/x").status, 404);
    let again = registry.delete(&path);
    assert_eq!(again.status, 404, "{again:?}");
    assert_eq!(error_code(&again), "MANIFEST_UNKNOWN");
}

/// "To delete a blob … `202 Accepted`"; "If the blob is not found, … `404 Not Found`".
#[test]
fn a_blob_is_deleted() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let digest = registry.put_blob(b"short-lived");
    let path = format!("blobs/{digest}");
    assert_eq!(registry.delete(&path).status, 202);
    assert_eq!(registry.get(&path).status, 404);
    assert_eq!(registry.delete(&path).status, 404);
    assert_eq!(
        registry
            .delete(&format!("blobs/{}", sha256_digest(b"never")))
            .status,
        404
    );
    registry.put_blob(b"short-lived");
    assert_eq!(
        registry.get(&path).status,
        200,
        "what was deleted can be pushed again"
    );
}

/// A blob that a manifest needs is kept: the answer names the manifest.
#[test]
fn a_blob_in_use_is_kept() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let manifest = registry.push_image("x");
    let image = registry.get("manifests/x").json();
    let layer = image["layers"][0]["digest"]
        .as_str()
        .expect("a digest")
        .to_owned();
    let answer = registry.delete(&format!("blobs/{layer}"));
    assert_eq!(answer.status, 405, "{answer:?}");
    assert!(answer.text().contains(&manifest), "{answer:?}");
    assert_eq!(registry.get(&format!("blobs/{layer}")).status, 200);
}
