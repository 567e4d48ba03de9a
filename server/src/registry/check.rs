//! Compares what the rows say with what the store holds. Changes nothing.
//!
//! Folder by folder, so that memory stays small however large the store is:
//! rows first, then objects, then a second look at whatever does not match,
//! because pushes and collections go on meanwhile.

use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use hythe_oci::{Digest, RepositoryName};
use serde::Serialize;

use super::gc::before;
use super::{Policy, Registry, RegistryError};
use crate::blob_store::{BlobStore, StoredObject};
use crate::db::{NamedBy, Schema, Segment, TaggedIn};

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum Problem {
    /// There is no database; the first start makes it.
    NoDatabase,
    /// There is no folder for blobs; the first start makes it.
    NoStore,
    /// The next start applies a migration.
    PendingMigration {
        /// Its number.
        version: i64,
        /// What it is about.
        title: String,
    },
    /// A migration was applied from another file than this program has; it will
    /// not start.
    ChangedMigration {
        /// Its number.
        version: i64,
    },
    /// A newer program changed the schema; this one will not start.
    UnknownMigration {
        /// Its number.
        version: i64,
    },
    /// A row names an object that is not in the store.
    MissingObject {
        /// Its key.
        key: String,
        /// Whose it is.
        holder: ObjectHolder,
    },
    /// An object has another size than its row says.
    WrongSize {
        /// Its key.
        key: String,
        /// What the row says.
        expected_bytes: u64,
        /// What the store says.
        actual_bytes: u64,
        /// Whose it is.
        holder: ObjectHolder,
    },
    /// A scrub found that a blob is not what its digest says.
    QuarantinedBlob {
        /// Which.
        digest: Digest,
        /// What is wrong with it.
        reason: String,
        /// Who is hurt.
        hurts: Vec<Hurt>,
    },
    /// No row names the object, and it is too old to be part of a push under way.
    UnnamedObject {
        /// Its key.
        key: String,
        /// How much would become free.
        size_bytes: u64,
    },
}

/// To whom an object belongs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectHolder {
    /// A blob, and who is hurt when it is bad.
    Blob {
        /// Which.
        digest: Digest,
        /// Where it is shown.
        hurts: Vec<Hurt>,
    },
    /// An upload under way.
    Upload {
        /// Which.
        id: String,
    },
}

/// A repository that shows a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hurt {
    /// Which.
    pub repository: RepositoryName,
    /// Its tags that lead to the blob.
    pub tags: Vec<String>,
}

impl Problem {
    /// What a schema lacks, or has too much.
    pub(crate) fn of_schema(schema: Schema) -> Vec<Self> {
        let pending = schema.pending.into_iter();
        let pending = pending.map(|(version, title)| Self::PendingMigration { version, title });
        let changed = schema.changed.into_iter();
        let changed = changed.map(|version| Self::ChangedMigration { version });
        let unknown = schema.unknown.into_iter();
        let unknown = unknown.map(|version| Self::UnknownMigration { version });
        pending.chain(changed).chain(unknown).collect()
    }
}

impl Registry {
    /// Everything in which rows and objects differ. What is younger than a push
    /// under way may be is not counted.
    pub(crate) async fn compare(&self, policy: Policy) -> Result<Vec<Problem>, RegistryError> {
        self.store.ping().await?;
        let old_ms = before(policy.grace.max(policy.upload_expire));
        let mut problems = Vec::new();
        for folder in BlobStore::folders() {
            let named = self.db.named_objects(&folder).await?;
            let stored: Vec<StoredObject> = self.store.list_folder(&folder).try_collect().await?;
            let mut stored: HashMap<String, StoredObject> = stored
                .into_iter()
                .map(|object| (object.key.clone(), object))
                .collect();
            for object in named {
                let size_bytes = stored
                    .remove(&object.segment.object_key)
                    .map(|object| object.size_bytes);
                problems.extend(
                    self.doubt(object.segment, object.holder, size_bytes)
                        .await?,
                );
            }
            let mut unnamed: Vec<StoredObject> = stored.into_values().collect();
            unnamed.sort_by(|a, b| a.key.cmp(&b.key));
            for object in unnamed {
                if object.finished_ms < old_ms && !self.db.names_object(&object.key).await? {
                    problems.push(Problem::UnnamedObject {
                        key: object.key,
                        size_bytes: object.size_bytes,
                    });
                }
            }
        }
        Ok(problems)
    }

    /// A row's object as the listing had it; a difference is looked at again.
    async fn doubt(
        &self,
        segment: Segment,
        holder: NamedBy,
        listed_bytes: Option<u64>,
    ) -> Result<Option<Problem>, RegistryError> {
        if listed_bytes == Some(segment.size_bytes) {
            return Ok(None);
        }
        let holder = match holder {
            NamedBy::Garbage => return Ok(None),
            NamedBy::Blob(digest) => {
                let hurts = self.hurts(&digest).await?;
                ObjectHolder::Blob { digest, hurts }
            }
            NamedBy::Upload(id) => ObjectHolder::Upload { id },
        };
        let key = segment.object_key;
        let actual = self.store.size_of(&key).await?;
        if actual == Some(segment.size_bytes) || !self.db.names_object(&key).await? {
            return Ok(None);
        }
        Ok(Some(match actual {
            None => Problem::MissingObject { key, holder },
            Some(actual_bytes) => Problem::WrongSize {
                key,
                expected_bytes: segment.size_bytes,
                actual_bytes,
                holder,
            },
        }))
    }

    /// Every blob that a scrub found wrong and nobody repaired yet.
    pub(crate) async fn quarantined(&self) -> Result<Vec<Problem>, RegistryError> {
        let mut problems = Vec::new();
        for blob in self.db.quarantined_blobs().await? {
            problems.push(Problem::QuarantinedBlob {
                hurts: self.hurts(&blob.digest).await?,
                digest: blob.digest,
                reason: blob.reason,
            });
        }
        Ok(problems)
    }

    /// Where a blob is shown, and which tags lead to it there.
    pub(crate) async fn hurts(&self, digest: &Digest) -> Result<Vec<Hurt>, RegistryError> {
        Ok(by_repository(self.db.tags_of_blob(digest).await?))
    }
}

fn by_repository(rows: Vec<TaggedIn>) -> Vec<Hurt> {
    let mut hurts: Vec<Hurt> = Vec::new();
    for (repository, tag) in rows {
        match hurts.last_mut() {
            Some(last) if last.repository == repository => last.tags.extend(tag),
            _ => hurts.push(Hurt {
                repository,
                tags: tag.into_iter().collect(),
            }),
        }
    }
    hurts
}
