//! Images made by hand: every byte is the test's own, so that wrong ones can be made too.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// `sha256:…` of some bytes.
pub fn sha256_digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A layer: its tar, and the DiffId its image will claim for it.
#[derive(Debug, Clone)]
pub struct Layer {
    pub tar: Vec<u8>,
    pub diff_id: String,
}

impl Layer {
    pub fn new(tar: Vec<u8>) -> Self {
        let diff_id = sha256_digest(&tar);
        Self { tar, diff_id }
    }
}

/// The type flag of a tar entry, and its permission bits.
#[derive(Clone, Copy)]
struct Kind {
    flag: u8,
    mode: u32,
}

/// A tar archive that may hold anything, honest or not.
#[derive(Debug, Default)]
pub struct TarBuilder {
    bytes: Vec<u8>,
}

impl TarBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.entry(path, Kind { flag: b'5', mode }, "", &[])
    }

    #[must_use]
    pub fn file(self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.entry(path, Kind { flag: b'0', mode }, "", content)
    }

    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(
            path,
            Kind {
                flag: b'2',
                mode: 0o777,
            },
            target,
            &[],
        )
    }

    #[must_use]
    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(
            path,
            Kind {
                flag: b'1',
                mode: 0o644,
            },
            target,
            &[],
        )
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 1024]);
        self.bytes
    }

    /// A ustar header written byte by byte: libraries refuse the names this is for.
    fn entry(mut self, path: &str, kind: Kind, link: &str, content: &[u8]) -> Self {
        let mut header = [0_u8; 512];
        let mut put =
            |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        assert!(
            path.len() <= 100 && link.len() <= 100,
            "names of tests are short"
        );
        put(0, path);
        put(100, &format!("{:07o}", kind.mode));
        put(108, &format!("{:07o}", 0));
        put(116, &format!("{:07o}", 0));
        put(124, &format!("{:011o}", content.len()));
        put(136, &format!("{:011o}", 1_700_000_000));
        put(148, "        ");
        put(157, link);
        put(257, "ustar\u{0}00");
        header[156] = kind.flag;
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }
}

/// An image in the making; the result is an OCI image layout that skopeo reads.
#[derive(Debug, Default)]
pub struct ImageBuilder {
    layers: Vec<Layer>,
    config: Value,
    created: Option<String>,
    architecture: Option<String>,
}

impl ImageBuilder {
    pub fn new() -> Self {
        Self {
            config: json!({}),
            ..Self::default()
        }
    }

    /// When it says that it was made; the same day for all that say nothing.
    #[must_use]
    pub fn created(mut self, time: &str) -> Self {
        self.created = Some(time.to_owned());
        self
    }

    /// Another machine's.
    #[must_use]
    pub fn architecture(mut self, architecture: &str) -> Self {
        self.architecture = Some(architecture.to_owned());
        self
    }

    #[must_use]
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// The `config` object of the image configuration: `Cmd`, `Env`, …
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// Writes the layout; the image is its only one.
    pub fn write(&self, directory: &Path) -> Layout {
        fs::create_dir_all(directory.join("blobs/sha256")).expect("a layout directory");
        let mut layers = Vec::new();
        for layer in &self.layers {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&layer.tar).expect("memory takes it");
            let bytes = encoder.finish().expect("memory takes it");
            let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
            layers.push(put_blob(directory, media_type, &bytes));
        }
        let diff_ids: Vec<&str> = self
            .layers
            .iter()
            .map(|layer| layer.diff_id.as_str())
            .collect();
        let config = json!({
            "architecture": self.architecture.as_deref().unwrap_or(architecture()),
            "os": "linux",
            "created": self.created.as_deref().unwrap_or("2024-01-01T00:00:00Z"),
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": diff_ids.iter().map(|_| json!({"created_by": "test"})).collect::<Vec<_>>(),
        });
        let config = serde_json::to_vec(&config).expect("JSON");
        let config = put_blob(
            directory,
            "application/vnd.oci.image.config.v1+json",
            &config,
        );
        let image_id = config["digest"].as_str().expect("a digest").to_owned();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": layers,
        });
        let manifest = serde_json::to_vec(&manifest).expect("JSON");
        let descriptor = put_blob(
            directory,
            "application/vnd.oci.image.manifest.v1+json",
            &manifest,
        );
        let manifest_digest = descriptor["digest"].as_str().expect("a digest").to_owned();
        let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
        fs::write(directory.join("index.json"), index.to_string()).expect("index.json");
        fs::write(
            directory.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )
        .expect("oci-layout");
        Layout {
            path: directory.to_owned(),
            manifest_digest,
            image_id,
            temporary: None,
        }
    }

    /// Writes the layout to a directory that goes away with the answer.
    pub fn write_temporary(&self) -> Layout {
        let temporary = TempDir::new().expect("a temporary directory");
        let mut layout = self.write(temporary.path());
        layout.temporary = Some(temporary);
        layout
    }
}

/// An image on disk, in OCI image layout.
#[derive(Debug)]
pub struct Layout {
    pub path: PathBuf,
    pub manifest_digest: String,
    pub image_id: String,
    /// Held so that the directory lives as long as the layout.
    temporary: Option<TempDir>,
}

impl Layout {
    /// The layout of a fixture that was written before.
    pub fn open(path: &Path) -> Self {
        let index = fs::read(path.join("index.json")).expect("an index");
        let index: Value = serde_json::from_slice(&index).expect("JSON");
        let manifest_digest = index["manifests"][0]["digest"]
            .as_str()
            .expect("one manifest");
        let manifest = path.join("blobs").join(manifest_digest.replace(':', "/"));
        let manifest = fs::read(manifest).expect("the manifest");
        let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        Self {
            path: path.to_owned(),
            manifest_digest: manifest_digest.to_owned(),
            image_id: manifest["config"]["digest"]
                .as_str()
                .expect("a config")
                .to_owned(),
            temporary: None,
        }
    }

    /// `oci:…`, as skopeo and podman call it.
    pub fn transport(&self) -> String {
        format!("oci:{}", self.path.display())
    }

    /// Of everything that a pull brings: manifest, configuration, layers.
    pub fn blob_bytes(&self) -> u64 {
        let blobs = fs::read_dir(self.path.join("blobs/sha256")).expect("blobs");
        let sizes = blobs.map(|blob| blob.expect("a blob").metadata().expect("its size").len());
        sizes.sum()
    }

    /// A layer that this module packed, unpacked again.
    pub fn layer_tar(&self, number: usize) -> Vec<u8> {
        let digest = self.layer_digests().remove(number);
        let blob = self.path.join("blobs").join(digest.replace(':', "/"));
        let blob = fs::File::open(blob).expect("the layer");
        let mut tar = Vec::new();
        GzDecoder::new(blob).read_to_end(&mut tar).expect("gzip");
        tar
    }

    /// Digests of the manifest's layers, lowest first.
    pub fn layer_digests(&self) -> Vec<String> {
        let path = self
            .path
            .join("blobs")
            .join(self.manifest_digest.replace(':', "/"));
        let manifest = fs::read(path).expect("the manifest");
        let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
        let layers = manifest["layers"].as_array().expect("layers");
        layers
            .iter()
            .map(|layer| layer["digest"].as_str().expect("a digest").to_owned())
            .collect()
    }
}

fn put_blob(directory: &Path, media_type: &str, bytes: &[u8]) -> Value {
    let digest = sha256_digest(bytes);
    let path = directory.join("blobs").join(digest.replace(':', "/"));
    fs::write(path, bytes).expect("a blob");
    json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
