//! Referrers: which manifests say that another one is their subject (end-12).

use std::collections::BTreeMap;

use hythe_oci::{Algorithm, Digest, Reference, RepositoryName};

use super::{Registry, RegistryError};
use crate::db::ReferrerRecord;

/// How many rows are looked at for one page.
const PAGE_ENTRIES: u32 = 500;
/// Clients refuse an index above 4 MiB, and a manifest's annotations alone may
/// come near that.
const PAGE_BYTES: usize = 3 * 1024 * 1024;
/// What an entry takes beside its annotations.
const ENTRY_BYTES: usize = 512;

/// One entry of the listing.
#[derive(Clone, Debug)]
pub(crate) struct Referrer {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) size_bytes: u64,
    pub(crate) artifact_type: Option<String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// One page of the listing.
#[derive(Clone, Debug)]
pub(crate) struct ReferrersPage {
    pub(crate) referrers: Vec<Referrer>,
    /// Where the next page begins, if there is one.
    pub(crate) next: Option<Digest>,
}

impl Registry {
    /// Referrers of a subject, after the digest `last`. A subject that does not
    /// exist has none.
    pub(crate) async fn list_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        last: Option<&Digest>,
    ) -> Result<ReferrersPage, RegistryError> {
        let after = last.map(ToString::to_string).unwrap_or_default();
        let records = self
            .db
            .list_referrers(
                repository,
                subject,
                artifact_type,
                (&after, PAGE_ENTRIES + 1),
            )
            .await?;
        let mut page = cut(records)?;
        if last.is_none() && page.next.is_none() {
            let folded = self.fallback(repository, subject, artifact_type).await?;
            for referrer in folded {
                if page
                    .referrers
                    .iter()
                    .all(|known| known.digest != referrer.digest)
                {
                    page.referrers.push(referrer);
                }
            }
        }
        Ok(page)
    }

    /// What clients of registries without this listing keep in an index under a
    /// tag made of the subject's digest ("Referrers Tag Schema"): images copied
    /// from there bring it along. Only what this repository really has.
    async fn fallback(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Referrer>, RegistryError> {
        let Some(tag) = fallback_tag(subject) else {
            return Ok(Vec::new());
        };
        let Some(found) = self.db.find_manifest(repository, &tag).await? else {
            return Ok(Vec::new());
        };
        let Ok((manifest, _)) = hythe_oci::Manifest::parse(&found.content, Some(&found.media_type))
        else {
            return Ok(Vec::new());
        };
        let mut referrers = Vec::new();
        for child in manifest.children() {
            if artifact_type.is_some() && child.artifact_type.as_deref() != artifact_type {
                continue;
            }
            let reference = Reference::Digest(child.digest.clone());
            if self
                .db
                .find_manifest(repository, &reference)
                .await?
                .is_some()
            {
                referrers.push(Referrer {
                    digest: child.digest.clone(),
                    media_type: child.media_type.clone(),
                    size_bytes: child.size,
                    artifact_type: child.artifact_type.clone(),
                    annotations: child.annotations.clone(),
                });
            }
        }
        Ok(referrers)
    }
}

/// `sha256-<hex>`; the hexadecimal part is cut to 64 characters.
fn fallback_tag(subject: &Digest) -> Option<Reference> {
    let algorithm = match subject.algorithm() {
        Algorithm::Sha256 => "sha256",
        Algorithm::Sha512 => "sha512",
    };
    let hex: String = subject.hex().chars().take(64).collect();
    format!("{algorithm}-{hex}")
        .parse()
        .ok()
        .map(Reference::Tag)
}

/// As many entries as fit into one page.
fn cut(records: Vec<ReferrerRecord>) -> Result<ReferrersPage, RegistryError> {
    let mut referrers: Vec<Referrer> = Vec::new();
    let mut bytes = 0;
    for record in records {
        bytes += ENTRY_BYTES + record.annotations.as_deref().map_or(0, str::len);
        let full = bytes > PAGE_BYTES || referrers.len() >= PAGE_ENTRIES as usize;
        if full && let Some(last) = referrers.last() {
            return Ok(ReferrersPage {
                next: Some(last.digest.clone()),
                referrers,
            });
        }
        referrers.push(referrer(record)?);
    }
    Ok(ReferrersPage {
        referrers,
        next: None,
    })
}

fn referrer(record: ReferrerRecord) -> Result<Referrer, RegistryError> {
    let annotations = match record.annotations {
        Some(json) => serde_json::from_str(&json)
            .map_err(|error| RegistryError::ManifestInvalid(error.to_string()))?,
        None => BTreeMap::new(),
    };
    Ok(Referrer {
        digest: record.digest,
        media_type: record.media_type,
        size_bytes: record.size_bytes,
        artifact_type: record.artifact_type,
        annotations,
    })
}
