//! Names: repositories, tags, and the references people type.
//!
//! Repository and tag follow the distribution spec, "Pulling manifests". What people type follows
//! docker: `nginx` is `docker.io/library/nginx`. Pure: nothing here looks a name up.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestError, shortened};

/// The registry that docker means when a name has no host.
pub const DOCKER_HUB: &str = "docker.io";

const MAX_REPOSITORY_BYTES: usize = 255;
const MAX_TAG_BYTES: usize = 128;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("invalid repository name {:?}", shortened(.0))]
    Repository(String),
    #[error("repository name must not be longer than {MAX_REPOSITORY_BYTES} characters")]
    RepositoryTooLong,
    #[error("invalid reference format: repository name ({}) must be lowercase", shortened(.0))]
    UpperCase(String),
    /// It could not be told from the ID of an image.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
    #[error("invalid tag {:?}", shortened(.0))]
    Tag(String),
    #[error("invalid reference format: {:?}", shortened(.0))]
    Format(String),
    #[error("invalid registry host {:?}", shortened(.0))]
    Host(String),
    #[error(transparent)]
    Digest(#[from] DigestError),
}

macro_rules! checked_text {
    ($name:ident) => {
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = ReferenceError;

            fn try_from(text: String) -> Result<Self, ReferenceError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// The `<name>` of the distribution spec: lower-case path components.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(String);

checked_text!(RepositoryName);

impl FromStr for RepositoryName {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.len() > MAX_REPOSITORY_BYTES {
            return Err(ReferenceError::RepositoryTooLong);
        }
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ReferenceError::UpperCase(text.to_owned()));
        }
        if text.split('/').all(is_path_component) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ReferenceError::Repository(text.to_owned()))
        }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    alphanumeric(first)
        && alphanumeric(last)
        && text
            .split(|c: char| c.is_ascii() && alphanumeric(c as u8))
            .all(|separator| {
                matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
            })
}

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

checked_text!(Tag);

impl Tag {
    /// What a reference without tag and digest means.
    pub fn latest() -> Self {
        Self("latest".to_owned())
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let bytes = text.as_bytes();
        let well_formed = bytes.first().is_some_and(|&b| word(b))
            && bytes.len() <= MAX_TAG_BYTES
            && bytes.iter().all(|&b| word(b) || matches!(b, b'.' | b'-'));
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(ReferenceError::Tag(text.to_owned()))
        }
    }
}

/// The `<reference>` of the distribution spec: what a manifest is asked for by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    Tag(Tag),
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// A colon makes it a digest: no tag has one.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.contains(':') {
            Ok(Self::Digest(text.parse()?))
        } else {
            Ok(Self::Tag(text.parse()?))
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// A name as people type it, made whole: `host/repository[:tag][@digest]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageReference {
    pub host: String,
    pub repository: RepositoryName,
    pub tag: Option<Tag>,
    pub digest: Option<Digest>,
}

impl ImageReference {
    /// Reads what somebody typed; a name without a host is on `default_host`.
    pub fn parse(text: &str, default_host: &str) -> Result<Self, ReferenceError> {
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ReferenceError::LooksLikeId(text.to_owned()));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        // A colon after the last slash starts the tag; one before it belongs to a port.
        let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[name_start..].split_once(':') {
            Some((name, tag)) => (&rest[..name_start + name.len()], Some(tag.parse()?)),
            None => (rest, None),
        };
        if name.is_empty() {
            return Err(ReferenceError::Format(text.to_owned()));
        }
        let (host, path) = split_host(name, default_host);
        check_host(host)?;
        let path = if host == DOCKER_HUB && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        Ok(Self {
            host: host.to_owned(),
            repository: path.parse()?,
            tag,
            digest,
        })
    }

    /// The same, with the tag `latest` when it had neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(Tag::latest());
        }
        self
    }

    /// What the registry is asked for: the digest where there is one, else the tag, else `latest`.
    pub fn reference(&self) -> Reference {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Reference::Digest(digest.clone()),
            (None, Some(tag)) => Reference::Tag(tag.clone()),
            (None, None) => Reference::Tag(Tag::latest()),
        }
    }

    /// Host and repository as people say it: `nginx`, `team/app` on Docker Hub, else the host too.
    /// Also with the host where the name alone would be read as something else, as `a.b/c` would.
    pub fn familiar_name(&self) -> String {
        let name = self.repository.as_str();
        let short = name
            .strip_prefix("library/")
            .filter(|rest| !rest.contains('/'))
            .unwrap_or(name);
        let means_the_same = self.host == DOCKER_HUB
            && Self::parse(short, DOCKER_HUB)
                .is_ok_and(|read| read.host == self.host && read.repository == self.repository);
        if means_the_same {
            short.to_owned()
        } else {
            format!("{}/{name}", self.host)
        }
    }

    /// The shortest text that means the same to docker.
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_name())
    }

    fn with_suffix(&self, mut text: String) -> String {
        if let Some(tag) = &self.tag {
            text = format!("{text}:{tag}");
        }
        if let Some(digest) = &self.digest {
            text = format!("{text}@{digest}");
        }
        text
    }
}

/// The first part is a host when it could not be a repository's first part, as docker decides.
fn split_host<'a>(name: &'a str, default_host: &'a str) -> (&'a str, &'a str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            // Docker's old name for the same registry.
            let host = if first == "index.docker.io" {
                DOCKER_HUB
            } else {
                first
            };
            (host, rest)
        }
        _ => (default_host, name),
    }
}

/// `name[:port]` or `[ipv6][:port]`.
pub(crate) fn check_host(host: &str) -> Result<(), ReferenceError> {
    let wrong = || ReferenceError::Host(host.to_owned());
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or_else(wrong)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
            ("", after)
        }
        None => match host.split_once(':') {
            Some((name, _)) => (name, &host[name.len()..]),
            None => (host, ""),
        },
    };
    let label = |label: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        !label.is_empty()
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let bracketed = host.starts_with('[');
    if !bracketed && !name.split('.').all(label) {
        return Err(wrong());
    }
    match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse::<u16>().map(|_| ()).map_err(|_| wrong())
        }
        None if port.is_empty() => Ok(()),
        _ => Err(wrong()),
    }
}

impl fmt::Display for ImageReference {
    /// The whole of it, host included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_suffix(format!("{}/{}", self.host, self.repository)))
    }
}

impl TryFrom<String> for ImageReference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        Self::parse(&text, DOCKER_HUB)
    }
}

impl From<ImageReference> for String {
    fn from(reference: ImageReference) -> Self {
        reference.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn repositories() {
        let long = "a".repeat(255);
        for good in [
            "a", "a/b/c", "a-b", "a--b", "a_b", "a__b", "a.b", "0/1", &long,
        ] {
            assert!(good.parse::<RepositoryName>().is_ok(), "{good}");
        }
        let longer = "a".repeat(256);
        for bad in [
            "", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a.-b", "-a", "a_", "ä", "..",
            &longer,
        ] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn tags() {
        let long = "t".repeat(128);
        for good in ["a", "_", "V1.0-rc_1", &long] {
            assert!(good.parse::<Tag>().is_ok(), "{good}");
        }
        let longer = "t".repeat(129);
        for bad in ["", ".a", "-a", "a/b", "a:b", "a b", &longer] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_people_type_is_what_docker_understands() {
        let digest = Digest::of(b"");
        let with_digest = format!("nginx@{digest}");
        for (typed, whole, familiar) in [
            ("nginx", "docker.io/library/nginx", "nginx"),
            ("nginx:1", "docker.io/library/nginx:1", "nginx:1"),
            ("team/app", "docker.io/team/app", "team/app"),
            ("docker.io/nginx", "docker.io/library/nginx", "nginx"),
            (
                "index.docker.io/library/nginx",
                "docker.io/library/nginx",
                "nginx",
            ),
            ("localhost/app", "localhost/app", "localhost/app"),
            ("docker.io/a.b/c", "docker.io/a.b/c", "docker.io/a.b/c"),
            (
                "127.0.0.1:5000/a/b/c:2",
                "127.0.0.1:5000/a/b/c:2",
                "127.0.0.1:5000/a/b/c:2",
            ),
            ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
            (
                "reg.example.com/app",
                "reg.example.com/app",
                "reg.example.com/app",
            ),
        ] {
            let parsed = ImageReference::parse(typed, DOCKER_HUB).unwrap();
            assert_eq!(parsed.to_string(), whole);
            assert_eq!(parsed.familiar(), familiar);
        }
        let parsed = ImageReference::parse(&with_digest, DOCKER_HUB).unwrap();
        assert_eq!(parsed.reference(), Reference::Digest(digest));
        let ours = ImageReference::parse("app", "127.0.0.1:5000").unwrap();
        assert_eq!(ours.to_string(), "127.0.0.1:5000/app");
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for bad in [
            "",
            ":1",
            "@",
            "a:",
            "a@",
            "a@sha256:zz",
            "A",
            "a:b:c",
            "host:port/a",
            "a b",
            "reg.example.com/",
            "-x.com/a",
            "[::1/a",
            "[zz]:1/a",
            "x.com:99999/a",
            "https://x.com/a",
            &"0a".repeat(32),
        ] {
            assert!(ImageReference::parse(bad, DOCKER_HUB).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_parses_prints_the_same(text in "\\PC{0,60}") {
            if let Ok(parsed) = ImageReference::parse(&text, DOCKER_HUB) {
                let again = ImageReference::parse(&parsed.to_string(), DOCKER_HUB);
                prop_assert_eq!(again, Ok(parsed.clone()));
                prop_assert_eq!(ImageReference::parse(&parsed.familiar(), DOCKER_HUB), Ok(parsed));
            }
        }

        #[test]
        fn made_up_references_go_round(text in "([a-z0-9.]{1,8}(:[0-9]{1,4})?/)?[a-z0-9._/-]{1,12}(:[a-zA-Z0-9._-]{1,6})?") {
            if let Ok(parsed) = ImageReference::parse(&text, DOCKER_HUB) {
                prop_assert_eq!(ImageReference::parse(&parsed.familiar(), DOCKER_HUB), Ok(parsed));
            }
        }
    }
}
