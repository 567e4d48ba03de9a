//! What can go wrong with images, in the words of images.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hythe_oci::Digest;
use hythe_oci::client::ClientError;

use super::unpack::UnpackError;
use crate::spec::ContainerId;
use crate::store::StoreError;

/// Every failure of the image floor. Texts that docker clients match are docker's own.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("No such image: {0}")]
    NotFound(String),
    /// A short id that several images share.
    #[error("Multiple images found with provided prefix: {0}")]
    Ambiguous(String),
    #[error("invalid reference format: {0}")]
    InvalidReference(String),
    /// Removal refused; the text says by whom it is used.
    #[error("{0}")]
    InUse(String),
    /// A push of what has no such name here.
    #[error("An image does not exist locally with the tag: {0}")]
    NoTag(String),
    #[error("refusing to create a tag with a digest reference")]
    TagWithDigest,
    /// The index has nothing for this machine.
    #[error("no matching manifest for {platform} in the manifest list entries")]
    NoMatchingPlatform { platform: String },
    /// The registry answered, or did not.
    #[error("{reference}")]
    Registry {
        reference: String,
        #[source]
        source: ClientError,
    },
    /// The manifest or config of an image says something that cannot be.
    #[error("image {reference}: {reason}")]
    BadImage { reference: String, reason: String },
    /// A layer did not arrive or did not check out.
    #[error("layer {layer}")]
    Layer {
        layer: Digest,
        /// Shared: every pull that waited for the layer gets it.
        #[source]
        source: Arc<LayerError>,
    },
    #[error("{doing} {}", path.display())]
    Disk {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("container {0} has no file system")]
    NoSnapshot(ContainerId),
    /// What was loaded is no archive of images.
    #[error("the archive cannot be loaded: {0}")]
    BadArchive(String),
    #[error("the records of images")]
    Records(#[from] StoreError),
    /// A background task died.
    #[error("a background task of the image store was cancelled")]
    Cancelled,
}

/// What was wrong with one layer.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// It did not arrive, or with another digest than the manifest says.
    #[error("download")]
    Download(#[source] ClientError),
    #[error("the unpacked content has DiffId {found}, the image's config says {expected}")]
    DiffIdMismatch { expected: Digest, found: Digest },
    #[error("upload")]
    Upload(#[source] ClientError),
    #[error("layers of media type {0} cannot be unpacked")]
    MediaType(String),
    #[error("unpack")]
    Unpack(#[source] UnpackError),
    #[error("{doing}")]
    Disk {
        doing: &'static str,
        #[source]
        source: io::Error,
    },
    /// A background task died.
    #[error("its task was cancelled")]
    Cancelled,
}

impl LayerError {
    /// Names what failed, for `map_err`.
    pub(super) fn disk(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Disk { doing, source }
    }
}

/// An error with its sources, for texts that carry no source.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
