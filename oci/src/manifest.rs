//! Manifests and indexes: what they point at, read from bytes that are kept as they came.
//!
//! OCI image manifests and indexes, Docker schema 2 manifests and lists. Unknown fields are left
//! alone: whoever stores a manifest stores its bytes, never what is parsed here.

use std::collections::BTreeMap;

use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, shortened};
use crate::media_type;
use crate::platform::Platform;

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
    #[error("media type {:?} is not a manifest's", shortened(.0))]
    UnknownMediaType(String),
    #[error(
        "the manifest says its media type is {:?}, its sender says {:?}",
        shortened(inside),
        shortened(outside)
    )]
    MediaTypeMismatch { inside: String, outside: String },
    /// Two clients could see two different images in it (CVE-2021-41190).
    #[error("the manifest has the fields of an image and those of an index")]
    Ambiguous,
}

/// A pointer to content, image spec `descriptor.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    /// Bytes; never more than the specification's `int64` holds.
    #[serde(deserialize_with = "int64")]
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

fn int64<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let size = u64::deserialize(deserializer)?;
    if i64::try_from(size).is_err() {
        return Err(D::Error::custom("size is larger than an int64"));
    }
    Ok(size)
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
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
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
    fn media_type(&self, outside: Option<&str>) -> Result<String, ManifestError> {
        let is_image = self.config.is_some() || self.layers.is_some();
        if is_image && self.manifests.is_some() {
            return Err(ManifestError::Ambiguous);
        }
        let media_type = match (self.media_type.as_deref(), outside) {
            (Some(inside), Some(outside)) if inside != outside => {
                return Err(ManifestError::MediaTypeMismatch {
                    inside: inside.to_owned(),
                    outside: outside.to_owned(),
                });
            }
            (Some(known), _) | (None, Some(known)) => known,
            (None, None) if is_image => media_type::OCI_MANIFEST,
            (None, None) => media_type::OCI_INDEX,
        };
        if media_type::is_index(media_type) && is_image {
            return Err(ManifestError::Ambiguous);
        }
        Ok(media_type.to_owned())
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

impl ImageIndex {
    /// The manifest that suits `wanted` best, the first of several; one that names no platform is
    /// nobody's.
    pub fn for_platform(&self, wanted: &Platform) -> Option<&Descriptor> {
        let rank = |descriptor: &Descriptor| descriptor.platform.as_ref()?.rank_for(wanted);
        let fitting = self
            .manifests
            .iter()
            .filter_map(|one| Some((rank(one)?, one)));
        fitting.min_by_key(|(rank, _)| *rank).map(|(_, one)| one)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn descriptors_are_checked() {
        let descriptor = |digest: &str, size: &str| {
            let text = format!(r#"{{"mediaType":"x","digest":"{digest}","size":{size}}}"#);
            serde_json::from_str::<Descriptor>(&text)
        };
        assert!(descriptor(DIGEST, "9223372036854775807").is_ok());
        for (digest, size) in [
            (DIGEST, "9223372036854775808"),
            (DIGEST, "-1"),
            (DIGEST, "1.5"),
            (DIGEST, "null"),
            ("sha256:abc", "1"),
            ("md5:d41d8cd98f00b204e9800998ecf8427e", "1"),
        ] {
            assert!(descriptor(digest, size).is_err(), "{digest} {size}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let index = |fields: &str| format!(r#"{{"schemaVersion":2,{fields}"manifests":[]}}"#);
        let as_index = r#"{"schemaVersion":2,"layers":[],"config":{}}"#;
        for (text, content_type) in [
            (&index(r#""layers":[],"#), None),
            (&index(r#""config":{},"#), Some(media_type::OCI_INDEX)),
            (&index(r#""config":{},"#), Some(media_type::OCI_MANIFEST)),
            (&as_index.to_owned(), Some(media_type::OCI_INDEX)),
            (&as_index.to_owned(), Some(media_type::DOCKER_LIST)),
        ] {
            let outcome = Manifest::parse(text.as_bytes(), content_type);
            assert!(matches!(outcome, Err(ManifestError::Ambiguous)), "{text}");
        }
        let null = br#"{"schemaVersion":2,"manifests":null}"#;
        assert!(Manifest::parse(null, Some(media_type::OCI_INDEX)).is_ok());
    }

    #[test]
    fn an_index_gives_the_best_that_runs() {
        let child = |variant: &str, size: u64| {
            let platform = Platform::parse(&format!("linux/arm/{variant}"));
            let digest = DIGEST.parse().unwrap();
            Descriptor {
                platform,
                ..Descriptor::new(media_type::OCI_MANIFEST, digest, size)
            }
        };
        let text = serde_json::json!({
            "schemaVersion": 2,
            "manifests": [child("v5", 5), child("v6", 6), child("v8", 8)],
        });
        let (manifest, _) = Manifest::parse(text.to_string().as_bytes(), None).unwrap();
        let Manifest::Index(index) = manifest else {
            panic!("it is an index")
        };
        let size = |wanted: &str| {
            let wanted = Platform::parse(wanted).unwrap();
            index.for_platform(&wanted).map(|child| child.size)
        };
        assert_eq!(size("linux/arm/v7"), Some(6));
        assert_eq!(size("linux/arm/v5"), Some(5));
        assert_eq!(size("linux/amd64"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_manifest_or_an_error(bytes: Vec<u8>) {
            drop(Manifest::parse(&bytes, None));
        }

        #[test]
        fn a_manifest_with_a_damaged_byte_is_read_or_refused(at in 0..400_usize, byte: u8) {
            let mut bytes = image("").into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok((manifest, _)) = Manifest::parse(&bytes, Some(media_type::OCI_MANIFEST)) {
                prop_assert!(manifest.children().is_empty());
            }
        }
    }
}
