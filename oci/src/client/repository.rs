//! One repository on one host: its manifests and tags. Blobs come in `download`, go out in
//! `upload`; every request takes the road in `request`.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use serde::Deserialize;

use super::error::read_limited;
use super::request::{Access, Ask};
use super::{Client, ClientError, Credentials};
use crate::digest::Digest;
use crate::manifest::{Descriptor, Manifest, ManifestError};
use crate::media_type;
use crate::reference::{Reference, RepositoryName, Tag};

/// No client or registry takes a larger manifest.
const MAX_MANIFEST_BYTES: usize = 4 << 20;

/// A page of a million tags of the longest kind is larger; registries send thousands.
const MAX_TAG_PAGE_BYTES: usize = 64 << 20;

/// Pages of a tag list beyond which somebody is playing with us.
const MAX_TAG_PAGES: usize = 10_000;

/// A repository, and who asks.
#[derive(Debug, Clone)]
pub struct RemoteRepository {
    pub(super) client: Client,
    pub(super) host: String,
    pub(super) name: RepositoryName,
    pub(super) credentials: Credentials,
}

/// A manifest as it came, its digest checked.
#[derive(Debug, Clone)]
pub struct FetchedManifest {
    pub bytes: Bytes,
    pub media_type: String,
    pub digest: Digest,
    pub manifest: Manifest,
}

impl RemoteRepository {
    pub(super) fn new(
        client: Client,
        host: String,
        name: RepositoryName,
        credentials: Credentials,
    ) -> Self {
        Self {
            client,
            host,
            name,
            credentials,
        }
    }

    /// `host[:port]`, as the reference had it.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// Reads a manifest (end-3). Asked for by digest, its bytes have that digest; asked for by
    /// tag, they have the digest that the registry said.
    pub async fn get_manifest(
        &self,
        reference: &Reference,
    ) -> Result<FetchedManifest, ClientError> {
        let what = self.manifest_words(reference);
        let answer = self
            .pull(&manifest_ask(Method::GET, reference), &what)
            .await?;
        let expected = match reference {
            Reference::Digest(digest) => Some(digest.clone()),
            Reference::Tag(_) => content_digest(answer.headers()),
        };
        let content_type = content_type(answer.headers());
        let body = read_limited(answer, MAX_MANIFEST_BYTES).await;
        let bytes = body.ok_or_else(|| {
            ClientError::bad_answer(&what, "its manifest is cut short or larger than 4 MiB")
        })?;
        let digest = match expected {
            Some(expected) => verified(&what, expected, &bytes)?,
            None => Digest::of(&bytes),
        };
        let (manifest, media_type) = parse_manifest(&bytes, content_type.as_deref())
            .map_err(|source| ClientError::Manifest { what, source })?;
        Ok(FetchedManifest {
            bytes: bytes.into(),
            media_type,
            digest,
            manifest,
        })
    }

    /// What a tag or digest names now (end-3); `None` when there is no such manifest.
    pub async fn head_manifest(
        &self,
        reference: &Reference,
    ) -> Result<Option<Descriptor>, ClientError> {
        let what = self.manifest_words(reference);
        let ask = manifest_ask(Method::HEAD, reference);
        let answer = match self.pull(&ask, &what).await {
            Ok(answer) => answer,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Some(descriptor) = described(answer.headers()) {
            return Ok(Some(descriptor));
        }
        // Not every registry says all of it; the manifest itself does.
        let fetched = self.get_manifest(reference).await?;
        let size = fetched.bytes.len() as u64;
        Ok(Some(Descriptor::new(
            &fetched.media_type,
            fetched.digest,
            size,
        )))
    }

    /// Stores a manifest under a tag or its digest (end-7). Returns the digest of the bytes, which
    /// the registry's answer may not contradict.
    pub async fn put_manifest(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<Digest, ClientError> {
        let what = self.manifest_words(reference);
        let digest = match reference {
            Reference::Digest(digest) => verified(&what, digest.clone(), &bytes)?,
            Reference::Tag(_) => Digest::of(&bytes),
        };
        let mut ask = Ask::new(Method::PUT, format!("manifests/{reference}"), Access::Push);
        let content_type = HeaderValue::from_str(media_type).map_err(|_| {
            let source = ManifestError::UnknownMediaType(media_type.to_owned());
            let what = what.clone();
            ClientError::Manifest { what, source }
        })?;
        ask.headers.insert(header::CONTENT_TYPE, content_type);
        ask.body = bytes;
        let answer = self.ask(&ask, &what).await?;
        match content_digest(answer.headers()) {
            Some(actual) if actual.algorithm() == digest.algorithm() && actual != digest => {
                Err(ClientError::WrongDigest {
                    what,
                    expected: digest,
                    actual,
                })
            }
            _ => Ok(digest),
        }
    }

    /// Every tag of the repository, in the registry's order (end-8). What is no tag by the
    /// specification cannot be asked for and is left out.
    pub async fn list_tags(&self) -> Result<Vec<Tag>, ClientError> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let what = format!("tags of {}/{}", self.host, self.name);
        let mut tags = Vec::new();
        let mut path = "tags/list".to_owned();
        for _ in 0..MAX_TAG_PAGES {
            let ask = Ask::new(Method::GET, path, Access::Pull);
            let answer = self.pull(&ask, &what).await?;
            let next = next_page(answer.headers());
            let body = read_limited(answer, MAX_TAG_PAGE_BYTES).await;
            let page = body.and_then(|body| serde_json::from_slice::<Page>(&body).ok());
            let page = page.ok_or_else(|| ClientError::bad_answer(&what, "no tag list"))?;
            let texts = page.tags.unwrap_or_default().into_iter();
            tags.extend(texts.filter_map(|text| text.parse::<Tag>().ok()));
            match next {
                Some(query) => path = format!("tags/list?{query}"),
                None => return Ok(tags),
            }
        }
        Err(ClientError::bad_answer(&what, "its tag list does not end"))
    }

    /// How errors name a manifest: as people type it.
    fn manifest_words(&self, reference: &Reference) -> String {
        let separator = match reference {
            Reference::Tag(_) => ':',
            Reference::Digest(_) => '@',
        };
        format!("{}/{}{separator}{reference}", self.host, self.name)
    }
}

fn manifest_ask(method: Method, reference: &Reference) -> Ask {
    let mut ask = Ask::new(method, format!("manifests/{reference}"), Access::Pull);
    for media_type in media_type::MANIFESTS {
        let media_type = HeaderValue::from_static(media_type);
        ask.headers.append(header::ACCEPT, media_type);
    }
    ask
}

fn verified(what: &str, expected: Digest, bytes: &[u8]) -> Result<Digest, ClientError> {
    let actual = Digest::of_with(expected.algorithm(), bytes);
    if actual == expected {
        return Ok(actual);
    }
    Err(ClientError::WrongDigest {
        what: what.to_owned(),
        expected,
        actual,
    })
}

/// Registries that do not know a manifest's type send a type that says nothing.
fn parse_manifest(
    bytes: &[u8],
    content_type: Option<&str>,
) -> Result<(Manifest, String), ManifestError> {
    let says_nothing = |text: &&str| {
        matches!(
            media_type::essence(text),
            "application/json" | "text/plain" | "application/octet-stream"
        )
    };
    Manifest::parse(bytes, content_type.filter(|text| !says_nothing(text)))
}

/// The descriptor that an answer's headers are, when they say all of it.
fn described(headers: &HeaderMap) -> Option<Descriptor> {
    let media_type = content_type(headers)?;
    let digest = content_digest(headers)?;
    let size = headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()?;
    Some(Descriptor::new(
        media_type::essence(&media_type),
        digest,
        size,
    ))
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?;
    value.to_str().ok().map(str::to_owned)
}

fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    let value = headers.get("docker-content-digest")?;
    value.to_str().ok()?.parse().ok()
}

/// The query of a `Link: <…?query>; rel="next"`; its path is ours, wherever a proxy moved it.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(header::LINK)?.to_str().ok()?;
    let (target, parameters) = link.trim_start().strip_prefix('<')?.split_once('>')?;
    let next = parameters.contains("rel=\"next\"") || parameters.contains("rel=next");
    let (_, query) = target.split_once('?')?;
    next.then(|| query.to_owned())
}
