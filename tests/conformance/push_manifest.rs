//! "Pushing Manifests": by tag and by digest, kept to the byte, refused when something is wrong.

use hythe_tests::{Host, sha256_digest};
use serde_json::json;

use super::registry::{CONFIG, INDEX, LAYER, MANIFEST, Registry, describe, error_code};

/// "Upon a successful upload, the registry MUST return response code `201 Created`, and MUST have
/// the following header: `Location`", a pullable manifest URL.
#[test]
fn a_manifest_is_stored_to_the_byte() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let image = registry.image("x");
    // White space, order and unknown fields are the client's.
    let text = format!(
        "{{\n  \"own\": [1, 2.50, \"\\u00e9\"],\n{}",
        &serde_json::to_string_pretty(&image).expect("JSON")[1..]
    );
    let content_type = format!("Content-Type: {MANIFEST}");
    let answer = registry.ask(
        "PUT",
        "manifests/x",
        &[&content_type],
        Some(text.as_bytes()),
    );
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(
        answer.headers["docker-content-digest"],
        sha256_digest(text.as_bytes())
    );
    for path in ["manifests/x", &answer.headers["location"]] {
        assert_eq!(registry.get(path).text(), text);
    }
}

/// "the registry MUST store the manifest in the exact byte representation provided"; by digest it
/// must have that digest.
#[test]
fn a_manifest_with_another_digest_is_refused() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let image = registry.image("x");
    let answer = registry.put_manifest(&sha256_digest(b"something else"), &image);
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(error_code(&answer), "DIGEST_INVALID");
    let digest = sha256_digest(image.to_string().as_bytes());
    assert_eq!(registry.put_manifest(&digest, &image).status, 201);
    assert_eq!(
        registry
            .put_manifest("sha256:baddigeststring", &image)
            .status,
        400
    );
}

/// "A registry MAY reject a manifest … if it references blobs that do not exist": it says which.
#[test]
fn a_manifest_without_its_blobs_is_refused() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let mut image = registry.image("x");
    let missing = sha256_digest(b"missing");
    image["layers"][0]["digest"] = json!(missing);
    let answer = registry.put_manifest("x", &image);
    assert_eq!(answer.status, 404, "{answer:?}");
    assert_eq!(error_code(&answer), "MANIFEST_BLOB_UNKNOWN");
    assert!(answer.text().contains(&missing), "{answer:?}");
    assert_eq!(registry.get("manifests/x").status, 404);
}

/// Layers that may not be distributed need not be there.
#[test]
fn foreign_layers_are_not_asked_for() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let mut image = registry.image("x");
    image["layers"][0] = json!({
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "digest": sha256_digest(b"elsewhere"),
        "size": 9,
        "urls": ["https://example.com/layer"],
    });
    assert_eq!(registry.put_manifest("x", &image).status, 201);
}

#[test]
fn what_is_no_manifest_is_refused() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let content_type = format!("Content-Type: {MANIFEST}");
    let schema1 = "Content-Type: application/vnd.docker.distribution.manifest.v1+prettyjws";
    for (content_type, body) in [
        (content_type.as_str(), "not JSON"),
        (&content_type, "{}"),
        (
            &content_type,
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
        ),
        (schema1, r#"{"schemaVersion":1,"name":"x","fsLayers":[]}"#),
        ("Content-Type: text/plain", r#"{"schemaVersion":2}"#),
    ] {
        let answer = registry.ask("PUT", "manifests/x", &[content_type], Some(body.as_bytes()));
        assert_eq!(answer.status, 400, "{content_type} {body}: {answer:?}");
        assert_eq!(error_code(&answer), "MANIFEST_INVALID");
    }
}

/// "The registry SHOULD … 4 megabytes"; a larger one is `413`.
#[test]
fn large_manifests_fit_and_too_large_ones_do_not() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let mut image = registry.image("x");
    for number in 0..390 {
        image["annotations"][format!("key{number}")] = json!("v".repeat(10_000));
    }
    assert_eq!(registry.put_manifest("large", &image).status, 201);
    image["annotations"]["last"] = json!("v".repeat(400_000));
    let answer = registry.put_manifest("larger", &image);
    assert_eq!(answer.status, 413, "{answer:?}");
}

/// Indexes, nested ones and empty ones, and images and artifacts of every shape.
#[test]
fn every_shape_of_manifest_is_taken() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let image = registry.image("x");
    assert_eq!(
        registry
            .put_manifest(describe(&image)["digest"].as_str().expect("one"), &image)
            .status,
        201
    );
    let empty = registry.descriptor("application/vnd.oci.empty.v1+json", b"{}");
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [describe(&image)]});
    let shapes = [
        ("index", index.clone()),
        (
            "nested",
            json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [describe(&index)]}),
        ),
        (
            "empty",
            json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}),
        ),
        (
            "artifact",
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/x", "config": empty, "layers": [empty]}),
        ),
        (
            "no-layers",
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": registry.descriptor(CONFIG, b"{\"a\":1}"), "layers": []}),
        ),
        (
            "docker",
            json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                "config": registry.descriptor("application/vnd.docker.container.image.v1+json", b"{\"b\":1}"),
                "layers": [registry.descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", LAYER.as_bytes())],
            }),
        ),
    ];
    for (tag, manifest) in shapes {
        let answer = registry.put_manifest(tag, &manifest);
        assert_eq!(answer.status, 201, "{tag}: {answer:?}");
        let back = registry.get(&format!("manifests/{tag}"));
        assert_eq!(back.text(), manifest.to_string());
        assert_eq!(
            Some(back.headers["content-type"].as_str()),
            manifest["mediaType"].as_str()
        );
    }
}

/// A tag moves; what it was stays readable by digest.
#[test]
fn a_tag_moves() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let first = registry.push_image("x");
    let second = registry.image("another");
    assert_eq!(registry.put_manifest("x", &second).status, 201);
    assert_eq!(registry.get("manifests/x").text(), second.to_string());
    assert_eq!(registry.get(&format!("manifests/{first}")).status, 200);
}

/// end-7b: "`?tag=`" repeated tags what is pushed by digest; `OCI-Tag` says which.
#[test]
fn several_tags_in_one_push() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let image = registry.image("x");
    let digest = sha256_digest(image.to_string().as_bytes());
    let answer = registry.put_manifest(&format!("{digest}?tag=one&tag=two"), &image);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(answer.headers.contains_key("oci-tag"), "{answer:?}");
    for tag in ["one", "two"] {
        assert_eq!(
            registry.get(&format!("manifests/{tag}")).status,
            200,
            "{tag}"
        );
    }
}
