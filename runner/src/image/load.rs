//! `docker load`: archives of docker (every version since 1.10), podman, skopeo and buildkit, as
//! docker format or OCI layout, compressed or not.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use hythe_oci::compression::{self, Compression};
use hythe_oci::{
    Algorithm, Descriptor, DiffId, Digest, DigestHasher, ImageId, ImageReference, Manifest,
    Platform, media_type,
};
use serde::Deserialize;

use super::compose::{NewImage, NewLayer};
use super::config::ImageConfig;
use super::layers::remove_tree;
use super::layout::disk;
use super::unpack::unpack;
use super::{ImageError, ImageStore, Inner};
use crate::sys::dir::Directory;
use crate::sys::in_root;

/// Manifests, indexes and configurations are documents.
const MAX_DOCUMENT_BYTES: u64 = 8 << 20;

/// Indexes in indexes: an archive with more levels plays with us.
const MAX_INDEX_DEPTH: usize = 4;

/// An image that came out of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub id: ImageId,
    /// Empty for one without a name.
    pub names: Vec<ImageReference>,
}

/// One line of docker's `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

/// An archive spread out in a directory of ours; removed with it.
struct Spread {
    path: PathBuf,
    root: Directory,
}

impl Drop for Spread {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a loaded archive stays behind");
        }
    }
}

fn bad(reason: impl Into<String>) -> ImageError {
    ImageError::BadArchive(reason.into())
}

impl ImageStore {
    /// Takes every image of an archive. Reads `archive` on a thread that may wait.
    pub async fn load(
        &self,
        archive: impl Read + Send + 'static,
    ) -> Result<Vec<Loaded>, ImageError> {
        let default_registry = self.0.options.default_registry.clone();
        let found = self
            .blocking(move |inner| {
                let mut loading = Loading {
                    inner,
                    spread: inner.spread(archive)?,
                    seen: HashMap::new(),
                };
                loading.images(&default_registry)
            })
            .await?;
        let mut loaded = Vec::new();
        for Found { new, layers } in found {
            let names = new.names.clone();
            let id = self.compose(new).await?;
            // Named, they stay by themselves.
            drop(layers);
            loaded.push(Loaded { id, names });
        }
        Ok(loaded)
    }
}

/// An image whose layers are here, not yet named.
struct Found {
    new: NewImage,
    /// Keep the layers until it is.
    layers: Vec<NewLayer>,
}

impl Inner {
    fn spread(&self, archive: impl Read + Send) -> Result<Spread, ImageError> {
        let path = self.layout.new_unpacking();
        fs::create_dir(&path).map_err(disk("create", &path))?;
        let root = Directory::open(&path).map_err(disk("open", &path))?;
        let spread = Spread { path, root };
        let packed = io::BufReader::with_capacity(1 << 20, archive);
        // Not on a second thread: the reader is what is slow.
        let content = compression::decoder(packed).map_err(disk("read", &spread.path))?;
        let content = io::BufReader::with_capacity(1 << 20, content);
        unpack(content, &spread.path, self.options.limits)
            .map_err(|error| bad(super::error::chain(&error)))?;
        Ok(spread)
    }
}

/// One archive on its way into the store.
struct Loading<'a> {
    inner: &'a Inner,
    spread: Spread,
    /// What files of the archive turned out to be, by their real path: several layers or images may
    /// use one.
    seen: HashMap<PathBuf, Descriptor>,
}

impl Loading<'_> {
    fn images(&mut self, default_registry: &str) -> Result<Vec<Found>, ImageError> {
        if self.spread.has("index.json") && self.spread.has("oci-layout") {
            let index = self.spread.document("index.json")?;
            let manifests = collect_manifests(&self.spread, index)?.into_iter();
            return manifests
                .map(|(bytes, names)| self.oci_image(bytes, names))
                .collect();
        }
        if !self.spread.has("manifest.json") {
            return Err(bad("it has neither a manifest.json nor an index.json"));
        }
        let images: Vec<DockerImage> =
            serde_json::from_slice(&self.spread.document("manifest.json")?)
                .map_err(|error| bad(format!("manifest.json: {error}")))?;
        let mut found = Vec::new();
        for image in images {
            let tags = image.repo_tags.iter().flatten();
            let names = tags
                .map(|tag| parse_name(tag, default_registry))
                .collect::<Result<_, _>>()?;
            let config = self.spread.document(&image.config)?;
            found.push(self.image(config, &image.layers, names)?);
        }
        Ok(found)
    }

    fn oci_image(
        &mut self,
        document: Vec<u8>,
        names: Vec<ImageReference>,
    ) -> Result<Found, ImageError> {
        let (manifest, media_type) =
            Manifest::parse(&document, None).map_err(|error| bad(error.to_string()))?;
        let Manifest::Image(manifest) = manifest else {
            return Err(bad("an image's manifest is an index"));
        };
        let config = self.spread.document(&blob_path(&manifest.config.digest))?;
        if Digest::of_with(manifest.config.digest.algorithm(), &config) != manifest.config.digest {
            return Err(bad("a configuration does not have its digest"));
        }
        let layers: Vec<_> = manifest
            .layers
            .iter()
            .map(|layer| blob_path(&layer.digest))
            .collect();
        let mut found = self.image(config, &layers, names)?;
        for (said, layer) in manifest.layers.iter().zip(&found.layers) {
            if said.digest != layer.descriptor.digest {
                return Err(bad(format!(
                    "layer {} does not have its digest",
                    said.digest
                )));
            }
        }
        found.new.manifest = Some((document, media_type));
        Ok(found)
    }

    fn image(
        &mut self,
        config: Vec<u8>,
        layer_paths: &[String],
        names: Vec<ImageReference>,
    ) -> Result<Found, ImageError> {
        let parsed = ImageConfig::parse(&config).map_err(|error| bad(error.to_string()))?;
        if parsed.diff_ids.len() != layer_paths.len() {
            return Err(bad(
                "an image has not as many layers as its configuration says",
            ));
        }
        let mut layers = Vec::new();
        for (path, diff_id) in layer_paths.iter().zip(&parsed.diff_ids) {
            layers.push(self.load_layer(path, diff_id)?);
        }
        Ok(Found {
            new: NewImage {
                config,
                layers: layers
                    .iter()
                    .map(|layer| layer.descriptor.clone())
                    .collect(),
                diff_ids: parsed.diff_ids,
                names,
                manifest: None,
                built: None,
            },
            layers,
        })
    }

    /// Takes a layer's file over into the content store; the file of an archive that several
    /// layers or images use is moved once.
    fn load_layer(&mut self, path: &str, diff_id: &DiffId) -> Result<NewLayer, ImageError> {
        let (file, real_path) = self.spread.open(path)?;
        let descriptor = if let Some(descriptor) = self.seen.get(&real_path) {
            descriptor.clone()
        } else {
            let descriptor = describe(file).map_err(disk("read", Path::new(path)))?;
            self.seen.insert(real_path.clone(), descriptor.clone());
            descriptor
        };
        // A link keeps the archive whole for the next image that names the same file.
        let link = self.inner.layout.new_ingest();
        fs::hard_link(&real_path, &link).map_err(disk("link", &real_path))?;
        self.inner.adopt_layer(&link, descriptor, diff_id.clone())
    }
}

/// Digest, size and compression of a layer's file.
fn describe(mut file: File) -> io::Result<Descriptor> {
    let mut hasher = DigestHasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; 1 << 20];
    let mut size_bytes = 0;
    let mut media_type = media_type::OCI_LAYER;
    loop {
        let n_bytes = file.read(&mut buffer)?;
        if n_bytes == 0 {
            break;
        }
        if size_bytes == 0 {
            media_type = match Compression::detect(&buffer[..n_bytes]) {
                Compression::None => media_type::OCI_LAYER,
                Compression::Gzip => media_type::OCI_LAYER_GZIP,
                Compression::Zstd => media_type::OCI_LAYER_ZSTD,
            };
        }
        hasher.update(&buffer[..n_bytes]);
        size_bytes += n_bytes as u64;
    }
    Ok(Descriptor::new(media_type, hasher.finish(), size_bytes))
}

impl Spread {
    fn has(&self, path: &str) -> bool {
        in_root::open_place(&self.root, Path::new(path)).is_ok()
    }

    /// Opens a file by its name in the archive, through the archive's own links, and says where it
    /// really is.
    fn open(&self, path: &str) -> Result<(File, PathBuf), ImageError> {
        let failed = disk("open", Path::new(path));
        let fd = in_root::open_readable(&self.root, Path::new(path)).map_err(&failed)?;
        let file = File::from(fd);
        if !file.metadata().map_err(&failed)?.is_file() {
            return Err(bad(format!("{path:?} is no file")));
        }
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        let real_path = fs::read_link(link).map_err(failed)?;
        Ok((file, real_path))
    }

    fn document(&self, path: &str) -> Result<Vec<u8>, ImageError> {
        let (file, _) = self.open(path)?;
        let mut bytes = Vec::new();
        let mut limited = file.take(MAX_DOCUMENT_BYTES + 1);
        limited
            .read_to_end(&mut bytes)
            .map_err(disk("read", Path::new(path)))?;
        if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
            return Err(bad(format!("{path:?} is larger than 8 MiB")));
        }
        Ok(bytes)
    }
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

/// The bytes of a manifest, and what it is to be called.
type NamedManifest = (Vec<u8>, Vec<ImageReference>);

/// Finds the manifests for this machine below an index, with the names that stand at them.
fn collect_manifests(spread: &Spread, index: Vec<u8>) -> Result<Vec<NamedManifest>, ImageError> {
    let mut found: Vec<NamedManifest> = Vec::new();
    let mut pending = vec![(index, Vec::new(), 0)];
    while let Some((document, names, depth)) = pending.pop() {
        let (manifest, _) =
            Manifest::parse(&document, None).map_err(|error| bad(error.to_string()))?;
        let Manifest::Index(index) = manifest else {
            match found.iter_mut().find(|(known, _)| *known == document) {
                Some((_, known)) => known.extend(names),
                None => found.push((document, names)),
            }
            continue;
        };
        if depth == MAX_INDEX_DEPTH {
            return Err(bad("its indexes are nested too deeply"));
        }
        let host = Platform::host();
        // Last in, first out: pushed backwards, they come in the archive's order.
        for descriptor in index.manifests.iter().rev() {
            let platform = descriptor.platform.as_ref();
            if platform.is_some_and(|platform| depth > 0 && !platform.satisfies(&host)) {
                continue;
            }
            let document = spread.document(&blob_path(&descriptor.digest))?;
            if Digest::of_with(descriptor.digest.algorithm(), &document) != descriptor.digest {
                return Err(bad(format!(
                    "manifest {} does not have its digest",
                    descriptor.digest
                )));
            }
            let mut names = names.clone();
            names.extend(annotated_name(descriptor));
            pending.push((document, names, depth + 1));
        }
    }
    Ok(found)
}

/// Builders write the whole name in one of two places; a tag alone names nothing.
fn annotated_name(descriptor: &Descriptor) -> Option<ImageReference> {
    let annotation = |key: &str| descriptor.annotations.get(key);
    let whole = annotation("io.containerd.image.name");
    let short =
        annotation("org.opencontainers.image.ref.name").filter(|name| name.contains(['/', ':']));
    let name = whole.or(short)?;
    parse_name(name, hythe_oci::reference::DOCKER_HUB).ok()
}

fn parse_name(text: &str, default_registry: &str) -> Result<ImageReference, ImageError> {
    let parsed = ImageReference::parse(text, default_registry);
    parsed
        .map(ImageReference::with_default_tag)
        .map_err(|error| ImageError::InvalidReference(error.to_string()))
}
