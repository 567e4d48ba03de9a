//! Manifests: checked, stored byte for byte, named by tags.

use bytes::Bytes;
use hythe_oci::{Digest, Reference, RepositoryName, Tag, media_type};

use super::policies::terms;
use super::{Registry, RegistryError};
use crate::db::{ManifestRecord, NewManifest};

/// A manifest as it was pushed.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) content: Bytes,
}

/// A push, as it was asked for (end-7).
#[derive(Clone, Debug)]
pub(crate) struct PushManifest {
    pub(crate) reference: Reference,
    /// Tags beside the reference (end-7b).
    pub(crate) tags: Vec<Tag>,
    /// What the client calls the content.
    pub(crate) content_type: Option<String>,
    pub(crate) content: Bytes,
    /// The account that pushes.
    pub(crate) pushed_by: String,
}

/// A push that is done.
#[derive(Clone, Debug)]
pub(crate) struct PushedManifest {
    pub(crate) digest: Digest,
    /// What it refers to, if it does: it is in that one's referrers now.
    pub(crate) subject: Option<Digest>,
    /// The tags that point at it now, in the order they were asked for.
    pub(crate) tags: Vec<Tag>,
}

impl Registry {
    /// The manifest that a tag or digest names (end-3).
    pub(crate) async fn get_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Manifest, RegistryError> {
        let found = self.db.find_manifest(repository, reference).await?;
        found
            .map(Manifest::from)
            .ok_or_else(|| RegistryError::ManifestUnknown(reference.to_string()))
    }

    /// Stores a manifest and its tags, all or nothing (end-7a, end-7b).
    pub(crate) async fn put_manifest(
        &self,
        repository: &RepositoryName,
        push: PushManifest,
    ) -> Result<PushedManifest, RegistryError> {
        let digest = match &push.reference {
            Reference::Digest(claimed) => verified(claimed, &push.content)?,
            Reference::Tag(_) => Digest::of(&push.content),
        };
        let mut tags = push.tags;
        if let Reference::Tag(tag) = push.reference {
            tags.push(tag);
        }
        let (manifest, media_type) =
            hythe_oci::Manifest::parse(&push.content, push.content_type.as_deref())
                .map_err(|error| RegistryError::ManifestInvalid(reason(&error)))?;
        let subject = manifest.subject().map(|subject| subject.digest.clone());
        let targets = Targets::of(&manifest);
        let annotations = annotations(&manifest)?;
        let facts = self.facts_of(repository, &manifest).await;
        let policies = self.policies().await?;
        let missing = self
            .db
            .put_manifest(
                &NewManifest {
                    repository,
                    digest: &digest,
                    media_type: &media_type,
                    content: &push.content,
                    subject: subject.as_ref(),
                    artifact_type: manifest.artifact_type(),
                    annotations: annotations.as_deref(),
                    blobs: &targets.blobs,
                    manifests: &targets.manifests,
                    tags: &tags,
                    facts: &facts,
                },
                !self.rules.allow_sparse,
                terms(&policies, &push.pushed_by),
            )
            .await?;
        if !missing.is_empty() {
            return Err(RegistryError::ManifestBlobUnknown(missing));
        }
        Ok(PushedManifest {
            digest,
            subject,
            tags,
        })
    }

    /// Deletes what a reference names (end-9): a tag alone, or a manifest with
    /// every tag on it.
    pub(crate) async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        by: &str,
    ) -> Result<(), RegistryError> {
        let policies = self.policies().await?;
        let by = terms(&policies, by);
        let deleted = match reference {
            Reference::Tag(tag) => self.db.delete_tag(repository, tag, by).await?,
            Reference::Digest(digest) => self.db.delete_manifest(repository, digest, by).await?,
        };
        if deleted {
            Ok(())
        } else {
            Err(RegistryError::ManifestUnknown(reference.to_string()))
        }
    }
}

impl From<ManifestRecord> for Manifest {
    fn from(record: ManifestRecord) -> Self {
        Self {
            digest: record.digest,
            media_type: record.media_type,
            content: record.content,
        }
    }
}

/// What a manifest leads to, by where it is to be found.
struct Targets {
    blobs: Vec<Digest>,
    manifests: Vec<Digest>,
}

impl Targets {
    fn of(manifest: &hythe_oci::Manifest) -> Self {
        let mut targets = Self {
            blobs: manifest.blobs().map(|blob| blob.digest.clone()).collect(),
            manifests: Vec::new(),
        };
        for child in manifest.children() {
            // Build caches list layers in an index; those are blobs.
            if media_type::is_index(&child.media_type)
                || media_type::is_image_manifest(&child.media_type)
            {
                targets.manifests.push(child.digest.clone());
            } else if !media_type::is_foreign_layer(&child.media_type) {
                targets.blobs.push(child.digest.clone());
            }
        }
        targets
    }
}

fn verified(claimed: &Digest, content: &[u8]) -> Result<Digest, RegistryError> {
    let computed = Digest::of_with(claimed.algorithm(), content);
    if computed == *claimed {
        Ok(computed)
    } else {
        Err(RegistryError::DigestMismatch {
            claimed: claimed.clone(),
            computed,
        })
    }
}

/// The annotations as a JSON object, for the referrers listing.
fn annotations(manifest: &hythe_oci::Manifest) -> Result<Option<String>, RegistryError> {
    if manifest.subject().is_none() || manifest.annotations().is_empty() {
        return Ok(None);
    }
    serde_json::to_string(manifest.annotations())
        .map(Some)
        .map_err(|error| RegistryError::ManifestInvalid(error.to_string()))
}

/// The parser's complaint with what is under it, for the client to read.
fn reason(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
