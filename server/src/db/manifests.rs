//! Tables `manifests` and `manifest_references`: what was pushed, byte for
//! byte, and what it leads to.

use bytes::Bytes;
use hythe_oci::{Digest, Reference, RepositoryName, Tag};
use sqlx::AnyConnection;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::facts::{self, ManifestFacts};
use super::history::{self, Reason};
use super::repositories::{self, Lock};
use super::terms::Terms;
use super::{
    Database, DbError, Kind, now_ms, parsed, quotas, retrying, search, size, stored, tags,
};

/// A manifest as it is served.
#[derive(Clone, Debug)]
pub(crate) struct ManifestRecord {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) content: Bytes,
}

/// A checked manifest, ready to be stored.
#[derive(Clone, Debug)]
pub(crate) struct NewManifest<'a> {
    pub(crate) repository: &'a RepositoryName,
    pub(crate) digest: &'a Digest,
    pub(crate) media_type: &'a str,
    pub(crate) content: &'a Bytes,
    pub(crate) subject: Option<&'a Digest>,
    pub(crate) artifact_type: Option<&'a str>,
    /// A JSON object.
    pub(crate) annotations: Option<&'a str>,
    /// Config and layers; those that are never pushed are left out.
    pub(crate) blobs: &'a [Digest],
    /// Children of an index.
    pub(crate) manifests: &'a [Digest],
    pub(crate) tags: &'a [Tag],
    pub(crate) facts: &'a ManifestFacts,
}

/// One line of a referrers listing.
#[derive(Clone, Debug)]
pub(crate) struct ReferrerRecord {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) size_bytes: u64,
    pub(crate) artifact_type: Option<String>,
    /// A JSON object.
    pub(crate) annotations: Option<String>,
}

/// What a tag names.
pub(super) const BY_TAG: &str = "SELECT m.digest, m.media_type, m.content FROM repositories r
         JOIN tags t ON t.repository_id = r.id
         JOIN manifests m ON m.repository_id = r.id AND m.digest = t.digest
         WHERE r.name = $1 AND t.name = $2";

impl Database {
    /// The manifest that a tag or digest names (end-3).
    #[tracing::instrument(target = "hythe_trace", name = "db.find_manifest", skip_all)]
    pub(crate) async fn find_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<ManifestRecord>, DbError> {
        let Reference::Tag(tag) = reference else {
            return self.read_manifest(repository, reference).await;
        };
        // Before the read: a commit that comes between the two is one more.
        let Some(commits) = self.writer.settled() else {
            return self.read_manifest(repository, reference).await;
        };
        if let Some(record) = self.recent.get(commits, (repository, tag)) {
            return Ok(Some(record));
        }
        let found = self.read_manifest(repository, reference).await?;
        if let Some(record) = &found {
            self.recent.put(commits, (repository, tag), record);
        }
        Ok(found)
    }

    async fn read_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<ManifestRecord>, DbError> {
        let query = match reference {
            Reference::Digest(digest) => sqlx::query(
                "SELECT m.digest, m.media_type, m.content FROM repositories r
                 JOIN manifests m ON m.repository_id = r.id
                 WHERE r.name = $1 AND m.digest = $2",
            )
            .bind(repository.as_str())
            .bind(digest.to_string()),
            Reference::Tag(tag) => sqlx::query(BY_TAG)
                .bind(repository.as_str())
                .bind(tag.as_str()),
        };
        let row = query.fetch_optional(&self.readers).await?;
        row.map(|row| {
            Ok(ManifestRecord {
                digest: parsed(&row, "digest")?,
                media_type: row.try_get("media_type")?,
                content: Bytes::from(row.try_get::<Vec<u8>, _>("content")?),
            })
        })
        .transpose()
    }

    /// Stores a manifest, what it leads to and its tags, all or nothing. When
    /// `complete` is asked for and the repository lacks something that it leads
    /// to, nothing is stored and the missing digests are the answer.
    #[tracing::instrument(target = "hythe_trace", name = "db.put_manifest", skip_all)]
    pub(crate) async fn put_manifest(
        &self,
        manifest: &NewManifest<'_>,
        complete: bool,
        terms: Terms<'_>,
    ) -> Result<Vec<Digest>, DbError> {
        let quotas = terms.policies.quotas_of(manifest.repository);
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            quotas::lock(self.kind, connection, &quotas).await?;
            let repository_id = repositories::ensure(connection, manifest.repository).await?;
            repositories::lock(self.kind, connection, repository_id, Lock::Adding).await?;
            if !quotas.is_empty() && !exists(connection, repository_id, manifest.digest).await? {
                let asked_bytes = manifest.content.len() as u64;
                quotas::charge(connection, &quotas, asked_bytes).await?;
            }
            upsert(connection, repository_id, manifest).await?;
            insert_references(self.kind, connection, repository_id, manifest).await?;
            let pushed = (manifest.digest, manifest.facts, terms.by);
            facts::put(connection, repository_id, pushed).await?;
            if complete {
                let missing = missing_targets(connection, repository_id, manifest.digest).await?;
                if !missing.is_empty() {
                    return Ok(missing);
                }
            }
            for tag in manifest.tags {
                let at = (repository_id, manifest.repository);
                let moved = (tag, manifest.digest, Reason::Push);
                tags::set(connection, at, moved, terms).await?;
            }
            search::refresh(self.kind, connection, repository_id).await?;
            write.commit().await?;
            Ok(Vec::new())
        })
        .await
    }

    /// Deletes a manifest and every tag on it (end-9); false when the
    /// repository has no such manifest.
    #[tracing::instrument(target = "hythe_trace", name = "db.delete_manifest", skip_all)]
    pub(crate) async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        terms: Terms<'_>,
    ) -> Result<bool, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let Some(repository_id) = repositories::find(connection, repository).await? else {
                return Ok(false);
            };
            repositories::lock(self.kind, connection, repository_id, Lock::Removing).await?;
            for (tag, digest) in history::tags_of(connection, repository_id, Some(digest)).await? {
                terms.check_tag(repository, &tag)?;
                let moved = (Some(&digest), None);
                let why = (Reason::Delete, terms.by);
                history::note(connection, (repository_id, &tag), moved, why).await?;
            }
            let deleted =
                sqlx::query("DELETE FROM manifests WHERE repository_id = $1 AND digest = $2")
                    .bind(repository_id)
                    .bind(digest.to_string())
                    .execute(&mut *connection)
                    .await?;
            search::refresh(self.kind, connection, repository_id).await?;
            write.commit().await?;
            Ok(deleted.rows_affected() > 0)
        })
        .await
    }

    /// Up to `limit` manifests after `last` whose subject is `subject`
    /// (end-12), only those of one artifact type when that is given.
    #[tracing::instrument(target = "hythe_trace", name = "db.list_referrers", skip_all)]
    pub(crate) async fn list_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
        (last, limit): (&str, u32),
    ) -> Result<Vec<ReferrerRecord>, DbError> {
        let rows = sqlx::query(
            "SELECT m.digest, m.media_type, m.size_bytes, m.artifact_type, m.annotations
             FROM repositories r JOIN manifests m ON m.repository_id = r.id
             WHERE r.name = $1 AND m.subject = $2 AND m.digest > $3
               AND ($4 = '' OR m.artifact_type = $4)
             ORDER BY m.digest LIMIT $5",
        )
        .bind(repository.as_str())
        .bind(subject.to_string())
        .bind(last)
        .bind(artifact_type.unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(referrer).collect()
    }
}

fn referrer(row: &AnyRow) -> Result<ReferrerRecord, DbError> {
    Ok(ReferrerRecord {
        digest: parsed(row, "digest")?,
        media_type: row.try_get("media_type")?,
        size_bytes: size(row, "size_bytes")?,
        artifact_type: row.try_get("artifact_type")?,
        annotations: row.try_get("annotations")?,
    })
}

async fn upsert(
    connection: &mut AnyConnection,
    repository_id: i64,
    manifest: &NewManifest<'_>,
) -> Result<(), DbError> {
    // The same digest is the same bytes; only when it was last pushed and what
    // the client calls it can differ.
    sqlx::query(
        "INSERT INTO manifests (repository_id, digest, media_type, size_bytes, content,
                                subject, artifact_type, annotations, pushed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (repository_id, digest) DO UPDATE
         SET media_type = excluded.media_type, pushed_at = excluded.pushed_at",
    )
    .bind(repository_id)
    .bind(manifest.digest.to_string())
    .bind(manifest.media_type)
    .bind(stored(manifest.content.len() as u64))
    .bind(manifest.content.to_vec())
    .bind(manifest.subject.map(ToString::to_string))
    .bind(manifest.artifact_type)
    .bind(manifest.annotations)
    .bind(now_ms())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn exists(
    connection: &mut AnyConnection,
    repository_id: i64,
    digest: &Digest,
) -> Result<bool, DbError> {
    let row =
        sqlx::query("SELECT 1 AS one FROM manifests WHERE repository_id = $1 AND digest = $2")
            .bind(repository_id)
            .bind(digest.to_string())
            .fetch_optional(connection)
            .await?;
    Ok(row.is_some())
}

/// All in one statement: a manifest may have a hundred layers.
async fn insert_references(
    kind: Kind,
    connection: &mut AnyConnection,
    repository_id: i64,
    manifest: &NewManifest<'_>,
) -> Result<(), DbError> {
    let blobs = manifest.blobs.iter().map(|digest| (digest, "blob"));
    let manifests = manifest.manifests.iter().map(|digest| (digest, "manifest"));
    let targets = blobs
        .chain(manifests)
        .map(|(target, kind)| [target.to_string(), kind.to_owned()])
        .collect::<serde_json::Value>();
    let statement = match kind {
        Kind::Sqlite => {
            "INSERT INTO manifest_references
               (repository_id, manifest_digest, target_digest, target_kind)
             SELECT $1, $2, t.value ->> 0, t.value ->> 1 FROM json_each($3) t
             WHERE true ON CONFLICT DO NOTHING"
        }
        Kind::Postgres => {
            "INSERT INTO manifest_references
               (repository_id, manifest_digest, target_digest, target_kind)
             SELECT $1, $2, t.value ->> 0, t.value ->> 1 FROM json_array_elements($3::json) t
             ON CONFLICT DO NOTHING"
        }
    };
    sqlx::query(statement)
        .bind(repository_id)
        .bind(manifest.digest.to_string())
        .bind(targets.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// What a stored manifest leads to and its repository lacks.
async fn missing_targets(
    connection: &mut AnyConnection,
    repository_id: i64,
    digest: &Digest,
) -> Result<Vec<Digest>, DbError> {
    let rows = sqlx::query(
        "SELECT f.target_digest FROM manifest_references f
         WHERE f.repository_id = $1 AND f.manifest_digest = $2
           AND (f.target_kind <> 'blob' OR NOT EXISTS (
                SELECT 1 FROM repository_blobs l
                JOIN blobs b ON b.digest = l.digest AND b.quarantined_at IS NULL
                WHERE l.repository_id = f.repository_id AND l.digest = f.target_digest))
           AND (f.target_kind <> 'manifest' OR NOT EXISTS (
                SELECT 1 FROM manifests m
                WHERE m.repository_id = f.repository_id AND m.digest = f.target_digest))
         ORDER BY f.target_digest",
    )
    .bind(repository_id)
    .bind(digest.to_string())
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| parsed(row, "target_digest"))
        .collect()
}
