//! Collection beside everything else: nothing reachable is ever lost, and in
//! the end everything unreachable is free.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use hythe_oci::{Digest, Reference, RepositoryName};
use proptest::prelude::*;
use serde_json::json;

use super::{AsItWas, Chunk, Policy, PushManifest, RegistryError};
use crate::config::RulesConfig;
use crate::testing::{self, Keep, TestRegistry};

/// The strictest: nothing is spared for being young.
const NO_GRACE: Policy = Policy {
    grace: Duration::ZERO,
    untagged_manifests: true,
    upload_expire: Duration::ZERO,
    tag_history: Duration::ZERO,
};

/// Nothing is spared for being young, but what a tag named before is.
const WITH_HISTORY: Policy = Policy {
    tag_history: Duration::from_hours(1),
    ..NO_GRACE
};

fn complete_only() -> RulesConfig {
    RulesConfig {
        allow_sparse: false,
        ..testing::rules()
    }
}

fn body(content: &[u8]) -> Chunk {
    let content = Bytes::copy_from_slice(content);
    Chunk {
        first: None,
        size_bytes: Some(content.len() as u64),
        body: futures_util::stream::iter([Ok(content)]).boxed(),
    }
}

fn repository(number: u8) -> RepositoryName {
    format!("repo/{number}").parse().unwrap()
}

fn layer(number: u8) -> Vec<u8> {
    format!("layer {number}").into_bytes()
}

fn manifest(layers: &[u8]) -> Bytes {
    let descriptor = |content: &[u8]| {
        json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": Digest::of(content),
            "size": content.len(),
        })
    };
    let layers: Vec<_> = layers
        .iter()
        .map(|number| descriptor(&layer(*number)))
        .collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor(b"{}"),
        "layers": layers,
    });
    Bytes::from(manifest.to_string())
}

async fn push_layer(app: &TestRegistry, to: &RepositoryName, content: &[u8]) {
    let digest = Digest::of(content);
    app.registry
        .push_blob(to, &digest, body(content))
        .await
        .unwrap();
}

/// Whether the manifest was taken; it is not when the collector was quicker
/// than the push.
async fn push_manifest(app: &TestRegistry, to: &RepositoryName, tag: &str, layers: &[u8]) -> bool {
    let push = PushManifest {
        reference: Reference::Tag(tag.parse().unwrap()),
        tags: Vec::new(),
        content_type: None,
        pushed_by: String::new(),
        content: manifest(layers),
    };
    match app.registry.put_manifest(to, push).await {
        Ok(_) => true,
        Err(RegistryError::ManifestBlobUnknown(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Everything that a tag leads to is there, byte for byte.
async fn pulls(app: &TestRegistry, from: &RepositoryName, tag: &str, layers: &[u8]) {
    let reference: Reference = tag.parse().unwrap();
    let found = app.registry.get_manifest(from, &reference).await.unwrap();
    assert_eq!(found.content, manifest(layers));
    for number in layers {
        let content = layer(*number);
        let pulled = app.blob(from, &Digest::of(&content)).await.unwrap();
        assert_eq!(pulled, content);
    }
}

/// One thing that somebody does.
#[derive(Clone, Debug)]
enum Step {
    PushLayer {
        repository: u8,
        layer: u8,
    },
    Mount {
        repository: u8,
        layer: u8,
    },
    /// Layers first, then the manifest.
    PushImage {
        repository: u8,
        tag: u8,
        layers: Vec<u8>,
    },
    /// The manifest alone: refused when something is missing.
    PushManifest {
        repository: u8,
        tag: u8,
        layers: Vec<u8>,
    },
    DeleteTag {
        repository: u8,
        tag: u8,
    },
    DeleteManifest {
        repository: u8,
        tag: u8,
    },
    DeleteLayer {
        repository: u8,
        layer: u8,
    },
    StartUpload {
        repository: u8,
        layer: u8,
    },
    RestoreTag {
        repository: u8,
        tag: u8,
    },
    Collect,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let layers = || prop::collection::vec(0..6u8, 1..4);
    prop_oneof![
        2 => (0..3u8, 0..6u8).prop_map(|(repository, layer)| Step::PushLayer { repository, layer }),
        2 => (0..3u8, 0..6u8).prop_map(|(repository, layer)| Step::Mount { repository, layer }),
        4 => (0..3u8, 0..3u8, layers())
            .prop_map(|(repository, tag, layers)| Step::PushImage { repository, tag, layers }),
        2 => (0..3u8, 0..3u8, layers())
            .prop_map(|(repository, tag, layers)| Step::PushManifest { repository, tag, layers }),
        2 => (0..3u8, 0..3u8).prop_map(|(repository, tag)| Step::DeleteTag { repository, tag }),
        1 => (0..3u8, 0..3u8).prop_map(|(repository, tag)| Step::DeleteManifest { repository, tag }),
        2 => (0..3u8, 0..6u8).prop_map(|(repository, layer)| Step::DeleteLayer { repository, layer }),
        1 => (0..3u8, 0..6u8).prop_map(|(repository, layer)| Step::StartUpload { repository, layer }),
        2 => (0..3u8, 0..3u8).prop_map(|(repository, tag)| Step::RestoreTag { repository, tag }),
        4 => Just(Step::Collect),
        1 => Just(Step::Crash),
    ]
}

/// What must be pullable.
#[derive(Debug)]
struct Expected {
    policy: Policy,
    /// (repository, tag) to layers.
    tags: BTreeMap<(u8, u8), Vec<u8>>,
    /// What a tag of a repository named once.
    past: BTreeSet<(u8, Vec<u8>)>,
}

impl Expected {
    fn name(&mut self, tag: (u8, u8), layers: Vec<u8>) {
        let before = self.tags.insert(tag, layers);
        self.past.extend(before.map(|layers| (tag.0, layers)));
    }
}

#[expect(clippy::too_many_lines, reason = "one arm for each kind of step")]
async fn take(app: &mut TestRegistry, expected: &mut Expected, step: Step) {
    match step {
        Step::PushLayer {
            repository: at,
            layer: number,
        } => {
            push_layer(app, &repository(at), &layer(number)).await;
        }
        Step::Mount {
            repository: at,
            layer: number,
        } => {
            let digest = Digest::of(&layer(number));
            app.registry
                .mount_blob(&repository(at), &digest, None)
                .await
                .unwrap();
        }
        Step::PushImage {
            repository: at,
            tag,
            layers,
        } => {
            push_layer(app, &repository(at), b"{}").await;
            for number in &layers {
                push_layer(app, &repository(at), &layer(*number)).await;
            }
            assert!(push_manifest(app, &repository(at), &format!("t{tag}"), &layers).await);
            expected.name((at, tag), layers);
        }
        Step::PushManifest {
            repository: at,
            tag,
            layers,
        } => {
            if push_manifest(app, &repository(at), &format!("t{tag}"), &layers).await {
                expected.name((at, tag), layers);
            }
        }
        Step::DeleteLayer {
            repository: at,
            layer: number,
        } => {
            // Refused when it is in use, which is the point.
            let digest = Digest::of(&layer(number));
            drop(app.registry.delete_blob(&repository(at), &digest).await);
        }
        Step::DeleteTag {
            repository: at,
            tag,
        } => delete_tag(app, expected, at, tag).await,
        Step::DeleteManifest {
            repository: at,
            tag,
        } => {
            delete_manifest(app, expected, at, tag).await;
        }
        Step::StartUpload {
            repository: at,
            layer: number,
        } => {
            start_upload(app, &repository(at), &layer(number)).await;
        }
        Step::RestoreTag {
            repository: at,
            tag,
        } => restore_tag(app, expected, at, tag).await,
        Step::Collect => {
            app.registry.collect(expected.policy).await.unwrap();
        }
        Step::Crash => *app = app.reopened().await,
    }
}

async fn delete_tag(app: &TestRegistry, expected: &mut Expected, at: u8, tag: u8) {
    let reference = Reference::Tag(format!("t{tag}").parse().unwrap());
    let deleted = app
        .registry
        .delete_manifest(&repository(at), &reference, "")
        .await;
    let layers = expected.tags.remove(&(at, tag));
    assert_eq!(deleted.is_ok(), layers.is_some());
    expected.past.extend(layers.map(|layers| (at, layers)));
}

async fn delete_manifest(app: &TestRegistry, expected: &mut Expected, at: u8, tag: u8) {
    let Some(layers) = expected.tags.get(&(at, tag)).cloned() else {
        return;
    };
    let reference = Reference::Digest(Digest::of(&manifest(&layers)));
    app.registry
        .delete_manifest(&repository(at), &reference, "")
        .await
        .unwrap();
    let tags = &mut expected.tags;
    tags.retain(|(other, _), same| *other != at || *same != layers);
    expected.past.remove(&(at, layers));
}

/// As it was before its last move, if that is still there.
async fn restore_tag(app: &TestRegistry, expected: &mut Expected, at: u8, tag: u8) {
    let name = format!("t{tag}").parse().unwrap();
    let to = (&name, &AsItWas::Before);
    let Ok(digest) = app.registry.restore_tag(&repository(at), to, "").await else {
        return;
    };
    let reference = Reference::Digest(digest);
    let from = repository(at);
    let restored = app.registry.get_manifest(&from, &reference).await.unwrap();
    let restored: serde_json::Value = serde_json::from_slice(&restored.content).unwrap();
    let named = |number: &u8| Digest::of(&layer(*number)).to_string();
    let digests = restored["layers"].as_array().unwrap();
    let layers = digests.iter().map(|layer| {
        let mut numbers = 0..6u8;
        let is_it = |number: &u8| layer["digest"] == json!(named(number));
        numbers.find(is_it).unwrap()
    });
    expected.name((at, tag), layers.collect());
}

async fn start_upload(app: &TestRegistry, at: &RepositoryName, content: &[u8]) {
    let session = app.registry.start_upload(at, None).await.unwrap();
    app.registry
        .append_chunk(at, session.id, body(content))
        .await
        .unwrap();
}

async fn run(steps: Vec<Step>, policy: Policy) {
    let memory = (testing::memory(), Keep::default());
    let mut app = TestRegistry::on(testing::sqlite(), memory, complete_only()).await;
    let mut expected = Expected {
        policy,
        tags: BTreeMap::new(),
        past: BTreeSet::new(),
    };
    for step in steps {
        take(&mut app, &mut expected, step).await;
        for ((at, tag), layers) in &expected.tags {
            pulls(&app, &repository(*at), &format!("t{tag}"), layers).await;
        }
        if policy.tag_history > Duration::ZERO {
            for (at, layers) in &expected.past {
                let digest = Digest::of(&manifest(layers)).to_string();
                pulls(&app, &repository(*at), &digest, layers).await;
            }
        }
    }
    for (at, tag) in expected.tags.into_keys() {
        let reference = Reference::Tag(format!("t{tag}").parse().unwrap());
        app.registry
            .delete_manifest(&repository(at), &reference, "")
            .await
            .unwrap();
    }
    // What was finished in this very millisecond is not older than it.
    tokio::time::sleep(Duration::from_millis(3)).await;
    app.registry.collect(NO_GRACE).await.unwrap();
    tokio::time::sleep(Duration::from_millis(3)).await;
    app.registry.collect(NO_GRACE).await.unwrap();
    assert_eq!(app.stored_objects().await, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_things_loses_what_is_reachable(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(run(steps, NO_GRACE));
    }

    #[test]
    fn what_a_tag_named_is_kept_as_long_as_its_history(
        steps in prop::collection::vec(step(), 1..40)
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(run(steps, WITH_HISTORY));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pushes_and_collections_at_once_on_sqlite() {
    let memory = (testing::memory(), Keep::default());
    at_once(TestRegistry::on(testing::sqlite(), memory, complete_only()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pushes_and_collections_at_once_on_postgres() {
    let Some(database) = testing::postgres() else {
        eprintln!("PostgreSQL is not installed here; not tested on it");
        return;
    };
    let memory = (testing::memory(), Keep::default());
    at_once(TestRegistry::on(database, memory, complete_only()).await).await;
}

async fn at_once(app: TestRegistry) {
    let collecting = {
        let app = app.reopened().await;
        tokio::spawn(async move {
            loop {
                app.registry.collect(NO_GRACE).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    };
    let mut pushing = tokio::task::JoinSet::new();
    for client in 0..4u8 {
        let app = app.clone();
        pushing.spawn(async move {
            for round in 0..10u8 {
                push_until_taken(&app, client, round).await;
            }
        });
    }
    while let Some(pushed) = pushing.join_next().await {
        pushed.unwrap();
    }
    collecting.abort();
    for client in 0..4u8 {
        for round in 0..10u8 {
            let layers = [client, round % 3, 100];
            pulls(
                &app,
                &repository(client % 2),
                &format!("c{client}-{round}"),
                &layers,
            )
            .await;
        }
    }
}

/// As a client does: when the registry says that something is missing, it is
/// pushed again.
async fn push_until_taken(app: &TestRegistry, client: u8, round: u8) {
    let to = repository(client % 2);
    let layers = [client, round % 3, 100];
    let tag = format!("c{client}-{round}");
    for _ in 0..200 {
        push_layer(app, &to, b"{}").await;
        for number in layers {
            push_layer(app, &to, &layer(number)).await;
        }
        if push_manifest(app, &to, &tag, &layers).await {
            return pulls(app, &to, &tag, &layers).await;
        }
    }
    panic!("the collector was always quicker");
}
