//! Manifests and indexes: what they point at, read from bytes that are kept as they came.
//!
//! OCI image manifests and indexes, Docker schema 2 manifests and lists. Unknown fields are left
//! alone: whoever stores a manifest stores its bytes, never what is parsed here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::media_type;

const SCHEMA_VERSION: u32 = 2;

/// Why some bytes are no manifest that we take.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("the manifest is not valid JSON for its media type")]
    Json(#[from] serde_json::Error),
    #[error(
        "manifests of Docker schema 1 are not supported: push the image again with a client of this decade"
    )]
    Schema1,
    #[error("schemaVersion is {0:?}, not 2")]
    SchemaVersion(Option<u32>),
    #[error("media type {0:?} is not a manifest's")]
    UnknownMediaType(String),
    #[error("the manifest says its media type is {inside:?}, its sender says {outside:?}")]
    MediaTypeMismatch { inside: String, outside: String },
    #[error("the manifest has both layers and manifests")]
    Ambiguous,
}

/// A pointer to content, image spec `descriptor.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_as_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_empty"
    )]
    pub urls: Vec<String>,
    /// The content itself, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

impl Descriptor {
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            artifact_type: None,
            platform: None,
            annotations: BTreeMap::new(),
            urls: Vec::new(),
            data: None,
        }
    }
}

/// The system an image is for, image spec `image-index.md`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    #[serde(rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
}

/// An image manifest, or an artifact in the shape of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    pub config: Descriptor,
    /// Lowest first.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_as_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// An image index or manifest list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    #[serde(default, deserialize_with = "null_as_empty")]
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_as_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// Go writes empty maps and lists as `null`.
fn null_as_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Anything that a tag can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    Image(Box<ImageManifest>),
    Index(Box<ImageIndex>),
}

/// The fields that decide how the rest is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: Option<u32>,
    media_type: Option<String>,
    layers: Option<serde::de::IgnoredAny>,
    manifests: Option<serde::de::IgnoredAny>,
}

impl Outline {
    fn check_version(&self, outside: Option<&str>) -> Result<(), ManifestError> {
        if self.schema_version == Some(1) || outside.is_some_and(media_type::is_schema1) {
            return Err(ManifestError::Schema1);
        }
        if self.schema_version == Some(SCHEMA_VERSION) {
            Ok(())
        } else {
            Err(ManifestError::SchemaVersion(self.schema_version))
        }
    }

    /// What the sender says and what is inside must agree; without either the fields tell.
    ///
    /// A document that could be read as a manifest and as an index is refused: two clients could
    /// see two different images in it (CVE-2021-41190).
    fn media_type(&self, outside: Option<&str>) -> Result<String, ManifestError> {
        if self.layers.is_some() && self.manifests.is_some() {
            return Err(ManifestError::Ambiguous);
        }
        match (self.media_type.as_deref(), outside) {
            (Some(inside), Some(outside)) if inside != outside => {
                Err(ManifestError::MediaTypeMismatch {
                    inside: inside.to_owned(),
                    outside: outside.to_owned(),
                })
            }
            (Some(known), _) | (None, Some(known)) => Ok(known.to_owned()),
            (None, None) if self.manifests.is_some() => Ok(media_type::OCI_INDEX.to_owned()),
            (None, None) => Ok(media_type::OCI_MANIFEST.to_owned()),
        }
    }
}

impl Manifest {
    /// Reads `bytes`, which came as `content_type`; without one the manifest says what it is.
    ///
    /// Returns the media type too, which is not always inside.
    pub fn parse(
        bytes: &[u8],
        content_type: Option<&str>,
    ) -> Result<(Self, String), ManifestError> {
        let outline: Outline = serde_json::from_slice(bytes)?;
        let outside = content_type
            .map(media_type::essence)
            .filter(|text| !text.is_empty());
        outline.check_version(outside)?;
        let media_type = outline.media_type(outside)?;
        let manifest = if media_type::is_index(&media_type) {
            Self::Index(Box::new(serde_json::from_slice(bytes)?))
        } else if media_type::is_image_manifest(&media_type) {
            Self::Image(Box::new(serde_json::from_slice(bytes)?))
        } else {
            return Err(ManifestError::UnknownMediaType(media_type));
        };
        Ok((manifest, media_type))
    }

    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Image(manifest) => manifest.subject.as_ref(),
            Self::Index(index) => index.subject.as_ref(),
        }
    }

    pub fn annotations(&self) -> &BTreeMap<String, String> {
        match self {
            Self::Image(manifest) => &manifest.annotations,
            Self::Index(index) => &index.annotations,
        }
    }

    /// What a referrers list shows: an image falls back to its config's media type, an index to
    /// nothing (distribution spec, "Listing Referrers").
    pub fn artifact_type(&self) -> Option<&str> {
        let said = |text: &'_ Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        match self {
            Self::Image(manifest) if said(&manifest.artifact_type) => {
                manifest.artifact_type.as_deref()
            }
            Self::Image(manifest) => Some(&manifest.config.media_type),
            Self::Index(index) => index
                .artifact_type
                .as_deref()
                .filter(|text| !text.is_empty()),
        }
    }

    /// The blobs it cannot do without: the config and every layer that is not foreign.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let image = match self {
            Self::Image(manifest) => Some(manifest),
            Self::Index(_) => None,
        };
        image.into_iter().flat_map(|manifest| {
            let needed = |layer: &&Descriptor| !media_type::is_foreign_layer(&layer.media_type);
            std::iter::once(&manifest.config).chain(manifest.layers.iter().filter(needed))
        })
    }

    /// The manifests that an index lists.
    pub fn children(&self) -> &[Descriptor] {
        match self {
            Self::Image(_) => &[],
            Self::Index(index) => &index.manifests,
        }
    }
}

impl Platform {
    /// The system this program was built for, in Go's words.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", Some("v8".to_owned())),
            "arm" => ("arm", Some("v7".to_owned())),
            "powerpc64" => ("ppc64le", None),
            other => (other, None),
        };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant,
            os_version: None,
        }
    }

    /// Reads `os[/architecture[/variant]]`, or an architecture alone, as `--platform` has it.
    pub fn parse(text: &str) -> Option<Self> {
        let word = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(word) {
            return None;
        }
        let lower = |part: &str| part.to_ascii_lowercase();
        let host = Self::host();
        let (os, architecture, variant) = match parts[..] {
            ["linux"] => ("linux".to_owned(), host.architecture, host.variant),
            [architecture] => ("linux".to_owned(), lower(architecture), None),
            [os, architecture] => (lower(os), lower(architecture), None),
            [os, architecture, variant] => (lower(os), lower(architecture), Some(lower(variant))),
            _ => return None,
        };
        Some(Self {
            architecture: go_architecture(&architecture).to_owned(),
            os,
            variant,
            os_version: None,
        })
    }

    /// Whether something made for `self` is what somebody who asked for `wanted` gets.
    pub fn satisfies(&self, wanted: &Self) -> bool {
        let variant = |platform: &Self| match (platform.architecture.as_str(), &platform.variant) {
            // arm64 has one variant in practice, and it is often left out.
            ("arm64", None) => Some("v8".to_owned()),
            (_, variant) => variant.clone(),
        };
        self.os == wanted.os
            && go_architecture(&self.architecture) == go_architecture(&wanted.architecture)
            && (variant(wanted).is_none() || variant(self) == variant(wanted))
    }
}

/// Go's name of an architecture, from uname's.
fn go_architecture(name: &str) -> &str {
    match name {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" => "386",
        other => other,
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl ImageIndex {
    /// The first manifest for `wanted`; one that names no platform is nobody's.
    pub fn for_platform(&self, wanted: &Platform) -> Option<&Descriptor> {
        let made_for = |descriptor: &&Descriptor| {
            descriptor
                .platform
                .as_ref()
                .is_some_and(|platform| platform.satisfies(wanted))
        };
        self.manifests.iter().find(made_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn image(fields: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,{fields}"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{DIGEST}","size":0}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","digest":"{DIGEST}","size":1,"urls":null}}],"annotations":null,"own":1}}"#
        )
    }

    #[test]
    fn an_image_is_read_and_foreign_layers_are_not_needed() {
        let (manifest, media_type) = Manifest::parse(image("").as_bytes(), None).unwrap();
        assert_eq!(media_type, media_type::OCI_MANIFEST);
        assert_eq!(manifest.blobs().count(), 1);
        assert_eq!(manifest.artifact_type(), Some(media_type::OCI_CONFIG));
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        let typed = format!(r#""mediaType":"{}","#, media_type::OCI_MANIFEST);
        let both = image(r#""manifests":[],"#);
        let cases: [(&str, Option<&str>); 7] = [
            ("{", None),
            ("[]", None),
            (r#"{"schemaVersion":1}"#, None),
            (r#"{"schemaVersion":3}"#, None),
            (&image(&typed), Some(media_type::OCI_INDEX)),
            (&both, None),
            (&image(""), Some("text/plain")),
        ];
        for (text, content_type) in cases {
            assert!(
                Manifest::parse(text.as_bytes(), content_type).is_err(),
                "{text}"
            );
        }
        assert!(Manifest::parse(image(&typed).as_bytes(), Some(media_type::OCI_MANIFEST)).is_ok());
    }

    #[test]
    fn platforms_match_as_docker_has_it() {
        let platform = |text: &str| Platform::parse(text).unwrap();
        for (made, wanted, fits) in [
            ("linux/amd64", "linux/amd64", true),
            ("linux/amd64", "x86_64", true),
            ("linux/arm64/v8", "linux/arm64", true),
            ("linux/arm64", "linux/arm64/v8", true),
            ("linux/arm/v6", "linux/arm/v7", false),
            ("windows/amd64", "linux/amd64", false),
        ] {
            assert_eq!(
                platform(made).satisfies(&platform(wanted)),
                fits,
                "{made} for {wanted}"
            );
        }
        assert_eq!(Platform::parse("linux/"), None);
        assert_eq!(Platform::parse("a/b/c/d"), None);
    }
}
