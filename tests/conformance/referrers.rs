//! "Listing Referrers" and manifests with a subject.

use hythe_tests::{Host, sha256_digest};
use serde_json::{Value, json};

use super::registry::{INDEX, MANIFEST, Registry, describe};

fn artifact(registry: &Registry<'_>, subject: &Value, kind: &str) -> Value {
    let empty = registry.descriptor("application/vnd.oci.empty.v1+json", b"{}");
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": kind,
        "config": empty,
        "layers": [empty],
        "subject": subject,
        "annotations": {"org.example.kind": kind},
    })
}

/// "If … the manifest has a `subject` … the registry MUST set the response header `OCI-Subject`."
/// "the response MUST be … an image index … descriptors"; each has `artifactType` and annotations.
#[test]
fn referrers_are_listed_with_their_types_and_annotations() {
    let host = Host::new();
    let registry = Registry::start(&host);
    registry.push_image("x");
    let subject = describe(&registry.image("x"));
    let digest = subject["digest"].as_str().expect("a digest").to_owned();
    for kind in ["application/x", "application/y"] {
        let manifest = artifact(&registry, &subject, kind);
        let reference = describe(&manifest)["digest"]
            .as_str()
            .expect("a digest")
            .to_owned();
        let answer = registry.put_manifest(&reference, &manifest);
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.headers["oci-subject"], digest);
    }
    let list = registry.get(&format!("referrers/{digest}"));
    assert_eq!(
        (list.status, list.headers["content-type"].as_str()),
        (200, INDEX)
    );
    let body = list.json();
    assert_eq!(body["schemaVersion"], 2);
    assert_eq!(body["mediaType"], INDEX);
    assert_eq!(body["manifests"].as_array().map(Vec::len), Some(2));
    for entry in body["manifests"].as_array().expect("a list") {
        assert_eq!(
            entry["annotations"]["org.example.kind"],
            entry["artifactType"]
        );
        let pulled = registry.get(&format!(
            "manifests/{}",
            entry["digest"].as_str().expect("one")
        ));
        assert_eq!(json!(pulled.body.len()), entry["size"]);
    }

    // "the registry MUST set the header `OCI-Filters-Applied: artifactType`" when it filtered.
    let one = registry.get(&format!("referrers/{digest}?artifactType=application/y"));
    assert_eq!(one.headers["oci-filters-applied"], "artifactType");
    assert_eq!(one.json()["manifests"].as_array().map(Vec::len), Some(1));
    assert_eq!(one.json()["manifests"][0]["artifactType"], "application/y");
}

/// "If the … query results in no matching referrers, an empty manifest list MUST be returned";
/// a subject need not exist.
#[test]
fn a_missing_subject_has_referrers_or_none() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let missing = sha256_digest(b"missing");
    for path in [
        format!("referrers/{missing}"),
        format!("/v2/no/where/referrers/{missing}"),
    ] {
        let answer = registry.get(&path);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["manifests"], json!([]));
    }
    let subject = json!({"mediaType": MANIFEST, "digest": missing, "size": 7});
    let manifest = artifact(&registry, &subject, "application/x");
    assert_eq!(registry.put_manifest("early", &manifest).status, 201);
    let answer = registry.get(&format!("referrers/{missing}"));
    assert_eq!(answer.json()["manifests"].as_array().map(Vec::len), Some(1));
    assert_eq!(registry.get("referrers/sha256:short").status, 400);
}

/// An image's type is its config's media type, an index has none unless it says one.
#[test]
fn types_fall_back_as_the_specification_says() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let subject = json!({"mediaType": MANIFEST, "digest": sha256_digest(b"s"), "size": 1});
    let mut image = registry.image("x");
    image["subject"] = subject.clone();
    let index =
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "subject": subject});
    assert_eq!(registry.put_manifest("image", &image).status, 201);
    assert_eq!(registry.put_manifest("index", &index).status, 201);
    let list = registry
        .get(&format!("referrers/{}", sha256_digest(b"s")))
        .json();
    for entry in list["manifests"].as_array().expect("a list") {
        if entry["mediaType"] == INDEX {
            assert_eq!(entry.get("artifactType"), None, "{entry}");
        } else {
            assert_eq!(
                entry["artifactType"],
                "application/vnd.oci.image.config.v1+json"
            );
        }
    }
    assert_eq!(list["manifests"].as_array().map(Vec::len), Some(2));
}

/// A referrer that is deleted is no longer listed.
#[test]
fn a_deleted_referrer_is_gone() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let subject = json!({"mediaType": MANIFEST, "digest": sha256_digest(b"s"), "size": 1});
    let manifest = artifact(&registry, &subject, "application/x");
    let digest = describe(&manifest)["digest"]
        .as_str()
        .expect("a digest")
        .to_owned();
    assert_eq!(registry.put_manifest(&digest, &manifest).status, 201);
    assert_eq!(registry.delete(&format!("manifests/{digest}")).status, 202);
    let list = registry
        .get(&format!("referrers/{}", sha256_digest(b"s")))
        .json();
    assert_eq!(list["manifests"], json!([]));
}
