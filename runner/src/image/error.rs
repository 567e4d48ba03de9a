//! What can go wrong with images, in the words of images.

use std::io;
use std::path::PathBuf;

use hythe_oci::Digest;

use super::unpack::UnpackError;

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
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The manifest or config of an image says something that cannot be.
    #[error("image {reference}: {reason}")]
    BadImage { reference: String, reason: String },
    /// A layer did not arrive or did not check out.
    #[error("layer {layer}")]
    Layer {
        layer: Digest,
        #[source]
        source: LayerError,
    },
    #[error("{doing} {}", path.display())]
    Disk {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A background task died.
    #[error("a background task of the image store was cancelled")]
    Cancelled,
}

/// What was wrong with one layer.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    #[error("download")]
    Download(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the blob's digest is {found}, the manifest says {expected}")]
    DigestMismatch { expected: Digest, found: Digest },
    #[error("the blob has {found} bytes, the manifest says {expected}")]
    SizeMismatch { expected: u64, found: u64 },
    #[error("the unpacked content has DiffId {found}, the image's config says {expected}")]
    DiffIdMismatch { expected: Digest, found: Digest },
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
}
