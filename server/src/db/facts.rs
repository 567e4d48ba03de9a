//! Table `manifest_facts`, and what is told of repositories and their tags.

use hythe_oci::{Digest, RepositoryName, Tag};
use jiff::Timestamp;
use serde::Serialize;
use sqlx::AnyConnection;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{
    Database, DbError, optional_time, parsed, repositories, retrying, search, size, stored, time,
};

/// What a manifest and its config say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ManifestFacts {
    /// `os/architecture[/variant]`; empty where there is none.
    pub(crate) platform: String,
    /// The size of config and layers.
    pub(crate) content_bytes: u64,
    pub(crate) description: String,
    /// A JSON object of labels and annotations.
    pub(crate) labels: String,
}

/// A manifest whose facts were never read: an older program stored it.
#[derive(Clone, Debug)]
pub(crate) struct Undescribed {
    pub(crate) repository: RepositoryName,
    pub(crate) digest: Digest,
    pub(crate) content: Vec<u8>,
}

/// A repository, as it is told of.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RepositoryRecord {
    /// Its name.
    pub name: RepositoryName,
    /// What was said of it, else what its newest image says; may be empty.
    pub description: String,
    /// How many accounts gave it a star.
    pub star_count: u64,
    /// Whether an administrator said so.
    pub is_official: bool,
    /// Whether an administrator said so.
    pub is_automated: bool,
    /// How many tags it has.
    pub tag_count: u64,
    /// The size of what it shows; a blob that others show too counts whole.
    pub size_bytes: u64,
    /// When something was first pushed to it.
    pub created_at: Timestamp,
    /// When a tag of it was last pushed.
    pub pushed_at: Option<Timestamp>,
    /// When something of it was last pulled.
    pub last_pulled_at: Option<Timestamp>,
}

/// A tag, as it is told of.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TagRecord {
    /// Its name.
    pub name: Tag,
    /// What it names.
    pub digest: Digest,
    /// What that is.
    pub media_type: String,
    /// Manifest, config and layers; of an index those of all its images.
    pub size_bytes: u64,
    /// Its images.
    pub platforms: Vec<PlatformRecord>,
    /// When it was last pushed.
    pub pushed_at: Timestamp,
    /// By which account.
    pub pushed_by: String,
    /// When what it names was last pulled.
    pub last_pulled_at: Option<Timestamp>,
}

/// One image of a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlatformRecord {
    /// `os/architecture[/variant]`.
    pub platform: String,
    /// Its manifest.
    pub digest: Digest,
    /// Manifest, config and layers.
    pub size_bytes: u64,
}

/// Tags with their manifests, which they always have: LEFT JOIN says which comes
/// first. `$1` is the repository's id.
macro_rules! tag {
    ($rest:literal) => {
        concat!(
            "SELECT t.name, t.digest, t.updated_at, t.pushed_by, m.media_type, m.size_bytes,
               COALESCE(f.platform, '') AS platform, COALESCE(f.content_bytes, 0) AS content_bytes,
               f.last_pulled_at
             FROM tags t
             LEFT JOIN manifests m ON m.repository_id = t.repository_id AND m.digest = t.digest
             LEFT JOIN manifest_facts f
               ON f.repository_id = t.repository_id AND f.digest = t.digest
             WHERE t.repository_id = $1 AND ",
            $rest
        )
    };
}

/// A repository with what is counted of it; `$1` and what follows narrow it.
macro_rules! repository {
    ($rest:literal) => {
        concat!(
            "SELECT r.name, r.star_count, r.official, r.automated, r.created_at, r.used_bytes,
               CASE r.description WHEN '' THEN r.image_description ELSE r.description END AS said,
               (SELECT COUNT(*) FROM tags t WHERE t.repository_id = r.id) AS n_tags,
               (SELECT MAX(t.updated_at) FROM tags t
                WHERE t.repository_id + 0 = r.id) AS pushed_at,
               (SELECT MAX(f.last_pulled_at) FROM manifest_facts f
                WHERE f.repository_id = r.id) AS last_pulled_at
             FROM repositories r
             WHERE EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = r.id) AND ",
            $rest
        )
    };
}

/// Tags after one, in byte order.
pub(super) const TAGS: &str = tag!("t.name > $2 ORDER BY t.name LIMIT $3");

/// Repositories after one, in byte order.
pub(super) const REPOSITORIES: &str = repository!("r.name > $1 ORDER BY r.name LIMIT $2");

impl Database {
    /// What is known of one repository.
    pub(crate) async fn describe_repository(
        &self,
        name: &RepositoryName,
    ) -> Result<Option<RepositoryRecord>, DbError> {
        let row = sqlx::query(repository!("r.name = $1"))
            .bind(name.as_str())
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(repository).transpose()
    }

    /// Up to `limit` repositories after `last`, in byte order.
    pub(crate) async fn describe_repositories(
        &self,
        last: &str,
        limit: u32,
    ) -> Result<Vec<RepositoryRecord>, DbError> {
        let rows = sqlx::query(REPOSITORIES)
            .bind(last)
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(repository).collect()
    }

    /// Up to `limit` tags after `last`, in byte order.
    pub(crate) async fn describe_tags(
        &self,
        repository: &RepositoryName,
        last: &str,
        limit: u32,
    ) -> Result<Vec<TagRecord>, DbError> {
        let mut connection = self.readers.acquire().await?;
        let Some(id) = repositories::find(&mut connection, repository).await? else {
            return Ok(Vec::new());
        };
        let rows = sqlx::query(TAGS)
            .bind(id)
            .bind(last)
            .bind(i64::from(limit))
            .fetch_all(&mut *connection)
            .await?;
        let mut tags = Vec::with_capacity(rows.len());
        for row in &rows {
            tags.push(tag(&mut connection, id, row).await?);
        }
        Ok(tags)
    }

    /// What is known of one tag.
    pub(crate) async fn describe_tag(
        &self,
        repository: &RepositoryName,
        name: &Tag,
    ) -> Result<Option<TagRecord>, DbError> {
        let mut connection = self.readers.acquire().await?;
        let Some(id) = repositories::find(&mut connection, repository).await? else {
            return Ok(None);
        };
        let row = sqlx::query(tag!("t.name = $2"))
            .bind(id)
            .bind(name.as_str())
            .fetch_optional(&mut *connection)
            .await?;
        match row {
            Some(row) => tag(&mut connection, id, &row).await.map(Some),
            None => Ok(None),
        }
    }

    /// Notes when manifests were last pulled; those that are gone are passed
    /// over.
    pub(crate) async fn note_pulls(
        &self,
        pulls: &[(RepositoryName, Digest, i64)],
    ) -> Result<(), DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            for (repository, digest, at) in pulls {
                sqlx::query(
                    "UPDATE manifest_facts SET last_pulled_at = $1
                     WHERE repository_id = (SELECT id FROM repositories WHERE name = $2)
                       AND digest = $3 AND (last_pulled_at IS NULL OR last_pulled_at < $1)",
                )
                .bind(*at)
                .bind(repository.as_str())
                .bind(digest.to_string())
                .execute(&mut *connection)
                .await?;
            }
            write.commit().await
        })
        .await
    }

    /// Up to `limit` manifests without facts.
    pub(crate) async fn undescribed(&self, limit: u32) -> Result<Vec<Undescribed>, DbError> {
        let rows = sqlx::query(
            "SELECT r.name, m.digest, m.content FROM manifests m
             JOIN repositories r ON r.id = m.repository_id
             WHERE NOT EXISTS (SELECT 1 FROM manifest_facts f
                 WHERE f.repository_id = m.repository_id AND f.digest = m.digest)
             LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        let each = rows.iter().map(|row| {
            Ok(Undescribed {
                repository: parsed(row, "name")?,
                digest: parsed(row, "digest")?,
                content: row.try_get("content")?,
            })
        });
        each.collect()
    }

    /// Adds the facts of a manifest that an older program stored.
    pub(crate) async fn describe(
        &self,
        undescribed: &Undescribed,
        facts: &ManifestFacts,
    ) -> Result<(), DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let Some(id) = repositories::find(connection, &undescribed.repository).await? else {
                return Ok(());
            };
            put(connection, id, (&undescribed.digest, facts, "")).await?;
            // Its words may be those of the repository.
            sqlx::query("UPDATE repositories SET words_version = 0 WHERE id = $1")
                .bind(id)
                .execute(&mut *connection)
                .await?;
            search::refresh(self.kind, connection, id).await?;
            write.commit().await
        })
        .await
    }
}

#[cfg(test)]
impl Database {
    /// As a program left it that knew nothing of facts.
    pub(crate) async fn forget_facts(&self) -> Result<(), DbError> {
        let mut write = self.begin().await?;
        for statement in [
            "DELETE FROM manifest_facts",
            "DELETE FROM repository_words",
            "UPDATE repositories SET words_version = 0, described_by = '', image_description = ''",
        ] {
            let statement = sqlx::query(statement);
            statement.execute(write.connection()?).await?;
        }
        write.commit().await
    }
}

/// Stores the facts of a manifest that the transaction knows to exist.
pub(super) async fn put(
    connection: &mut AnyConnection,
    repository_id: i64,
    (digest, facts, pushed_by): (&Digest, &ManifestFacts, &str),
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO manifest_facts (repository_id, digest, platform, content_bytes,
                                     description, labels, pushed_by)
         SELECT repository_id, digest, $3, $4, $5, $6, $7 FROM manifests
         WHERE repository_id = $1 AND digest = $2
         ON CONFLICT (repository_id, digest) DO UPDATE
         SET platform = excluded.platform, content_bytes = excluded.content_bytes,
             description = excluded.description, labels = excluded.labels,
             pushed_by = excluded.pushed_by",
    )
    .bind(repository_id)
    .bind(digest.to_string())
    .bind(facts.platform.as_str())
    .bind(stored(facts.content_bytes))
    .bind(facts.description.as_str())
    .bind(facts.labels.as_str())
    .bind(pushed_by)
    .execute(connection)
    .await?;
    Ok(())
}

fn repository(row: &AnyRow) -> Result<RepositoryRecord, DbError> {
    Ok(RepositoryRecord {
        name: parsed(row, "name")?,
        description: row.try_get("said")?,
        star_count: size(row, "star_count")?,
        is_official: row.try_get::<i64, _>("official")? != 0,
        is_automated: row.try_get::<i64, _>("automated")? != 0,
        created_at: time(row, "created_at")?,
        size_bytes: size(row, "used_bytes")?,
        tag_count: size(row, "n_tags")?,
        pushed_at: optional_time(row, "pushed_at")?,
        last_pulled_at: optional_time(row, "last_pulled_at")?,
    })
}

async fn tag(
    connection: &mut AnyConnection,
    repository_id: i64,
    row: &AnyRow,
) -> Result<TagRecord, DbError> {
    let digest: Digest = parsed(row, "digest")?;
    let own_bytes = size(row, "size_bytes")? + size(row, "content_bytes")?;
    let platform: String = row.try_get("platform")?;
    let mut record = TagRecord {
        name: parsed(row, "name")?,
        media_type: row.try_get("media_type")?,
        size_bytes: own_bytes,
        platforms: Vec::new(),
        pushed_at: time(row, "updated_at")?,
        pushed_by: row.try_get("pushed_by")?,
        last_pulled_at: optional_time(row, "last_pulled_at")?,
        digest,
    };
    if !platform.is_empty() {
        record.platforms.push(PlatformRecord {
            platform,
            digest: record.digest.clone(),
            size_bytes: own_bytes,
        });
        return Ok(record);
    }
    let children = sqlx::query(
        "SELECT m.digest, m.size_bytes + f.content_bytes AS whole_bytes, f.platform
         FROM manifest_references e
         JOIN manifests m ON m.repository_id = e.repository_id AND m.digest = e.target_digest
         JOIN manifest_facts f ON f.repository_id = m.repository_id AND f.digest = m.digest
         WHERE e.repository_id = $1 AND e.manifest_digest = $2 AND e.target_kind = 'manifest'
         ORDER BY f.platform, m.digest",
    )
    .bind(repository_id)
    .bind(record.digest.to_string())
    .fetch_all(connection)
    .await?;
    for child in &children {
        let size_bytes = size(child, "whole_bytes")?;
        record.size_bytes += size_bytes;
        let platform: String = child.try_get("platform")?;
        if !platform.is_empty() {
            let digest = parsed(child, "digest")?;
            record.platforms.push(PlatformRecord {
                platform,
                digest,
                size_bytes,
            });
        }
    }
    Ok(record)
}
