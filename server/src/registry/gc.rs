//! Garbage collection, while everything else goes on.
//!
//! ```text
//! tags that no retention rule keeps
//! manifests that nothing leads to    (only when asked for)
//!   -> links that no manifest uses   row by row, each looked at again
//!     -> blobs that no repository shows            in its own transaction
//!       -> objects that no row names
//! ```
//!
//! Each step is one short transaction that leaves the registry whole, so a
//! crash between any two loses nothing and the next run goes on. Nothing
//! younger than the grace period goes, so that a push in progress keeps its
//! blobs; objects wait that long too, for the sake of whoever is reading them.

use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use hythe_oci::{Digest, RepositoryName, Tag};
use serde::Serialize;

use super::{Registry, RegistryError};

/// Rows that are looked at together.
const BATCH: u32 = 500;

/// What a run may collect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Nothing younger goes.
    pub(crate) grace: Duration,
    /// Whether manifests go that no tag, index or subject leads to.
    pub(crate) untagged_manifests: bool,
    /// Upload sessions that nothing was heard of for so long go.
    pub(crate) upload_expire: Duration,
    /// What a tag named within that time stays.
    pub(crate) tag_history: Duration,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Collected {
    /// Upload sessions that were dropped.
    pub uploads: u64,
    /// Tags that no retention rule keeps.
    pub tags: u64,
    /// Manifests that were deleted.
    pub manifests: u64,
    /// Blobs that a repository does not show any more.
    pub links: u64,
    /// Blobs that are gone.
    pub blobs: u64,
    /// The size of those blobs, in bytes.
    pub blob_bytes: u64,
    /// Objects that were deleted from the store.
    pub objects: u64,
    /// Uploads to the object store that a crash left and that were aborted.
    pub multiparts: u64,
}

/// One thing that a run would remove now, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "remove", rename_all = "snake_case")]
pub enum Finding {
    /// An upload session that nothing was heard of for too long.
    Upload {
        /// Where.
        repository: RepositoryName,
        /// Which.
        id: String,
        /// How much it holds.
        size_bytes: u64,
    },
    /// A tag that no retention rule keeps.
    Tag {
        /// Where.
        repository: RepositoryName,
        /// Which.
        tag: Tag,
        /// Why not.
        why: String,
    },
    /// A manifest that no tag, index or subject leads to.
    Manifest {
        /// Where.
        repository: RepositoryName,
        /// Which.
        digest: Digest,
    },
    /// A blob that its repository shows and no manifest there uses.
    Link {
        /// Where.
        repository: RepositoryName,
        /// Which.
        digest: Digest,
    },
    /// A blob that no repository shows.
    Blob {
        /// Which.
        digest: Digest,
        /// How much it holds.
        size_bytes: u64,
    },
    /// An object that a removed row named.
    Object {
        /// Its key in the store.
        key: String,
    },
    /// An upload to the object store that a crash left; the store keeps its
    /// parts until it is aborted.
    Multipart {
        /// The key of what it would have become.
        key: String,
    },
    /// An object that no row ever named: left by a crash between the bytes and
    /// the row.
    Unnamed {
        /// Its key in the store.
        key: String,
        /// How much it holds.
        size_bytes: u64,
    },
}

impl Registry {
    /// Removes everything that nothing leads to and that is old enough.
    pub(crate) async fn collect(&self, policy: Policy) -> Result<Collected, RegistryError> {
        let before_ms = before(policy.grace);
        let mut collected = Collected {
            uploads: self.expire_uploads(policy.upload_expire).await?,
            tags: self.expire_tags().await?,
            ..Collected::default()
        };
        let history_ms = before(policy.tag_history);
        self.db.forget_moves(history_ms).await?;
        if policy.untagged_manifests {
            for repository in self.all_repositories().await? {
                let times = (before_ms, history_ms);
                collected.manifests += self.db.collect_manifests(&repository, times).await?;
            }
        }
        self.collect_links(before_ms, &mut collected).await?;
        self.collect_blobs(&mut collected).await?;
        self.collect_objects(before_ms, &mut collected).await?;
        let age = policy.grace.max(policy.upload_expire);
        collected.multiparts = self.store.abort_orphans(before(age)).await?;
        Ok(collected)
    }

    /// What [`Registry::collect`] would begin with, removing nothing. What only
    /// becomes free through these is not listed.
    pub(crate) async fn explain(
        &self,
        policy: Policy,
        audit: bool,
    ) -> Result<Vec<Finding>, RegistryError> {
        let before_ms = before(policy.grace);
        let stale = self.db.stale_uploads(before(policy.upload_expire)).await?;
        let stale = stale.into_iter().map(|stale| Finding::Upload {
            repository: stale.repository,
            id: stale.id,
            size_bytes: stale.size_bytes,
        });
        let mut findings: Vec<Finding> = stale.collect();
        let tags = self.decide_tags().await?.into_iter();
        findings.extend(tags.filter(|tag| tag.remove).map(|tag| Finding::Tag {
            repository: tag.repository,
            tag: tag.tag,
            why: tag.why,
        }));
        let times = (before_ms, before(policy.tag_history));
        if policy.untagged_manifests {
            for repository in self.all_repositories().await? {
                for digest in self.db.unreachable_manifests(&repository, times).await? {
                    let repository = repository.clone();
                    findings.push(Finding::Manifest { repository, digest });
                }
            }
        }
        for link in self.db.unused_links(before_ms, u32::MAX).await? {
            findings.push(Finding::Link {
                repository: link.repository,
                digest: link.digest,
            });
        }
        for blob in self.db.unlinked_blobs(u32::MAX).await? {
            findings.push(Finding::Blob {
                digest: blob.digest,
                size_bytes: blob.size_bytes,
            });
        }
        for key in self.db.garbage_objects(before_ms, u32::MAX).await? {
            findings.push(Finding::Object { key });
        }
        let age = policy.grace.max(policy.upload_expire);
        for key in self.store.orphans(before(age)).await? {
            findings.push(Finding::Multipart { key });
        }
        if audit {
            let mut unnamed = self.unnamed_objects(policy);
            while let Some((key, size_bytes)) = unnamed.try_next().await? {
                findings.push(Finding::Unnamed { key, size_bytes });
            }
        }
        Ok(findings)
    }

    /// Drops upload sessions that nothing was heard of for `expire`; how many.
    async fn expire_uploads(&self, expire: Duration) -> Result<u64, RegistryError> {
        let mut expired = 0;
        loop {
            let batch = self.db.expire_uploads(before(expire), BATCH).await?;
            expired += batch;
            if batch < u64::from(BATCH) {
                return Ok(expired);
            }
        }
    }

    /// Queues objects that were written and never named: a crash between the
    /// bytes and the row. Walks the whole store; how many were queued.
    pub(crate) async fn audit_objects(&self, policy: Policy) -> Result<u64, RegistryError> {
        let mut unnamed = self.unnamed_objects(policy);
        let mut queued = 0;
        while let Some((key, _)) = unnamed.try_next().await? {
            self.db.queue_garbage(&[key]).await?;
            queued += 1;
        }
        Ok(queued)
    }

    /// Objects that no row names, with their sizes.
    ///
    /// An object is young until the longest upload in one request is over, which
    /// is what `upload_expire` says: the first segments of such an upload are
    /// finished long before any row names them.
    fn unnamed_objects(
        &self,
        policy: Policy,
    ) -> BoxStream<'_, Result<(String, u64), RegistryError>> {
        let age = policy.grace.max(policy.upload_expire);
        self.store
            .list(before(age))
            .map_err(RegistryError::from)
            .try_filter_map(async |(key, size_bytes)| {
                let named = self.db.names_object(&key).await?;
                Ok((!named).then_some((key, size_bytes)))
            })
            .boxed()
    }

    async fn collect_links(
        &self,
        before_ms: i64,
        collected: &mut Collected,
    ) -> Result<(), RegistryError> {
        loop {
            let candidates = self.db.unused_links(before_ms, BATCH).await?;
            let mut removed = 0;
            for candidate in &candidates {
                removed += u64::from(self.db.collect_link(candidate, before_ms).await?);
            }
            collected.links += removed;
            // A batch of which nothing went is in use again; it would only come
            // back.
            if removed == 0 || candidates.len() < BATCH as usize {
                return Ok(());
            }
        }
    }

    async fn collect_blobs(&self, collected: &mut Collected) -> Result<(), RegistryError> {
        loop {
            let candidates = self.db.unlinked_blobs(BATCH).await?;
            let mut removed = 0;
            for candidate in &candidates {
                if self.db.collect_blob(&candidate.digest).await? {
                    removed += 1;
                    collected.blob_bytes += candidate.size_bytes;
                }
            }
            collected.blobs += removed;
            if removed == 0 || candidates.len() < BATCH as usize {
                return Ok(());
            }
        }
    }

    async fn collect_objects(
        &self,
        before_ms: i64,
        collected: &mut Collected,
    ) -> Result<(), RegistryError> {
        loop {
            let keys = self.db.garbage_objects(before_ms, BATCH).await?;
            let asked = keys.len();
            let gone = self.store.delete(keys).await;
            self.db.forget_garbage(&gone).await?;
            collected.objects += gone.len() as u64;
            if gone.is_empty() || asked < BATCH as usize {
                return Ok(());
            }
        }
    }

    pub(super) async fn all_repositories(&self) -> Result<Vec<RepositoryName>, RegistryError> {
        let mut names: Vec<RepositoryName> = Vec::new();
        loop {
            let last = names.last().map(ToString::to_string).unwrap_or_default();
            let page = self.db.list_repositories(&last, BATCH).await?;
            let more = page.len() == BATCH as usize;
            names.extend(page);
            if !more {
                return Ok(names);
            }
        }
    }
}

/// The time `age` ago, in milliseconds since 1970.
pub(super) fn before(age: Duration) -> i64 {
    let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::now()
        .as_millisecond()
        .saturating_sub(age_ms)
}
