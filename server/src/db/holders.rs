//! Who holds what: rows that name objects, tags that lead to blobs. Questions
//! of the check and of the scrub; no request asks them.

use hythe_oci::{Digest, RepositoryName};
use sqlx::Row as _;

use super::blobs::{Segment, segment};
use super::{Database, DbError, parsed};

/// An object that a row names.
#[derive(Clone, Debug)]
pub(crate) struct NamedObject {
    pub(crate) segment: Segment,
    /// Whose it is: the digest of a blob, or the id of an upload.
    pub(crate) holder: NamedBy,
}

/// The kind of row.
#[derive(Clone, Debug)]
pub(crate) enum NamedBy {
    Blob(Digest),
    Upload(String),
    /// Queued to be deleted; it may be gone already.
    Garbage,
}

/// A tag of a repository, or none when the repository shows a blob that no tag
/// leads to.
pub(crate) type TaggedIn = (RepositoryName, Option<String>);

impl Database {
    /// What rows name inside one of the store's folders.
    pub(crate) async fn named_objects(&self, folder: &str) -> Result<Vec<NamedObject>, DbError> {
        // Keys go on in hexadecimal digits, and every one of those sorts before
        // a 'g' in every collation; LIKE could not use the index in most.
        let rows = sqlx::query(
            "SELECT 'blob' AS kind, digest AS holder, object_key, size_bytes FROM blob_segments
             WHERE object_key >= $1 AND object_key < $2
             UNION ALL
             SELECT 'upload', upload_id, object_key, size_bytes FROM upload_segments
             WHERE object_key >= $1 AND object_key < $2
             UNION ALL
             SELECT 'garbage', '', object_key, 0 FROM garbage_objects
             WHERE object_key >= $1 AND object_key < $2",
        )
        .bind(format!("{folder}/"))
        .bind(format!("{folder}/g"))
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                let kind: String = row.try_get("kind")?;
                let holder = match kind.as_str() {
                    "blob" => NamedBy::Blob(parsed(row, "holder")?),
                    "upload" => NamedBy::Upload(row.try_get("holder")?),
                    _ => NamedBy::Garbage,
                };
                let segment = segment(row)?;
                Ok(NamedObject { segment, holder })
            })
            .collect()
    }

    /// Every repository that shows a blob, with each tag there that leads to it
    /// through manifests and indexes.
    pub(crate) async fn tags_of_blob(&self, digest: &Digest) -> Result<Vec<TaggedIn>, DbError> {
        let rows = sqlx::query(
            "WITH RECURSIVE above (repository_id, digest) AS (
                 SELECT f.repository_id, f.manifest_digest
                 FROM repository_blobs l JOIN manifest_references f
                   ON f.repository_id = l.repository_id AND f.target_digest = l.digest
                  AND f.target_kind = 'blob'
                 WHERE l.digest = $1
                 UNION
                 SELECT f.repository_id, f.manifest_digest
                 FROM above k JOIN manifest_references f
                   ON f.repository_id = k.repository_id AND f.target_digest = k.digest
                  AND f.target_kind = 'manifest'
             )
             SELECT DISTINCT r.name AS repository, t.name AS tag
             FROM repository_blobs l JOIN repositories r ON r.id = l.repository_id
             LEFT JOIN above k ON k.repository_id = l.repository_id
             LEFT JOIN tags t ON t.repository_id = k.repository_id AND t.digest = k.digest
             WHERE l.digest = $1 ORDER BY 1, 2",
        )
        .bind(digest.to_string())
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| Ok((parsed(row, "repository")?, row.try_get("tag")?)))
            .collect()
    }
}
