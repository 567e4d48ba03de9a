//! `/api/v1/repositories` and the search: one set of images, the same answers on
//! every database.

use http::StatusCode;
use hythe_oci::Digest;
use serde_json::{Value, json};

use super::{Answer, TestApp, image, index};

const DESCRIPTION: &str = "org.opencontainers.image.description";

pub(super) async fn suite(app: &TestApp) {
    push_the_set(app).await;
    the_set_is_found(app).await;
    stars_count(app).await;
    the_newest_image_is_what_is_found(app).await;
    the_same_words_again(app).await;
    what_is_said_of_a_repository(app).await;
    an_old_image_is_described_later(app).await;
    repositories_are_told_of(app).await;
    tags_are_told_of(app).await;
    a_pull_is_remembered(app).await;
    what_is_used_is_counted(app).await;
    a_repository_is_deleted(app).await;
    what_is_wrong_is_said(app).await;
}

/// Pushes an image with labels in its config and annotations in its manifest.
async fn push(
    app: &TestApp,
    (name, reference): (&str, &str),
    labels: &Value,
    annotations: &Value,
) -> Digest {
    let config = json!({
        "os": "linux", "architecture": "arm64", "variant": "v8",
        "config": {"Labels": labels},
    });
    let config = config.to_string();
    let config_digest = app.push_blob(name, config.as_bytes()).await;
    let layer = app.push_blob(name, b"layer").await;
    let more = json!({ "annotations": annotations });
    let manifest = image(&config_digest, config.len(), &layer, 5, &more);
    let reference = match reference {
        "" => Digest::of(manifest.to_string().as_bytes()).to_string(),
        tag => tag.to_owned(),
    };
    app.push_manifest(name, &reference, &manifest).await
}

async fn push_the_set(app: &TestApp) {
    let none = json!({});
    for (name, labels, annotations) in [
        ("quokka", json!({}), json!({})),
        (
            "find/quokka",
            json!({}),
            json!({DESCRIPTION: "a small marsupial"}),
        ),
        (
            "find/quokka-cache",
            json!({"maintainer": "Zoë <zoe@example.org>"}),
            json!({}),
        ),
        (
            "find/tools/pelican",
            json!({"description": "carries quokkas over water"}),
            json!({}),
        ),
        (
            "find/wallaby",
            json!({"vendor": "Quokka Ltd"}),
            json!({"org.opencontainers.image.title": "hopper"}),
        ),
    ] {
        push(app, (name, "1"), &labels, &annotations).await;
    }
    // An index says what its images say.
    let labels = json!({"species": "numbat"});
    let child = push(app, ("find/many", ""), &labels, &none).await;
    let index = index(&[(&child, 400)]);
    app.push_manifest("find/many", "latest", &index).await;
}

async fn search(app: &TestApp, term: &str) -> Vec<String> {
    let query: String = url::form_urlencoded::byte_serialize(term.as_bytes()).collect();
    let answer = app.get(&format!("/v1/search?n=100&q={query}")).await;
    answer.is(StatusCode::OK);
    let results = answer.json()["results"].as_array().unwrap().clone();
    let names = results.iter().map(|found| found["name"].as_str().unwrap());
    names.map(str::to_owned).collect()
}

async fn the_set_is_found(app: &TestApp) {
    let all = [
        "quokka",
        "find/quokka",
        "find/quokka-cache",
        "find/tools/pelican",
        "find/wallaby",
    ];
    for (term, expected) in [
        // The name itself; in names, the shortest first; in descriptions; in labels.
        ("quokka", &all[..]),
        ("QUOK", &all),
        ("quokka*", &all),
        ("find/quokka", &all[1..]),
        ("cache quokka", &["find/quokka-cache"]),
        ("quokka-cache", &["find/quokka-cache"]),
        // No word, but a part of a name.
        ("uokk", &all[..3]),
        ("small  marsupial", &["find/quokka"]),
        ("marsupial large", &[]),
        ("zoë", &["find/quokka-cache"]),
        ("ZOË", &["find/quokka-cache"]),
        ("zo quokka", &["find/quokka-cache"]),
        ("zoe", &["find/quokka-cache"]),
        ("hopper", &["find/wallaby"]),
        ("vendor", &["find/wallaby"]),
        // Every image has such keys.
        ("opencontainers hopper", &[]),
        ("numbat", &["find/many"]),
        ("species", &["find/many"]),
        // What means something to a database is only itself.
        ("quokka OR numbat", &[]),
        ("quokka | numbat", &[]),
        ("name : quokka", &[]),
        ("NOT quokka", &[]),
        ("quokka' OR 1=1 --", &[]),
        ("\"quokka", &all),
        ("quokka:A & !numbat", &[]),
        ("NEAR(quokka", &[]),
        ("\\", &[]),
        ("\0", &[]),
    ] {
        assert_eq!(search(app, term).await, expected, "{term:?}");
    }
    let found = app.get("/v1/search?q=small+marsupial").await.json();
    assert_eq!(found["results"][0]["description"], "a small marsupial");
}

async fn stars_count(app: &TestApp) {
    let star = "/api/v1/repositories/find/wallaby/star";
    for _ in 0..2 {
        app.ask("PUT", star, &[], "")
            .await
            .is(StatusCode::NO_CONTENT);
    }
    let found = app.get("/v1/search?q=hopper").await.json();
    assert_eq!(found["results"][0]["star_count"], 1);
    // More stars before a better place of the word, but after the name.
    let expected = ["quokka", "find/wallaby", "find/quokka"];
    assert_eq!(search(app, "quokka").await[..3], expected);
    for _ in 0..2 {
        app.delete(star).await.is(StatusCode::NO_CONTENT);
    }
    let found = app.get("/v1/search?q=hopper").await.json();
    assert_eq!(found["results"][0]["star_count"], 0);
    app.ask("PUT", "/api/v1/repositories/find/nothing/star", &[], "")
        .await
        .is_error(StatusCode::NOT_FOUND, "NAME_UNKNOWN");
}

async fn the_newest_image_is_what_is_found(app: &TestApp) {
    let none = json!({});
    let newer = json!({"vendor": "Bilby Ltd"});
    push(app, ("find/wallaby", "2"), &newer, &none).await;
    assert!(search(app, "hopper").await.is_empty());
    assert_eq!(search(app, "bilby").await, ["find/wallaby"]);
    // `latest` is what counts, whatever is pushed after it.
    let latest = json!({"vendor": "Dingo Ltd"});
    let digest = push(app, ("find/wallaby", "latest"), &latest, &none).await;
    let newest = json!({"vendor": "Possum Ltd"});
    push(app, ("find/wallaby", "3"), &newest, &none).await;
    assert_eq!(search(app, "dingo").await, ["find/wallaby"]);
    assert!(search(app, "possum").await.is_empty());
    let tag = "/v2/find/wallaby/manifests/latest";
    app.delete(tag).await.is(StatusCode::ACCEPTED);
    assert!(search(app, "dingo").await.is_empty());
    assert_eq!(search(app, "possum").await, ["find/wallaby"]);
    app.push_manifest_again("find/wallaby", &digest, "latest")
        .await;
    assert_eq!(search(app, "dingo").await, ["find/wallaby"]);
    let manifest = format!("/v2/find/wallaby/manifests/{digest}");
    app.delete(&manifest).await.is(StatusCode::ACCEPTED);
    assert_eq!(search(app, "possum").await, ["find/wallaby"]);
}

/// Another image with the words of the newest one takes its place.
async fn the_same_words_again(app: &TestApp) {
    let name = "find/wallaby";
    let layer = app.push_blob(name, b"layer").await;
    let says = |vendor: &str, round: u32| {
        let more = json!({"annotations": {"vendor": vendor}, "round": round});
        image(&layer, 5, &layer, 5, &more)
    };
    let mut pushed = Vec::new();
    for (vendor, round) in [("Koala Ltd", 1), ("Koala Ltd", 2), ("Wombat Ltd", 3)] {
        let tag = round.to_string();
        let digest = app
            .push_manifest(name, &format!("again-{tag}"), &says(vendor, round))
            .await;
        pushed.push(digest);
        let word = vendor.trim_end_matches(" Ltd");
        assert_eq!(search(app, word).await, [name], "{round}");
    }
    assert!(search(app, "koala").await.is_empty());
    for (digest, word) in pushed.iter().rev().zip(["koala", "koala", "possum"]) {
        let manifest = format!("/v2/{name}/manifests/{digest}");
        app.delete(&manifest).await.is(StatusCode::ACCEPTED);
        assert_eq!(search(app, word).await, [name], "{word}");
    }
    assert!(search(app, "koala").await.is_empty());
}

async fn what_is_said_of_a_repository(app: &TestApp) {
    let uri = "/api/v1/repositories/find/tools/pelican";
    let said = json!({"description": "Now of emus; $1 'quoted'", "is_official": true});
    let answer = app.ask("PATCH", uri, &[], said.to_string()).await;
    answer.is(StatusCode::OK);
    assert_eq!(answer.json()["description"], said["description"]);
    assert_eq!(answer.json()["is_official"], true);
    assert_eq!(answer.json()["is_automated"], false);
    assert_eq!(search(app, "emus").await, ["find/tools/pelican"]);
    let found = app.get("/v1/search?q=emus").await.json();
    assert_eq!(found["results"][0]["is_official"], true);
    // A push does not take back what was said.
    let labels = json!({"description": "swims"});
    push(app, ("find/tools/pelican", "2"), &labels, &json!({})).await;
    assert_eq!(
        app.get(uri).await.json()["description"],
        said["description"]
    );
    assert_eq!(search(app, "swims emus").await, ["find/tools/pelican"]);
    let nothing = r#"{"description": "", "is_automated": true}"#;
    let answer = app.ask("PATCH", uri, &[], nothing).await;
    assert_eq!(answer.json()["description"], "swims");
    assert_eq!(answer.json()["is_official"], true);
    assert_eq!(answer.json()["is_automated"], true);
    assert!(search(app, "emus").await.is_empty());
}

async fn an_old_image_is_described_later(app: &TestApp) {
    let before = app.get("/api/v1/repositories/find/many/tags").await.json();
    app.registry.database().await.forget_facts().await.unwrap();
    assert!(search(app, "numbat").await.is_empty());
    app.registry.registry.describe_what_is_old().await.unwrap();
    assert_eq!(search(app, "numbat").await, ["find/many"]);
    let after = app.get("/api/v1/repositories/find/many/tags").await.json();
    assert_eq!(before, after);
}

async fn repositories_are_told_of(app: &TestApp) {
    let mut names = Vec::new();
    let mut next = Some("/api/v1/repositories?n=3".to_owned());
    while let Some(uri) = next {
        let answer = app.get(&uri).await;
        answer.is(StatusCode::OK);
        let page = answer.json()["repositories"].as_array().unwrap().clone();
        assert!((1..=3).contains(&page.len()));
        names.extend(
            page.iter()
                .map(|one| one["name"].as_str().unwrap().to_owned()),
        );
        next = next_page(&answer);
    }
    let catalog = app.get("/v2/_catalog").await.json();
    assert_eq!(json!(names), catalog["repositories"]);
    let one = app.get("/api/v1/repositories/find/wallaby").await.json();
    assert_eq!(one["tag_count"], 3);
    assert!(
        one["pushed_at"].as_str().unwrap().starts_with("20"),
        "{one}"
    );
    assert!(one["size_bytes"].as_u64().unwrap() > 500, "{one}");
    app.get("/api/v1/repositories/find/nothing")
        .await
        .is_error(StatusCode::NOT_FOUND, "NAME_UNKNOWN");
}

fn next_page(answer: &Answer) -> Option<String> {
    let link = answer.headers.get("link")?.to_str().unwrap();
    Some(link[1..].split('>').next().unwrap().to_owned())
}

async fn tags_are_told_of(app: &TestApp) {
    let uri = "/api/v1/repositories/find/many/tags";
    let tag = &app.get(uri).await.json()["tags"][0];
    assert_eq!(tag["name"], "latest");
    assert_eq!(tag["platforms"][0]["platform"], "linux/arm64/v8");
    assert_eq!(tag["platforms"].as_array().unwrap().len(), 1);
    let child = tag["platforms"][0]["size_bytes"].as_u64().unwrap();
    assert!(tag["size_bytes"].as_u64().unwrap() > child, "{tag}");
    let one = app.get(&format!("{uri}/latest")).await;
    assert_eq!(&one.json(), tag);
    let first = app.get("/api/v1/repositories/find/wallaby/tags?n=2").await;
    let names = |answer: &Answer| -> Vec<Value> {
        let tags = answer.json()["tags"].as_array().unwrap().clone();
        tags.iter().map(|tag| tag["name"].clone()).collect()
    };
    assert_eq!(names(&first), ["1", "2"]);
    let second = app.get(&next_page(&first).unwrap()).await;
    assert_eq!(names(&second), ["3"]);
    assert_eq!(second.json()["tags"][0]["pushed_by"], "anonymous");
    assert!(next_page(&second).is_none());
    app.get("/api/v1/repositories/find/wallaby/tags/none")
        .await
        .is_error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN");
    app.get("/api/v1/repositories/find/nothing/tags")
        .await
        .is_error(StatusCode::NOT_FOUND, "NAME_UNKNOWN");
}

async fn a_pull_is_remembered(app: &TestApp) {
    let uri = "/api/v1/repositories/quokka/tags/1";
    app.head("/v2/quokka/manifests/1").await.is(StatusCode::OK);
    app.registry.registry.write_pulls().await.unwrap();
    assert_eq!(app.get(uri).await.json()["last_pulled_at"], Value::Null);
    app.get("/v2/quokka/manifests/1").await.is(StatusCode::OK);
    app.registry.registry.write_pulls().await.unwrap();
    let tag = app.get(uri).await.json();
    let (pulled, pushed) = (&tag["last_pulled_at"], &tag["pushed_at"]);
    assert!(pulled.as_str() > pushed.as_str(), "{tag}");
    let repository = app.get("/api/v1/repositories/quokka").await.json();
    assert_eq!(repository["last_pulled_at"], *pulled);
}

/// The sum that the database keeps is what a count says, whatever came and went.
async fn what_is_used_is_counted(app: &TestApp) {
    let used = async || {
        let described = app.get("/api/v1/repositories/used").await.json();
        described["size_bytes"].as_u64().unwrap()
    };
    let config = app.push_blob("used", b"{}").await;
    let layer = app.push_blob("used", &[7; 1000]).await;
    let manifest = image(&config, 2, &layer, 1000, &json!({}));
    let size = manifest.to_string().len() as u64;
    let digest = app.push_manifest("used", "1", &manifest).await;
    assert_eq!(used().await, 1002 + size);
    // The same again is nothing new.
    app.push_blob("used", &[7; 1000]).await;
    app.push_manifest("used", "2", &manifest).await;
    assert_eq!(used().await, 1002 + size);
    let mount = format!(
        "/v2/used/blobs/uploads/?mount={}&from=quokka",
        Digest::of(b"layer")
    );
    app.ask("POST", &mount, &[], "")
        .await
        .is(StatusCode::CREATED);
    assert_eq!(used().await, 1007 + size);
    let blob = format!("/v2/used/blobs/{}", Digest::of(b"layer"));
    app.delete(&blob).await.is(StatusCode::ACCEPTED);
    assert_eq!(used().await, 1002 + size);
    let other = image(
        &config,
        2,
        &layer,
        1000,
        &json!({"annotations": {"a": "b"}}),
    );
    app.push_manifest("used", "3", &other).await;
    let gone = format!("/v2/used/manifests/{digest}");
    app.delete(&gone).await.is(StatusCode::ACCEPTED);
    assert_eq!(used().await, 1002 + other.to_string().len() as u64);
}

async fn a_repository_is_deleted(app: &TestApp) {
    let (labels, none) = (json!({"k": "thylacine"}), json!({}));
    let push = || push(app, ("find/gone", "1"), &labels, &none);
    push().await;
    let star = "/api/v1/repositories/find/gone/star";
    app.ask("PUT", star, &[], "")
        .await
        .is(StatusCode::NO_CONTENT);
    let upload = app
        .ask("POST", "/v2/find/gone/blobs/uploads/", &[], "")
        .await;
    upload.is(StatusCode::ACCEPTED);
    assert_eq!(search(app, "thylacine").await, ["find/gone"]);
    let uri = "/api/v1/repositories/find/gone";
    app.delete(uri).await.is(StatusCode::NO_CONTENT);
    app.delete(uri)
        .await
        .is_error(StatusCode::NOT_FOUND, "NAME_UNKNOWN");
    assert!(search(app, "thylacine").await.is_empty());
    app.get("/v2/find/gone/manifests/1")
        .await
        .is(StatusCode::NOT_FOUND);
    let session = upload.header("location").to_owned();
    app.get(&session).await.is(StatusCode::NOT_FOUND);
    // The next one of that name is a new one.
    push().await;
    assert_eq!(app.get(uri).await.json()["star_count"], 0);
    assert_eq!(search(app, "thylacine").await, ["find/gone"]);
}

async fn what_is_wrong_is_said(app: &TestApp) {
    let uri = "/api/v1/repositories/quokka";
    for body in ["", "[]", "{\"descriptio\": \"x\"}", "{\"is_official\": 1}"] {
        app.ask("PATCH", uri, &[], body)
            .await
            .is_error(StatusCode::BAD_REQUEST, "UNSUPPORTED");
    }
    let long = json!({"description": "x".repeat(10_001)}).to_string();
    app.ask("PATCH", uri, &[], long)
        .await
        .is_error(StatusCode::BAD_REQUEST, "SIZE_INVALID");
    let huge = json!({"description": "x".repeat(100_000)}).to_string();
    app.ask("PATCH", uri, &[], huge)
        .await
        .is_error(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID");
    app.get("/api/v1/repositories?n=x")
        .await
        .is(StatusCode::BAD_REQUEST);
    app.get("/api/v1/repositoriesx")
        .await
        .is(StatusCode::NOT_FOUND);
    app.ask("POST", uri, &[], "")
        .await
        .is_error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED");
}
