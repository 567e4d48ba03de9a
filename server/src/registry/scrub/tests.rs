use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::StreamExt as _;
use hythe_oci::Reference;
use serde_json::json;

use super::*;
use crate::config::{ReplicaConfig, RulesConfig, StorageConfig};
use crate::registry::{Chunk, Mounted, PushManifest};
use crate::testing::{self, TestRegistry};

const LAYER: &[u8] = b"a layer of many bytes";
const CONFIG: &[u8] = b"{}";

fn name(name: &str) -> RepositoryName {
    name.parse().unwrap()
}

async fn push(app: &TestRegistry, to: &str, content: &'static [u8]) {
    let chunk = Chunk {
        first: None,
        size_bytes: Some(content.len() as u64),
        body: futures_util::stream::iter([Ok(Bytes::from_static(content))]).boxed(),
    };
    let digest = Digest::of(content);
    let pushed = app.registry.push_blob(&name(to), &digest, chunk).await;
    pushed.unwrap();
}

async fn tag(app: &TestRegistry, to: &str, tag: &str) -> Result<(), RegistryError> {
    let descriptor = |content: &[u8]| {
        json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": Digest::of(content),
            "size": content.len(),
        })
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor(CONFIG),
        "layers": [descriptor(LAYER)],
    });
    let push = PushManifest {
        reference: Reference::Tag(tag.parse().unwrap()),
        tags: Vec::new(),
        content_type: None,
        pushed_by: String::new(),
        content: Bytes::from(manifest.to_string()),
    };
    app.registry.put_manifest(&name(to), push).await.map(drop)
}

async fn pulled(app: &TestRegistry, from: &str, content: &[u8]) -> Result<Bytes, String> {
    let digest = Digest::of(content);
    let content = app.blob(&name(from), &digest).await;
    content.map_err(|error| error.to_string())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// The one file in the store whose content this is.
fn file_of(storage: &StorageConfig, content: &[u8]) -> PathBuf {
    let blobs = storage.url.to_file_path().unwrap().join("blobs");
    let mut files = files(&blobs).into_iter();
    files
        .find(|path| std::fs::read(path).unwrap() == content)
        .unwrap()
}

/// As a disk does it.
fn flip_a_bit(storage: &StorageConfig, content: &[u8]) {
    let path = file_of(storage, content);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[3] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn rules() -> RulesConfig {
    RulesConfig {
        allow_sparse: false,
        ..testing::rules()
    }
}

async fn with_an_image() -> (TestRegistry, StorageConfig) {
    with_an_image_on(testing::sqlite()).await
}

async fn with_an_image_on(
    database: (crate::config::DatabaseConfig, testing::Keep),
) -> (TestRegistry, StorageConfig) {
    let (storage, kept) = testing::disk();
    let app = TestRegistry::on(database, (storage.clone(), kept), rules()).await;
    for content in [CONFIG, LAYER] {
        push(&app, "team/web", content).await;
    }
    tag(&app, "team/web", "1").await.unwrap();
    tag(&app, "team/web", "latest").await.unwrap();
    (app, storage)
}

fn scrubber(app: &TestRegistry, replica: Option<Replica>) -> Scrubber {
    Scrubber::new(app.registry.clone(), replica, u64::MAX)
}

#[tokio::test]
async fn what_went_bad_is_found_hidden_named_and_repaired_by_a_push() {
    let (app, storage) = with_an_image().await;
    goes_bad_and_is_repaired(&app, &storage).await;
}

#[tokio::test]
async fn what_went_bad_is_repaired_on_postgres_too() {
    let Some(database) = testing::postgres() else {
        eprintln!("PostgreSQL is not installed here; not tested on it");
        return;
    };
    let (app, storage) = with_an_image_on(database).await;
    goes_bad_and_is_repaired(&app, &storage).await;
    let policy = crate::registry::Policy {
        grace: Duration::ZERO,
        untagged_manifests: true,
        upload_expire: Duration::ZERO,
        tag_history: Duration::ZERO,
    };
    assert_eq!(app.registry.compare(policy).await.unwrap(), []);
    app.registry.explain(policy, true).await.unwrap();
}

async fn goes_bad_and_is_repaired(app: &TestRegistry, storage: &StorageConfig) {
    let fine = scrubber(app, None).everything().await.unwrap();
    assert_eq!((fine.blobs, fine.bad.len()), (2, 0));
    flip_a_bit(storage, LAYER);

    let found = scrubber(app, None).everything().await.unwrap();
    let [bad] = found.bad.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(bad.digest, Digest::of(LAYER));
    assert_eq!(bad.remedy, Remedy::Quarantined);
    assert!(bad.reason.contains("digest sha256:"), "{}", bad.reason);
    let hurt = Hurt {
        repository: name("team/web"),
        tags: vec!["1".to_owned(), "latest".to_owned()],
    };
    assert_eq!(bad.hurts, [hurt]);

    let refused = pulled(app, "team/web", LAYER).await.unwrap_err();
    assert!(refused.contains("push it again"), "{refused}");
    let head = app.registry.head_blob(&name("team/web"), &bad.digest).await;
    assert!(matches!(head, Err(RegistryError::BlobQuarantined(_))));
    let mounted = app.registry.mount_blob(&name("b"), &bad.digest, None).await;
    assert_eq!(mounted.unwrap(), Mounted::No);
    let lacking = tag(app, "team/web", "2").await;
    assert!(matches!(
        lacking,
        Err(RegistryError::ManifestBlobUnknown(_))
    ));

    push(app, "team/web", LAYER).await;
    assert_eq!(pulled(app, "team/web", LAYER).await.unwrap(), LAYER);
    tag(app, "team/web", "2").await.unwrap();
    let again = scrubber(app, None).everything().await.unwrap();
    assert_eq!(again.bad, []);
}

#[tokio::test]
async fn what_is_missing_or_short_is_wrong_and_may_come_back() {
    let (app, storage) = with_an_image().await;
    let path = file_of(&storage, LAYER);
    std::fs::write(&path, &LAYER[..5]).unwrap();
    let short = scrubber(&app, None).everything().await.unwrap();
    assert_eq!(short.bad.len(), 1, "{short:?}");
    std::fs::remove_file(&path).unwrap();
    let missing = scrubber(&app, None).everything().await.unwrap();
    assert!(missing.bad[0].reason.contains("missing"), "{missing:?}");
    std::fs::write(&path, LAYER).unwrap();
    let back = scrubber(&app, None).everything().await.unwrap();
    assert_eq!((back.released, back.bad.len()), (1, 0));
    assert_eq!(pulled(&app, "team/web", LAYER).await.unwrap(), LAYER);
}

#[tokio::test]
async fn a_store_that_is_gone_makes_nothing_wrong() {
    let (app, storage) = with_an_image().await;
    let root = storage.url.to_file_path().unwrap();
    let away = root.with_extension("away");
    std::fs::rename(&root, &away).unwrap();
    assert!(scrubber(&app, None).everything().await.is_err());
    std::fs::rename(&away, &root).unwrap();
    assert_eq!(pulled(&app, "team/web", LAYER).await.unwrap(), LAYER);
}

#[tokio::test]
async fn a_copy_of_the_store_repairs() {
    let (app, storage) = with_an_image().await;
    let root = storage.url.to_file_path().unwrap();
    let copy = tempfile::tempdir().unwrap();
    for path in files(&root.join("blobs")) {
        let target = copy.path().join(path.strip_prefix(&root).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(path, target).unwrap();
    }
    let replica = Replica::open(&ReplicaConfig::Store(StorageConfig {
        url: url::Url::from_file_path(copy.path()).unwrap(),
        options: std::collections::BTreeMap::new(),
    }))
    .unwrap();
    flip_a_bit(&storage, LAYER);
    let repaired = scrubber(&app, Some(replica)).everything().await.unwrap();
    assert_eq!(repaired.bad[0].remedy, Remedy::Repaired);
    assert_eq!(pulled(&app, "team/web", LAYER).await.unwrap(), LAYER);
    // The copy is bad as well now: nothing wrong is taken from it.
    flip_a_bit(&storage, LAYER);
    for path in files(copy.path()) {
        std::fs::write(path, b"a layer of other bytes").unwrap();
    }
    let replica = Replica::open(&ReplicaConfig::Store(StorageConfig {
        url: url::Url::from_file_path(copy.path()).unwrap(),
        options: std::collections::BTreeMap::new(),
    }))
    .unwrap();
    let found = scrubber(&app, Some(replica)).everything().await.unwrap();
    assert_eq!(found.bad[0].remedy, Remedy::Quarantined);
}

#[tokio::test]
async fn a_pass_goes_on_where_it_was() {
    let (app, _storage) = with_an_image().await;
    goes_on(&app).await;
}

#[tokio::test]
async fn a_pass_goes_on_where_it_was_on_postgres() {
    let Some(database) = testing::postgres() else {
        eprintln!("PostgreSQL is not installed here; not tested on it");
        return;
    };
    let app = TestRegistry::on(database, testing::disk(), rules()).await;
    for content in [CONFIG, LAYER] {
        push(&app, "team/web", content).await;
    }
    goes_on(&app).await;
}

async fn goes_on(app: &TestRegistry) {
    let day = Duration::from_hours(24);
    let mut first = scrubber(app, None);
    assert!(matches!(first.turn(day).await.unwrap(), Turn::Went(_)));
    // Another process waits for the lease.
    let other = app.reopened().await;
    let mut second = scrubber(&other, None);
    assert!(matches!(second.turn(day).await.unwrap(), Turn::Waiting));
    // The first one restarts: one blob is left of the two.
    second.owner.clone_from(&first.owner);
    assert!(matches!(second.turn(day).await.unwrap(), Turn::Went(_)));
    assert!(matches!(second.turn(day).await.unwrap(), Turn::Finished));
    assert!(matches!(second.turn(day).await.unwrap(), Turn::Waiting));
    assert!(matches!(
        first.turn(Duration::ZERO).await.unwrap(),
        Turn::Went(_)
    ));
}

#[tokio::test]
async fn nothing_is_read_faster_than_allowed() {
    let started = Instant::now();
    let mut pace = Pace::new(5_000);
    for _ in 0..5 {
        pace.spend(100).await;
    }
    assert!(started.elapsed() >= Duration::from_millis(100));
}
