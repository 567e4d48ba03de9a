//! Words and wire that the registry and the agent share, and the client of the distribution API.
//!
//! | module | words |
//! | --- | --- |
//! | [`digest`] | `Digest`, its hasher, and the three digests an image has |
//! | [`mod@reference`] | `RepositoryName`, `Tag`, `Reference`, `ImageReference` |
//! | [`media_type`] | media types of manifests, configurations and layers |
//! | [`pattern`] | which repositories and tags a rule means |
//! | [`platform`] | `Platform`, and which of several fits |
//! | [`manifest`] | `Manifest`, `Descriptor` |
//! | [`compression`] | how layers are packed |
//! | [`ignore_file`] | `.dockerignore`, and patterns of names |
//! | [`login_file`] | docker's `config.json`: who somebody is to a registry |
//! | [`heard_out`] | bodies of requests that are answered before they were read |
//! | [`client`] | pull, push, token flow, mirrors |
//!
//! Nothing here knows a server, a database, or a container.

pub mod client;
pub mod compression;
pub mod digest;
pub mod heard_out;
pub mod ignore_file;
pub mod login_file;
pub mod manifest;
pub mod media_type;
pub mod pattern;
pub mod platform;
pub mod reference;

pub use digest::{
    Algorithm, ChainId, DiffId, Digest, DigestError, DigestHasher, ImageId, ManifestDigest,
};
pub use heard_out::HeardOut;
pub use manifest::{Descriptor, ImageIndex, ImageManifest, Manifest, ManifestError};
pub use pattern::{RepositoryPattern, TagPattern};
pub use platform::Platform;
pub use reference::{ImageReference, Reference, ReferenceError, RepositoryName, Tag};
