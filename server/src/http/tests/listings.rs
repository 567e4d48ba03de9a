//! Tags, referrers and repositories (end-8, end-12).

use http::StatusCode;
use hythe_oci::Digest;
use serde_json::{Value, json};

use super::{Answer, TestApp, image, index};

pub(super) async fn suite(app: &TestApp) {
    tags(app).await;
    repositories(app).await;
    search(app).await;
    referrers(app).await;
    referrers_of_nothing(app).await;
    referrers_from_a_fallback_tag(app).await;
    referrers_in_pages(app).await;
}

/// Follows the links from `uri` on and gathers what `pick` sees.
async fn pages(
    app: &TestApp,
    uri: &str,
    pick: impl Fn(&Answer) -> Vec<String>,
) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut next = Some(uri.to_owned());
    while let Some(uri) = next {
        let answer = app.get(&uri).await;
        answer.is(StatusCode::OK);
        pages.push(pick(&answer));
        next = answer.headers.get("link").map(|link| {
            let link = link.to_str().unwrap();
            assert!(link.ends_with(">; rel=\"next\""), "{link}");
            link[1..].split('>').next().unwrap().to_owned()
        });
    }
    pages
}

fn strings(answer: &Answer, field: &str) -> Vec<String> {
    let list = answer.json()[field].as_array().unwrap().clone();
    list.iter()
        .map(|value| value.as_str().unwrap().to_owned())
        .collect()
}

async fn tags(app: &TestApp) {
    for tag in ["b", "A", "a", "_", "1", "a.b", "Z", "a-b"] {
        app.push_image("list", tag, b"layer").await;
    }
    let sorted = ["1", "A", "Z", "_", "a", "a-b", "a.b", "b"];
    let all = app.get("/v2/list/tags/list").await;
    assert_eq!(strings(&all, "tags"), sorted);
    assert_eq!(all.json()["name"], "list");
    assert!(all.headers.get("link").is_none());
    for n in [1, 3, 7, 8, 100] {
        let uri = format!("/v2/list/tags/list?n={n}");
        let pages = pages(app, &uri, |answer| strings(answer, "tags")).await;
        let expected: Vec<&[&str]> = sorted.chunks(n).collect();
        assert_eq!(pages, expected, "{n}");
    }
    let none = app.get("/v2/list/tags/list?n=0").await;
    assert!(strings(&none, "tags").is_empty() && none.headers.get("link").is_none());
    // The last one need not exist.
    let after = app.get("/v2/list/tags/list?last=a0&n=1").await;
    assert_eq!(strings(&after, "tags"), ["b"]);
    assert!(strings(&app.get("/v2/list/tags/list?last=zzz").await, "tags").is_empty());
    app.get("/v2/list/tags/list?n=-1")
        .await
        .is(StatusCode::BAD_REQUEST);
    app.get("/v2/list/tags/list?n=x")
        .await
        .is(StatusCode::BAD_REQUEST);
    app.get("/v2/no/such/tags/list")
        .await
        .is_error(StatusCode::NOT_FOUND, "NAME_UNKNOWN");
}

async fn repositories(app: &TestApp) {
    for name in ["cat/b", "cat/a", "cat-1", "cat"] {
        app.push_image(name, "v1", b"layer").await;
    }
    app.push_blob("cat/without/manifest", b"blob").await;
    let all = pages(app, "/v2/_catalog?n=2", |answer| {
        strings(answer, "repositories")
    })
    .await;
    let all: Vec<String> = all
        .concat()
        .into_iter()
        .filter(|name| name.starts_with("cat"))
        .collect();
    assert_eq!(all, ["cat", "cat-1", "cat/a", "cat/b"]);
}

async fn referrer(app: &TestApp, repository: &str, subject: &Digest, more: &Value) -> Digest {
    let config = app.push_blob(repository, b"{}").await;
    let mut manifest = image(&config, 2, &config, 2, more);
    manifest["subject"] = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": subject, "size": 1,
    });
    let digest = Digest::of(manifest.to_string().as_bytes());
    app.push_manifest(repository, &digest.to_string(), &manifest)
        .await
}

async fn referrers(app: &TestApp) {
    let subject = app.push_image("ref", "subject", b"layer").await;
    let more = json!({"artifactType": "application/vnd.example.sbom", "annotations": {"k": "v"}});
    let sbom = referrer(app, "ref", &subject, &more).await;
    let plain = referrer(app, "ref", &subject, &json!({})).await;
    let uri = format!("/v2/ref/referrers/{subject}");
    let answer = app.get(&uri).await;
    answer.is(StatusCode::OK);
    assert_eq!(
        answer.header("content-type"),
        "application/vnd.oci.image.index.v1+json"
    );
    let body = answer.json();
    assert_eq!(body["schemaVersion"], 2);
    let manifests = body["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 2);
    let find = |digest: &Digest| {
        manifests
            .iter()
            .find(|entry| entry["digest"] == json!(digest))
            .unwrap()
    };
    assert_eq!(find(&sbom)["artifactType"], "application/vnd.example.sbom");
    assert_eq!(find(&sbom)["annotations"]["k"], "v");
    // An image without an artifact type has its config's.
    assert_eq!(
        find(&plain)["artifactType"],
        "application/vnd.oci.image.config.v1+json"
    );
    let filtered = app
        .get(&format!("{uri}?artifactType=application/vnd.example.sbom"))
        .await;
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    assert_eq!(filtered.json()["manifests"].as_array().unwrap().len(), 1);
    app.delete(&format!("/v2/ref/manifests/{sbom}"))
        .await
        .is(StatusCode::ACCEPTED);
    assert_eq!(
        app.get(&uri).await.json()["manifests"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

async fn referrers_of_nothing(app: &TestApp) {
    let unknown = Digest::of(b"unknown");
    for repository in ["ref", "never/pushed"] {
        let answer = app
            .get(&format!("/v2/{repository}/referrers/{unknown}"))
            .await;
        answer.is(StatusCode::OK);
        assert_eq!(answer.json()["manifests"], json!([]));
    }
    app.get("/v2/ref/referrers/sha256:beef")
        .await
        .is(StatusCode::BAD_REQUEST);
}

async fn referrers_from_a_fallback_tag(app: &TestApp) {
    let subject = app.push_image("ref/old", "subject", b"layer").await;
    let signature = app.push_image("ref/old", "signature", b"signature").await;
    let gone = Digest::of(b"gone");
    let tag = subject.to_string().replace(':', "-");
    app.push_manifest("ref/old", &tag, &index(&[(&signature, 400), (&gone, 400)]))
        .await;
    let answer = app.get(&format!("/v2/ref/old/referrers/{subject}")).await;
    let manifests = answer.json()["manifests"].clone();
    assert_eq!(manifests.as_array().unwrap().len(), 1, "{manifests}");
    assert_eq!(manifests[0]["digest"], signature.to_string());
}

async fn referrers_in_pages(app: &TestApp) {
    let subject = app.push_image("ref/many", "subject", b"layer").await;
    let mut pushed = Vec::new();
    for n in 0..5 {
        let large = "x".repeat(1_000_000);
        let more = json!({"annotations": {"n": n.to_string(), "large": large}});
        pushed.push(referrer(app, "ref/many", &subject, &more).await.to_string());
    }
    pushed.sort();
    let uri = format!("/v2/ref/many/referrers/{subject}");
    let pages = pages(app, &uri, |answer| {
        assert!(answer.body.len() < 4 * 1024 * 1024);
        let manifests = answer.json()["manifests"].as_array().unwrap().clone();
        manifests
            .iter()
            .map(|entry| entry["digest"].as_str().unwrap().to_owned())
            .collect()
    })
    .await;
    assert!(pages.len() > 1);
    assert_eq!(pages.concat(), pushed);
}

async fn search(app: &TestApp) {
    for name in ["wanted", "team/wanted-cache", "team/other", "a/wanted"] {
        app.push_image(name, "1", b"layer").await;
    }
    let described = json!({
        "annotations": {"org.opencontainers.image.description": "what it is"},
    });
    let layer = app.push_blob("wanted", b"layer").await;
    let config = app.push_blob("wanted", b"{}").await;
    let manifest = image(&config, 2, &layer, 5, &described);
    app.push_manifest("wanted", "latest", &manifest).await;
    let names = |answer: &Answer| -> Vec<String> {
        let results = answer.json()["results"].as_array().unwrap().clone();
        let names = results.iter().map(|found| found["name"].as_str().unwrap());
        names.map(str::to_owned).collect()
    };
    for (query, expected) in [
        ("q=wanted", &["wanted", "a/wanted", "team/wanted-cache"][..]),
        ("q=WANTED&n=1", &["wanted"]),
        ("q=wanted&n=1&page=2", &["a/wanted"]),
        ("q=wanted&page=9", &[]),
        // What means something in a pattern of SQL is only itself.
        ("q=wan%25d", &[]),
        ("q=want_d", &[]),
        ("q=!", &[]),
        ("q='", &[]),
    ] {
        let answer = app.get(&format!("/v1/search?{query}")).await;
        answer.is(StatusCode::OK);
        assert_eq!(names(&answer), expected, "{query}");
    }
    let found = app.get("/v1/search?q=wanted&n=1").await.json();
    assert_eq!(found["results"][0]["description"], "what it is");
    assert_eq!(found["num_results"], 1);
    app.get("/v1/search?q=x&n=many")
        .await
        .is(StatusCode::BAD_REQUEST);
    app.get("/v1/_ping").await.is(StatusCode::OK);
}
