//! The store against a registry: what arrives, what stays behind when something goes wrong, and
//! what a restart finds. They need root, as unpacking does.

mod archives;
mod crash;
mod distribution;
mod podman;
mod pull;
mod push;
mod registry;
mod remove;

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
        passing: root.join("passing"),
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
