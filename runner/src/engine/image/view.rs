//! What callers ask of images and are told about them.

use std::collections::BTreeMap;
use std::fmt;

use futures_util::stream::BoxStream;
use hythe_oci::ImageReference;
use jiff::Timestamp;

use crate::engine::{EngineError, Filters};
use crate::image::{Image, ImageConfig};
use crate::spec::ContainerConfig;

/// What a caller sent to prove itself to a registry (`X-Registry-Auth`, `POST /auth`); empty
/// fields were not sent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RegistryAuth {
    pub username: String,
    pub password: String,
    /// Registry host, or `docker.io`'s legacy URL; empty is `docker.io`.
    pub server_address: String,
    /// `OAuth2` refresh token, used instead of a password.
    pub identity_token: String,
    /// Bearer token, used as it is.
    pub registry_token: String,
}

impl fmt::Debug for RegistryAuth {
    /// Never prints a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryAuth")
            .field("username", &self.username)
            .field("server_address", &self.server_address)
            .finish_non_exhaustive()
    }
}

/// `POST /images/create` with `fromImage`.
#[derive(Debug, Clone)]
pub struct PullImage {
    /// As the caller wrote it: `nginx`, `host/name`, with or without a tag or digest.
    pub image: String,
    /// A tag or a digest given apart from the name.
    pub tag: Option<String>,
    /// Such as `linux/arm64/v8`; `None` is this machine's.
    pub platform: Option<String>,
    pub credentials: RegistryAuth,
}

/// `POST /images/{name}/push`.
#[derive(Debug, Clone)]
pub struct PushImage {
    pub image: String,
    /// `None` with `all_tags` off is `latest`, or what the name carries.
    pub tag: Option<String>,
    pub all_tags: bool,
    /// As with a pull; the image has to be for it.
    pub platform: Option<String>,
    pub credentials: RegistryAuth,
}

/// One line of a pull or push, in docker's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The layer (twelve digits) or the tag it is about.
    pub id: Option<String>,
    pub status: String,
    /// Bytes done and bytes in all.
    pub current: Option<u64>,
    pub total: Option<u64>,
    /// Text of a load or a build, as it is; such a line has no status.
    pub text: Option<String>,
    /// The result of a push or of a build, sent as `aux`.
    pub result: Option<TransferResult>,
}

/// What a stream of lines is about, for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferResult {
    Pushed(Pushed),
    /// The id of the image that was built.
    Built(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    pub tag: String,
    pub digest: String,
    pub size_bytes: u64,
}

/// Lines of a transfer; an error is the last one.
pub type ProgressStream = BoxStream<'static, Result<Progress, EngineError>>;

/// `GET /images/json`.
#[derive(Debug, Clone, Default)]
pub struct ListImages {
    pub all: bool,
    pub shared_size: bool,
    /// Whether the manifests are asked for as well.
    pub manifests: bool,
    pub filters: Filters,
}

/// One image in a list or in detail.
#[derive(Debug, Clone)]
pub struct ImageView {
    /// `sha256:…` of the config.
    pub id: String,
    /// Familiar forms, `nginx:1`.
    pub tags: Vec<String>,
    /// Familiar forms, `nginx@sha256:…`.
    pub digests: Vec<String>,
    pub parent: String,
    pub comment: String,
    pub author: String,
    pub created_at: Option<Timestamp>,
    pub architecture: String,
    pub variant: String,
    pub os: String,
    /// Unpacked bytes of all its layers.
    pub size_bytes: i64,
    /// Bytes shared with other images; only when asked for.
    pub shared_size_bytes: Option<i64>,
    /// How many containers use it; only where it is known.
    pub n_containers: Option<i64>,
    pub labels: BTreeMap<String, String>,
    pub config: ContainerConfig,
    pub diff_ids: Vec<String>,
    pub last_tagged_at: Option<Timestamp>,
    /// Only when asked for.
    pub manifests: Option<Vec<ManifestView>>,
}

/// A manifest that an image was pulled by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestView {
    pub digest: String,
    pub media_type: String,
    /// Bytes of the manifest itself.
    pub size_bytes: i64,
    /// Packed bytes of all that is here of it.
    pub content_bytes: i64,
    /// Ids of the containers that use the image.
    pub containers: Vec<String>,
}

/// One line of an image's history, newest first.
#[derive(Debug, Clone)]
pub struct HistoryView {
    /// `sha256:…`, or `<missing>`.
    pub id: String,
    pub created_at: Option<Timestamp>,
    pub created_by: String,
    pub tags: Vec<String>,
    pub size_bytes: i64,
    pub comment: String,
}

/// How `DELETE /images/{name}` may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemoveImage {
    pub force: bool,
    /// Leave the unnamed images that led to it.
    pub keep_parents: bool,
}

/// What removing an image did, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageRemoval {
    Untagged(String),
    Deleted(String),
}

/// `POST /commit`.
#[derive(Debug, Clone, Default)]
pub struct CommitContainer {
    pub container: String,
    /// Without a name the image gets none.
    pub repository: String,
    pub tag: Option<String>,
    pub author: String,
    pub comment: String,
    /// Freeze the container meanwhile.
    pub pause: bool,
    /// Dockerfile instructions, one each.
    pub changes: Vec<String>,
    /// What the caller says of the image; the rest is the container's.
    pub config: ContainerConfig,
}

/// `POST /images/create` with `fromSrc`.
#[derive(Debug, Clone, Default)]
pub struct ImportImage {
    pub repository: String,
    pub tag: Option<String>,
    pub message: String,
    pub changes: Vec<String>,
    pub platform: Option<String>,
}

/// What an image prune did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunedImages {
    pub removed: Vec<ImageRemoval>,
    pub reclaimed_bytes: u64,
}

/// What the image says of itself, or its newest step.
fn comment(config: &ImageConfig) -> &str {
    match config.history.last() {
        Some(step) if config.comment.is_empty() => &step.comment,
        _ => &config.comment,
    }
}

pub(super) fn familiar<'a>(names: impl IntoIterator<Item = &'a ImageReference>) -> Vec<String> {
    names.into_iter().map(ImageReference::familiar).collect()
}

pub(super) fn image_view(image: &Image) -> ImageView {
    let config = &image.config;
    ImageView {
        id: image.id.to_string(),
        tags: familiar(&image.tags),
        digests: familiar(&image.digests),
        parent: image
            .parent
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        comment: comment(config).to_owned(),
        author: config.author.clone(),
        created_at: config.created,
        architecture: config.platform.architecture.clone(),
        variant: config.platform.variant.clone().unwrap_or_default(),
        os: config.platform.os.clone(),
        size_bytes: i64::try_from(image.size_bytes).unwrap_or(i64::MAX),
        shared_size_bytes: None,
        n_containers: None,
        labels: config.config.labels.clone(),
        config: config.config.clone(),
        diff_ids: image.diff_ids.iter().map(ToString::to_string).collect(),
        last_tagged_at: image.tagged_at,
        manifests: None,
    }
}
