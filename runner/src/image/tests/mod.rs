//! The store against a registry: what arrives, what stays behind when something goes wrong, and
//! what a restart finds. They need root, as unpacking does.

mod archives;
mod distribution;
mod podman;
mod registry;

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::Ordering;

use hythe_oci::client::{ClientConfig, Credentials};
use hythe_oci::{DiffId, Digest, ImageId, ImageReference, media_type};
use registry::Registry;
use tokio::sync::mpsc;

use super::*;
use crate::spec::ContainerId;
use crate::store::Survives;

/// A store in a directory of its own.
struct Ground {
    dir: tempfile::TempDir,
    store: ImageStore,
}

fn options(root: &Path) -> ImageOptions {
    ImageOptions {
        root: root.join("image"),
        concurrent_downloads: 3,
        concurrent_uploads: 3,
        limits: unpack::Limits::default(),
        neighbour: None,
        default_registry: "docker.io".to_owned(),
    }
}

async fn open(root: &Path) -> ImageStore {
    let client = Client::new(ClientConfig::default()).unwrap();
    ImageStore::open(options(root), client).await.unwrap()
}

impl Ground {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        Self { dir, store }
    }

    /// Makes the snapshot of a container that stays.
    async fn snapshot(&self, container: &ContainerId, image: &ImageId) -> Snapshot {
        let survives = Survives::PowerLoss;
        let made = self.store.create_snapshot(container, image, survives);
        made.await.unwrap()
    }

    /// The agent dies and comes back.
    async fn reopen(self) -> Self {
        let Self { dir, store } = self;
        drop(store);
        let store = open(dir.path()).await;
        Self { dir, store }
    }

    async fn pull(&self, registry: &Registry, name: &str) -> Result<Pulled, ImageError> {
        let request = PullRequest {
            reference: reference(registry, name),
            platform: None,
            credentials: Credentials::None,
        };
        self.store.pull(request, ProgressSender::silent()).await
    }

    async fn remove(&self, target: &str, force: bool) -> Result<Vec<Removed>, ImageError> {
        let request = RemoveRequest {
            target: target.to_owned(),
            force,
            keep_parents: false,
            uses: Vec::new(),
        };
        self.store.remove(request).await
    }

    /// How many blobs, layers, and anything unfinished there are.
    fn remains(&self) -> (usize, usize, usize) {
        let count = |dirs: &[&str]| {
            let dirs = dirs
                .iter()
                .map(|dir| self.dir.path().join("image").join(dir));
            dirs.map(|dir| std::fs::read_dir(dir).unwrap().count())
                .sum()
        };
        (
            count(&["blobs/sha256"]),
            count(&["layers/sha256"]),
            count(&["ingest", "unpacking", "removing"]),
        )
    }
}

fn reference(registry: &Registry, name: &str) -> ImageReference {
    ImageReference::parse(&format!("{}/{name}", registry.host), "docker.io").unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = hythe_oci::compression::gzip_encoder(Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A layer with one file.
fn layer_tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, content).unwrap();
    tar.into_inner().unwrap()
}

/// Bytes that do not compress, the same for the same seed.
fn noise(seed: u64, n_bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[5]
    };
    (0..n_bytes).map(next).collect()
}

/// What is put into a registry as an image; `wrong_diff_id` makes its config lie.
#[derive(Clone, Default)]
struct Built {
    layers: Vec<Vec<u8>>,
    comment: &'static str,
    wrong_diff_id: bool,
}

impl Built {
    fn of(layers: &[Vec<u8>]) -> Self {
        Self {
            layers: layers.to_vec(),
            ..Self::default()
        }
    }

    fn push_to(&self, registry: &Registry, repository: &str, tag: &str) -> Digest {
        let mut descriptors = Vec::new();
        let mut diff_ids = Vec::new();
        for layer in &self.layers {
            let (digest, size_bytes) = registry.put_blob(repository, gzip(layer));
            let media_type = media_type::OCI_LAYER_GZIP;
            descriptors.push(format!(
                r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size_bytes}}}"#
            ));
            let lie = self.wrong_diff_id.then(|| b"lie".to_vec());
            diff_ids.push(format!("\"{}\"", Digest::of(lie.as_ref().unwrap_or(layer))));
        }
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","comment":"{}","config":{{"Cmd":["/x"]}},"rootfs":{{"type":"layers","diff_ids":[{}]}},"history":[{{"created_by":"one"}},{{"created_by":"none","empty_layer":true}}]}}"#,
            self.comment,
            diff_ids.join(",")
        );
        let (digest, size_bytes) = registry.put_blob(repository, config);
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{digest}","size":{size_bytes}}},"layers":[{}]}}"#,
            media_type::OCI_MANIFEST,
            media_type::OCI_CONFIG,
            descriptors.join(",")
        );
        registry.put_manifest(repository, tag, media_type::OCI_MANIFEST, manifest)
    }
}

fn drain(mut news: mpsc::Receiver<Progress>) -> Vec<Progress> {
    let mut seen = Vec::new();
    while let Ok(progress) = news.try_recv() {
        seen.push(progress);
    }
    seen
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

const WHOLE_STORY: [LayerProgress; 4] = [
    LayerProgress::PullingFsLayer,
    LayerProgress::VerifyingChecksum,
    LayerProgress::DownloadComplete,
    LayerProgress::PullComplete,
];

#[tokio::test]
async fn an_image_arrives_whole_and_is_still_there_after_a_restart() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    let layers = [layer_tar("a", b"one"), layer_tar("b", &noise(1, 300_000))];
    let digest = Built::of(&layers).push_to(&registry, "team/app", "1");
    let (sender, news) = ProgressSender::channel();
    let request = PullRequest {
        reference: reference(&registry, "team/app:1"),
        platform: None,
        credentials: Credentials::None,
    };
    let pulled = ground.store.pull(request, sender).await.unwrap();
    assert_eq!((&pulled.digest.0, pulled.up_to_date), (&digest, false));
    let news = drain(news);
    let steps = |layer: &[u8]| -> Vec<_> {
        let wanted = Digest::of(&gzip(layer));
        let of_layer = |progress: &Progress| match progress {
            Progress::Layer { layer, step } if *layer == wanted && step.is_milestone() => {
                Some(*step)
            }
            _ => None,
        };
        news.iter().filter_map(of_layer).collect()
    };
    for layer in &layers {
        assert_eq!(steps(layer), WHOLE_STORY);
    }
    assert!(
        ground
            .pull(&registry, "team/app:1")
            .await
            .unwrap()
            .up_to_date
    );

    let ground = ground.reopen().await;
    let image = ground
        .store
        .resolve(&format!("{}/team/app:1", registry.host))
        .unwrap();
    assert_eq!((image.id, image.size_bytes), (pulled.id.clone(), 300_003));
    assert_eq!((image.tags.len(), image.digests.len()), (1, 1));
    let lower = ground.store.rootfs_layers(&pulled.id).unwrap();
    assert_eq!(std::fs::read(lower[0].join("b")).unwrap().len(), 300_000);
    assert_eq!(std::fs::read(lower[1].join("a")).unwrap(), b"one");
    let history = ground.store.history(&pulled.id).unwrap();
    let sizes: Vec<_> = history.iter().map(|entry| entry.size_bytes).collect();
    assert_eq!(sizes, [0, 300_000, 3]);
    assert_eq!(ground.remains(), (4, 2, 0));
    for text in [
        &pulled.id.to_string(),
        pulled.id.0.hex(),
        &pulled.id.0.hex()[..5],
    ] {
        assert_eq!(ground.store.resolve(text).unwrap().id, pulled.id, "{text}");
    }
}

#[tokio::test]
async fn nothing_stays_of_an_image_that_is_wrong() {
    let registry = Registry::start().await;
    let lie = Built {
        wrong_diff_id: true,
        ..Built::of(&[layer_tar("a", b"x")])
    };
    lie.push_to(&registry, "wrong/diff-id", "1");
    Built::of(&[layer_tar("a", b"y")]).push_to(&registry, "wrong/blob", "1");
    let layer = Digest::of(&gzip(&layer_tar("a", b"y")));
    let mut corrupt = gzip(&layer_tar("a", b"y"));
    let last = corrupt.len() - 1;
    corrupt[last] ^= 1;
    registry
        .shelf
        .blobs
        .lock()
        .unwrap()
        .insert(layer.clone(), corrupt.into());
    Built::of(&[b"no tar".repeat(200)]).push_to(&registry, "wrong/tar", "1");
    let mut escape = layer_tar("xx/escape", b"x");
    escape[..2].copy_from_slice(b"..");
    let mut header = tar::Header::from_byte_slice(&escape[..512]).clone();
    header.set_cksum();
    escape[..512].copy_from_slice(header.as_bytes());
    Built::of(&[escape]).push_to(&registry, "wrong/escape", "1");
    for (name, said) in [
        ("wrong/diff-id:1", "DiffId"),
        ("wrong/blob:1", "expected sha256:"),
        ("wrong/tar:1", "damaged"),
        ("wrong/escape:1", "points outside"),
    ] {
        let ground = Ground::new().await;
        let error = chain(&ground.pull(&registry, name).await.unwrap_err());
        assert!(
            error.starts_with("layer sha256:") && error.contains(said),
            "{name}: {error}"
        );
        assert!(ground.store.list().unwrap().is_empty());
        let (_, n_layers, n_unfinished) = ground.remains();
        assert_eq!((n_layers, n_unfinished), (0, 0), "{name}");
        assert_eq!(ground.reopen().await.remains(), (0, 0, 0), "{name}");
    }
}

#[tokio::test]
async fn what_is_no_image_is_refused() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    let chart = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"{}","size":2}},"layers":[]}}"#,
        media_type::OCI_MANIFEST,
        Digest::of(b"{}")
    );
    registry.put_manifest("chart", "1", media_type::OCI_MANIFEST, chart);
    let error = chain(&ground.pull(&registry, "chart:1").await.unwrap_err());
    assert!(error.contains("no container image"), "{error}");
    let error = ground.pull(&registry, "nothing:1").await.unwrap_err();
    assert!(matches!(error, ImageError::Registry { .. }));
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#,
        media_type::OCI_INDEX
    );
    registry.put_manifest("empty", "1", media_type::OCI_INDEX, index);
    let error = ground.pull(&registry, "empty:1").await.unwrap_err();
    assert!(matches!(error, ImageError::NoMatchingPlatform { .. }));
    assert_eq!(ground.remains(), (0, 0, 0));
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_was() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    let layer = layer_tar("a", &noise(2, 1 << 20));
    Built::of(std::slice::from_ref(&layer)).push_to(&registry, "cut", "1");
    registry
        .shelf
        .cut_after_bytes
        .store(300_000, Ordering::Relaxed);
    ground.pull(&registry, "cut:1").await.unwrap();
    let sent_bytes = registry.shelf.n_sent_bytes.load(Ordering::Relaxed);
    let size_bytes = gzip(&layer).len() as u64;
    assert!(
        sent_bytes < size_bytes + size_bytes / 10,
        "{sent_bytes} of {size_bytes}"
    );
    assert!(registry.shelf.n_downloads.load(Ordering::Relaxed) > 3);
}

#[tokio::test]
async fn pulls_of_one_layer_share_its_download() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    let layers = [layer_tar("a", &noise(3, 1 << 20))];
    for (tag, comment) in [("1", "one"), ("2", "two"), ("3", "three")] {
        let built = Built {
            comment,
            ..Built::of(&layers)
        };
        built.push_to(&registry, "shared", tag);
    }
    registry.shelf.delay_ms.store(2, Ordering::Relaxed);
    let (one, two, three) = tokio::join!(
        ground.pull(&registry, "shared:1"),
        ground.pull(&registry, "shared:2"),
        ground.pull(&registry, "shared:3"),
    );
    let ids = [one.unwrap().id, two.unwrap().id, three.unwrap().id];
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    // Three configs and one layer.
    assert_eq!(registry.shelf.n_downloads.load(Ordering::Relaxed), 4);
    assert_eq!(ground.remains(), (3 + 3 + 1, 1, 0));
}

#[tokio::test]
async fn a_pull_that_nobody_waits_for_stops_and_the_next_goes_on() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    let layer = layer_tar("a", &noise(4, 2 << 20));
    Built::of(std::slice::from_ref(&layer)).push_to(&registry, "slow", "1");
    registry.shelf.delay_ms.store(5, Ordering::Relaxed);
    {
        let pull = ground.pull(&registry, "slow:1");
        tokio::pin!(pull);
        let far_enough = async {
            while registry.shelf.n_sent_bytes.load(Ordering::Relaxed) < 1 << 20 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = &mut pull => panic!("it was to be slow"),
            () = far_enough => {}
        }
    }
    assert_eq!(ground.remains().1, 0);
    registry.shelf.delay_ms.store(0, Ordering::Relaxed);
    ground.pull(&registry, "slow:1").await.unwrap();
    let sent_bytes = registry.shelf.n_sent_bytes.load(Ordering::Relaxed);
    assert!(sent_bytes < 4 << 20, "{sent_bytes} bytes sent");
    assert_eq!(ground.remains(), (3, 1, 0));
}

#[tokio::test]
async fn the_last_name_takes_the_image_along_and_leaves_what_others_need() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    let (base, top) = (layer_tar("base", b"b"), layer_tar("top", b"t"));
    Built::of(std::slice::from_ref(&base)).push_to(&registry, "base", "1");
    Built::of(&[base, top]).push_to(&registry, "app", "1");
    let base_id = ground.pull(&registry, "base:1").await.unwrap().id;
    let app_id = ground.pull(&registry, "app:1").await.unwrap().id;
    assert_eq!(ground.remains(), (6, 2, 0));
    let other = ImageReference::parse("other:2", "docker.io").unwrap();
    ground.store.tag(&app_id, &other).await.unwrap();

    let by_id = ground.remove(app_id.0.hex(), false).await.unwrap_err();
    assert!(by_id.to_string().contains("must be forced"), "{by_id}");
    let app = format!("{}/app:1", registry.host);
    let removed = ground.remove(&app, false).await.unwrap();
    let untagged = |removed: &[Removed]| {
        removed
            .iter()
            .filter(|removed| matches!(removed, Removed::Untagged(_)))
            .count()
    };
    // The tag, and the digest that nothing in the repository explains any more.
    assert_eq!((removed.len(), untagged(&removed)), (2, 2));
    let removed = ground.remove("other:2", false).await.unwrap();
    assert_eq!(removed[0], Removed::Untagged("other:2".to_owned()));
    assert_eq!(removed[1], Removed::Deleted(app_id.0));
    assert_eq!(removed.len(), 3);
    assert_eq!(ground.remains(), (3, 1, 0));
    assert_eq!(ground.store.list().unwrap().len(), 1);
    ground.remove(&base_id.0.hex()[..12], false).await.unwrap();
    assert_eq!(ground.remains(), (0, 0, 0));
}

#[tokio::test]
async fn containers_keep_their_image() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    Built::of(&[layer_tar("a", b"a")]).push_to(&registry, "app", "1");
    let id = ground.pull(&registry, "app:1").await.unwrap().id;
    let container = ContainerId::random();
    let snapshot = ground.snapshot(&container, &id).await;
    std::fs::write(snapshot.upper.join("written"), "x").unwrap();
    let remove = |is_running, force| {
        let request = RemoveRequest {
            target: format!("{}/app:1", registry.host),
            force,
            keep_parents: false,
            uses: vec![Use {
                image: id.clone(),
                container: container.clone(),
                is_running,
            }],
        };
        ground.store.remove(request)
    };
    let refused = remove(false, false).await.unwrap_err().to_string();
    assert!(
        refused.contains("must force") && refused.contains(container.short()),
        "{refused}"
    );
    // Forced from under a running container it only loses its names.
    assert_eq!(remove(true, true).await.unwrap().len(), 2);
    assert!(ground.store.get(&id).unwrap().tags.is_empty());
    let request = RemoveRequest {
        target: id.to_string(),
        force: true,
        keep_parents: false,
        uses: Vec::new(),
    };
    ground.store.remove(request).await.unwrap();
    assert_eq!(ground.remains().1, 1, "the layer stays for the container");

    let ground = ground.reopen().await;
    assert_eq!(ground.store.snapshot(&container).unwrap(), snapshot);
    assert_eq!(std::fs::read(snapshot.lower[0].join("a")).unwrap(), b"a");
    assert_eq!(std::fs::read(snapshot.upper.join("written")).unwrap(), b"x");
    ground.store.remove_snapshot(&container).await.unwrap();
    ground.store.remove_snapshot(&container).await.unwrap();
    assert!(ground.store.snapshot(&container).is_err());
    assert_eq!(ground.remains(), (0, 0, 0));
}

#[tokio::test]
async fn a_push_sends_what_is_missing_and_the_very_same_manifest() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    let digest =
        Built::of(&[layer_tar("a", b"a"), layer_tar("b", b"b")]).push_to(&registry, "app", "1");
    let id = ground.pull(&registry, "app:1").await.unwrap().id;
    let push = async |target: &ImageReference| {
        ground.store.tag(&id, target).await.unwrap();
        let silent = ProgressSender::silent();
        ground
            .store
            .push(target, Credentials::None, silent)
            .await
            .unwrap()
    };
    // The same registry takes the blobs over.
    let copy = reference(&registry, "copy:2");
    assert_eq!(push(&copy).await.digest.0, digest);
    let shelf = &registry.shelf;
    let (n_mounts, n_uploads) = (
        shelf.n_mounts.load(Ordering::Relaxed),
        shelf.n_uploads.load(Ordering::Relaxed),
    );
    assert_eq!((n_mounts, n_uploads), (3, 0));
    let pushed = shelf.manifests.lock().unwrap()["copy:2"].clone();
    assert_eq!(pushed, shelf.manifests.lock().unwrap()["app:1"]);

    // Another one is sent them, once.
    let other = Registry::start().await;
    let target = reference(&other, "app:1");
    assert_eq!(push(&target).await.digest.0, digest);
    assert_eq!(other.shelf.n_uploads.load(Ordering::Relaxed), 3);
    push(&target).await;
    assert_eq!(other.shelf.n_uploads.load(Ordering::Relaxed), 3);
    let back = Ground::new().await;
    assert_eq!(back.pull(&other, "app:1").await.unwrap().id, id);
    let unknown = reference(&other, "no:1");
    let unknown = ground
        .store
        .push(&unknown, Credentials::None, ProgressSender::silent());
    assert!(matches!(unknown.await, Err(ImageError::NoTag(_))));
}

#[tokio::test]
async fn the_index_has_one_for_this_machine() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    let mut entries = Vec::new();
    for architecture in ["riscv64", "amd64", "arm64"] {
        let built = Built {
            comment: architecture,
            ..Built::of(&[layer_tar(architecture, b"x")])
        };
        let digest = built.push_to(&registry, "multi", architecture);
        let (_, manifest) =
            registry.shelf.manifests.lock().unwrap()[&format!("multi:{architecture}")].clone();
        entries.push(format!(
            r#"{{"mediaType":"{}","digest":"{digest}","size":{},"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#,
            media_type::OCI_MANIFEST,
            manifest.len()
        ));
    }
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#,
        media_type::OCI_INDEX,
        entries.join(",")
    );
    let digest = registry.put_manifest("multi", "latest", media_type::OCI_INDEX, index);
    let pulled = ground.pull(&registry, "multi").await.unwrap();
    assert_eq!(pulled.digest.0, digest);
    let host = hythe_oci::Platform::host().architecture;
    assert_eq!(ground.store.get(&pulled.id).unwrap().config.comment, host);
    let wanted = PullRequest {
        reference: reference(&registry, "multi"),
        platform: hythe_oci::Platform::parse("linux/riscv64"),
        credentials: Credentials::None,
    };
    let other = ground
        .store
        .pull(wanted, ProgressSender::silent())
        .await
        .unwrap();
    assert_eq!(
        ground.store.get(&other.id).unwrap().config.comment,
        "riscv64"
    );
    // The name moved on; the first image lies there without one.
    assert!(ground.store.get(&pulled.id).unwrap().tags.is_empty());
}

#[tokio::test]
async fn wrecks_of_a_crash_are_cleared_at_the_start() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    Built::of(&[layer_tar("a", b"a"), layer_tar("b", b"b")]).push_to(&registry, "app", "1");
    let id = ground.pull(&registry, "app:1").await.unwrap().id;
    let root = ground.dir.path().join("image");
    for wreck in [
        "unpacking/half/diff/usr",
        "removing/half/diff/usr",
        &format!("snapshots/{}/upper", ContainerId::random()),
        &format!("layers/sha256/{}/diff", "0".repeat(64)),
    ] {
        std::fs::create_dir_all(root.join(wreck)).unwrap();
    }
    std::fs::write(root.join("blobs/sha256").join("1".repeat(64)), "orphan").unwrap();
    std::fs::write(root.join("catalog/.catalog.json.1-1.tmp"), "half").unwrap();
    let ground = ground.reopen().await;
    assert_eq!(ground.remains(), (4, 2, 0));
    assert_eq!(
        std::fs::read_dir(root.join("snapshots")).unwrap().count(),
        0
    );
    assert!(ground.store.get(&id).is_ok());

    // A layer lost with the power takes the image along, and the next pull brings both back.
    let lost = DiffId(Digest::of(&layer_tar("b", b"b")));
    std::fs::remove_dir_all(root.join("layers/sha256").join(lost.0.hex())).unwrap();
    let ground = ground.reopen().await;
    assert!(matches!(
        ground.store.get(&id),
        Err(ImageError::NotFound(_))
    ));
    assert_eq!(ground.remains(), (0, 0, 0));
    ground.pull(&registry, "app:1").await.unwrap();
    assert!(ground.store.get(&id).is_ok());
}

#[tokio::test]
async fn a_power_loss_takes_only_what_was_not_written_yet() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    for name in ["settled", "unsettled"] {
        Built::of(&[layer_tar(name, b"x")]).push_to(&registry, name, "1");
        ground.pull(&registry, &format!("{name}:1")).await.unwrap();
    }
    ground.store.0.settle().await.unwrap();
    let name = format!("{}/unsettled:1", registry.host);
    let id = ground.store.resolve(&name).unwrap().id;
    let marked = async |ground: &Ground, boot: String| {
        let change = |catalog: &mut catalog::Catalog| {
            catalog.images.get_mut(&id).unwrap().unsettled_boot = Some(boot);
            Ok(())
        };
        ground.store.0.catalog.update(change).await.unwrap();
    };
    // Killed in the same boot: nothing is lost, and a container waits until it is written.
    marked(&ground, settle::boot_id().unwrap()).await;
    let ground = ground.reopen().await;
    assert_eq!(ground.store.list().unwrap().len(), 2);
    let container = ContainerId::random();
    ground.snapshot(&container, &id).await;
    let catalog = ground.store.0.catalog.current();
    assert!(
        catalog
            .images
            .values()
            .all(|image| image.unsettled_boot.is_none())
    );

    marked(&ground, "another boot".to_owned()).await;
    let ground = ground.reopen().await;
    assert_eq!(ground.store.list().unwrap().len(), 1);
    assert!(ground.store.get(&id).is_err());
}

#[tokio::test]
async fn whoever_waited_for_a_download_leaves_the_blob_alone() {
    let ground = Ground::new().await;
    let content = &ground.store.0.content;
    let digest = Digest::of(b"blob");
    let first = content.ingest(&digest, 4).unwrap();
    let waiting = {
        let (content, digest) = (content.clone(), digest.clone());
        // A manifest that lies about the size would have what is there cut off.
        std::thread::spawn(move || content.ingest(&digest, 1).unwrap().offset_bytes)
    };
    std::io::Write::write_all(&mut &first.file, b"blob").unwrap();
    content.publish(&digest).unwrap();
    drop(first);
    assert_eq!(waiting.join().unwrap(), 0);
    assert_eq!(content.read_document(&digest).unwrap(), b"blob");
}

#[tokio::test]
async fn names_and_ids_are_told_apart() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    Built::of(&[layer_tar("a", b"a")]).push_to(&registry, "app", "1");
    let id = ground.pull(&registry, "app:1").await.unwrap().id;
    let tag = async |name: &str| {
        let reference = ground.store.parse_reference(name).unwrap();
        ground.store.tag(&id, &reference).await
    };
    tag("short").await.unwrap();
    for known in [
        "short",
        "short:latest",
        "docker.io/library/short",
        "library/short",
    ] {
        assert_eq!(ground.store.resolve(known).unwrap().id, id, "{known}");
    }
    for unknown in ["short:2", "other", "sha256:ffffffff", &"f".repeat(64), "zz"] {
        let found = ground.store.resolve(unknown);
        assert!(matches!(found, Err(ImageError::NotFound(_))), "{unknown}");
    }
    let found = ground.store.resolve("Not A Name");
    assert!(matches!(found, Err(ImageError::InvalidReference(_))));
    let by_digest = format!("short@{}", id.0);
    assert!(matches!(
        tag(&by_digest).await,
        Err(ImageError::TagWithDigest)
    ));
    let nobody = ImageId(Digest::of(b"nobody"));
    let reference = ground.store.parse_reference("x").unwrap();
    assert!(ground.store.tag(&nobody, &reference).await.is_err());
}
