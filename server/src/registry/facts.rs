//! What is told of repositories, tags and manifests, and what may be said of a
//! repository.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use hythe_oci::{Manifest, RepositoryName, Tag, media_type};
use serde::Deserialize;

use super::catalog::Page;
use super::policies::terms;
use super::{Registry, RegistryError, Visible};
use crate::db::{ManifestFacts, RepositoryChange, RepositoryRecord, TagRecord};

/// The most repositories or tags of one page.
const PAGE_ENTRIES: u32 = 1000;

/// Larger configs are not read for platform and labels.
const CONFIG_BYTES: u64 = 1 << 20;

/// Labels beyond this many bytes are not kept.
const LABELS_BYTES: usize = 32 << 10;

/// A description beyond this many characters is cut.
const DESCRIPTION_CHARS: usize = 1000;

/// The annotation or label that says what an image is (OCI image specification,
/// and what was used before it).
const DESCRIPTIONS: [&str; 3] = [
    "org.opencontainers.image.description",
    "org.label-schema.description",
    "description",
];

/// Manifests that are described together after an update.
const BATCH: u32 = 100;

/// What is read of an image's config.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ImageConfig {
    os: String,
    architecture: String,
    variant: String,
    config: Option<RuntimeConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RuntimeConfig {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

impl Registry {
    /// A page of repositories after `last` that the caller may see.
    pub(crate) async fn describe_repositories(
        &self,
        n: Option<u32>,
        last: &str,
        visible: Visible<'_>,
    ) -> Result<Page<RepositoryRecord>, RegistryError> {
        let limit = n.unwrap_or(PAGE_ENTRIES).min(PAGE_ENTRIES);
        let mut last = last.to_owned();
        let mut seen = Vec::new();
        loop {
            let batch = self.db.describe_repositories(&last, limit + 1).await?;
            let is_last = batch.len() <= limit as usize;
            if let Some(record) = batch.last() {
                last = record.name.to_string();
            }
            seen.extend(batch.into_iter().filter(|record| visible(&record.name)));
            if is_last || seen.len() > limit as usize {
                return Ok(Page::cut(seen, limit));
            }
        }
    }

    /// What is known of one repository.
    pub(crate) async fn describe_repository(
        &self,
        name: &RepositoryName,
    ) -> Result<RepositoryRecord, RegistryError> {
        let found = self.db.describe_repository(name).await?;
        found.ok_or_else(|| RegistryError::NameUnknown(name.clone()))
    }

    /// A page of tags after `last`.
    pub(crate) async fn describe_tags(
        &self,
        name: &RepositoryName,
        n: Option<u32>,
        last: &str,
    ) -> Result<Page<TagRecord>, RegistryError> {
        let limit = n.unwrap_or(PAGE_ENTRIES).min(PAGE_ENTRIES);
        let tags = self.db.describe_tags(name, last, limit + 1).await?;
        if tags.is_empty() && !self.db.repository_exists(name).await? {
            return Err(RegistryError::NameUnknown(name.clone()));
        }
        Ok(Page::cut(tags, limit))
    }

    /// What is known of one tag.
    pub(crate) async fn describe_tag(
        &self,
        name: &RepositoryName,
        tag: &Tag,
    ) -> Result<TagRecord, RegistryError> {
        let found = self.db.describe_tag(name, tag).await?;
        found.ok_or_else(|| RegistryError::ManifestUnknown(tag.to_string()))
    }

    /// Gives or takes the star of an account.
    pub(crate) async fn set_star(
        &self,
        name: &RepositoryName,
        account: &str,
        given: bool,
    ) -> Result<(), RegistryError> {
        known(name, self.db.set_star(name, account, given).await?)
    }

    /// Changes description and flags.
    pub(crate) async fn change_repository(
        &self,
        name: &RepositoryName,
        change: &RepositoryChange,
    ) -> Result<(), RegistryError> {
        let changed = self.db.change_repository(name, change).await?;
        known(name, changed)
    }

    /// Deletes a repository with everything in it. Its blobs' bytes go with the
    /// next collection, unless others show them.
    pub(crate) async fn delete_repository(
        &self,
        name: &RepositoryName,
        by: &str,
    ) -> Result<(), RegistryError> {
        let policies = self.policies().await?;
        let deleted = self
            .db
            .delete_repository(name, terms(&policies, by))
            .await?;
        known(name, deleted)
    }

    /// Reads the facts of manifests that an older program stored, and indexes
    /// what it did not; safe to interrupt anywhere.
    pub(crate) async fn describe_what_is_old(&self) -> Result<(), RegistryError> {
        loop {
            let batch = self.db.undescribed(BATCH).await?;
            for old in &batch {
                let facts = match Manifest::parse(&old.content, None) {
                    Ok((manifest, _)) => self.facts_of(&old.repository, &manifest).await,
                    // Its media type came beside it; it is served as it is.
                    Err(_) => ManifestFacts::default(),
                };
                self.db.describe(old, &facts).await?;
            }
            if batch.len() < BATCH as usize {
                break;
            }
        }
        while self.db.index_outdated(BATCH).await? == u64::from(BATCH) {}
        Ok(())
    }

    /// What a manifest and its config say; where the config cannot be read,
    /// that is less.
    pub(super) async fn facts_of(
        &self,
        repository: &RepositoryName,
        manifest: &Manifest,
    ) -> ManifestFacts {
        let mut facts = ManifestFacts::default();
        let mut labels = BTreeMap::new();
        if let Manifest::Image(image) = manifest {
            let blobs = std::iter::once(&image.config).chain(&image.layers);
            let sizes = blobs.map(|blob| blob.size);
            facts.content_bytes = sizes.fold(0, u64::saturating_add);
            if let Some(config) = self.image_config(repository, &image.config).await {
                facts.platform = config.platform();
                labels = config.config.unwrap_or_default().labels.unwrap_or_default();
            }
        }
        let annotations = manifest.annotations();
        labels.extend(annotations.iter().map(|(k, v)| (k.clone(), v.clone())));
        let said = DESCRIPTIONS.iter().find_map(|key| labels.get(*key));
        facts.description = said.map_or_else(String::new, |text| {
            text.chars().take(DESCRIPTION_CHARS).collect()
        });
        facts.labels = kept(labels);
        facts
    }

    /// The config of an image, if it is one that can be read.
    async fn image_config(
        &self,
        repository: &RepositoryName,
        config: &hythe_oci::Descriptor,
    ) -> Option<ImageConfig> {
        let is_image = [media_type::OCI_CONFIG, media_type::DOCKER_CONFIG];
        if !is_image.contains(&config.media_type.as_str()) || config.size > CONFIG_BYTES {
            return None;
        }
        let bytes = self.small_blob(repository, &config.digest).await;
        let bytes = bytes
            .inspect_err(|error| tracing::debug!(%error, "a config is not read"))
            .ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    async fn small_blob(
        &self,
        repository: &RepositoryName,
        digest: &hythe_oci::Digest,
    ) -> Result<Vec<u8>, RegistryError> {
        let blob = self.get_blob(repository, digest).await?;
        let size_bytes = blob.size_bytes.min(CONFIG_BYTES);
        let pieces: Vec<Bytes> = blob.read(0..size_bytes).await?.try_collect().await?;
        Ok(pieces.concat())
    }
}

fn known(name: &RepositoryName, found: bool) -> Result<(), RegistryError> {
    if found {
        Ok(())
    } else {
        Err(RegistryError::NameUnknown(name.clone()))
    }
}

impl ImageConfig {
    fn platform(&self) -> String {
        if self.os.is_empty() || self.architecture.is_empty() {
            return String::new();
        }
        let parts = [&self.os, &self.architecture, &self.variant];
        let said = parts.into_iter().filter(|part| !part.is_empty());
        said.map(String::as_str).collect::<Vec<_>>().join("/")
    }
}

/// As many labels as are kept, as a JSON object.
fn kept(labels: BTreeMap<String, String>) -> String {
    let mut bytes = 0;
    let few: BTreeMap<String, String> = labels
        .into_iter()
        .take_while(|(key, value)| {
            bytes += key.len() + value.len();
            bytes <= LABELS_BYTES
        })
        .collect();
    serde_json::to_string(&few).unwrap_or_default()
}
