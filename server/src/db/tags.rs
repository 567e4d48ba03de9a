//! Table `tags`: names for manifests, the only thing here that moves.

use hythe_oci::{Digest, RepositoryName, Tag};
use sqlx::AnyConnection;
use sqlx::Row as _;

use super::history::{self, Reason};
use super::terms::Terms;
use super::{Database, DbError, now_ms, parsed, repositories, retrying, search};

/// A tag, for who decides whether it is kept. Times are milliseconds since 1970.
#[derive(Clone, Debug)]
pub(crate) struct TagAge {
    pub(crate) name: Tag,
    pub(crate) digest: Digest,
    pub(crate) pushed_at: i64,
    pub(crate) last_pulled_at: Option<i64>,
}

/// Tags after one, in byte order. Not a join: PostgreSQL would take it for one of
/// several repositories, and sort what is in order already.
pub(super) const LIST: &str = "SELECT t.name FROM tags t
     WHERE t.repository_id = (SELECT id FROM repositories WHERE name = $1) AND t.name > $2
     ORDER BY t.name LIMIT $3";

impl Database {
    /// Up to `limit` tags after `last`, in byte order (end-8).
    pub(crate) async fn list_tags(
        &self,
        repository: &RepositoryName,
        last: &str,
        limit: u32,
    ) -> Result<Vec<Tag>, DbError> {
        let rows = sqlx::query(LIST)
            .bind(repository.as_str())
            .bind(last)
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| parsed(row, "name")).collect()
    }

    /// Every tag of a repository, the one that was pushed last first.
    pub(crate) async fn tag_ages(
        &self,
        repository: &RepositoryName,
    ) -> Result<Vec<TagAge>, DbError> {
        let rows = sqlx::query(
            "SELECT t.name, t.digest, t.updated_at, f.last_pulled_at
             FROM repositories r JOIN tags t ON t.repository_id = r.id
             LEFT JOIN manifest_facts f
               ON f.repository_id = t.repository_id AND f.digest = t.digest
             WHERE r.name = $1 ORDER BY t.updated_at DESC, t.name DESC",
        )
        .bind(repository.as_str())
        .fetch_all(&self.readers)
        .await?;
        let each = rows.iter().map(|row| {
            Ok(TagAge {
                name: parsed(row, "name")?,
                digest: parsed(row, "digest")?,
                pushed_at: row.try_get("updated_at")?,
                last_pulled_at: row.try_get("last_pulled_at")?,
            })
        });
        each.collect()
    }

    /// Deletes a tag and leaves its manifest (end-9); false when there is none.
    pub(crate) async fn delete_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        terms: Terms<'_>,
    ) -> Result<bool, DbError> {
        self.remove_tag(repository, (tag, None), (Reason::Delete, terms))
            .await
    }

    /// Deletes a tag that is still as it was when it was decided on.
    pub(crate) async fn expire_tag(
        &self,
        repository: &RepositoryName,
        tag: &TagAge,
        terms: Terms<'_>,
    ) -> Result<bool, DbError> {
        let unchanged = Some(tag.pushed_at);
        self.remove_tag(
            repository,
            (&tag.name, unchanged),
            (Reason::Retention, terms),
        )
        .await
    }

    async fn remove_tag(
        &self,
        repository: &RepositoryName,
        (tag, pushed_at): (&Tag, Option<i64>),
        (reason, terms): (Reason, Terms<'_>),
    ) -> Result<bool, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let Some(id) = repositories::find(connection, repository).await? else {
                return Ok(false);
            };
            let deleted = sqlx::query(
                "DELETE FROM tags WHERE repository_id = $1 AND name = $2
                   AND ($3 < 0 OR updated_at = $3) RETURNING digest",
            )
            .bind(id)
            .bind(tag.as_str())
            .bind(pushed_at.unwrap_or(-1))
            .fetch_optional(&mut *connection)
            .await?;
            let Some(row) = deleted else {
                return Ok(false);
            };
            // Before the commit: a refusal undoes it.
            terms.check_tag(repository, tag)?;
            let previous: Digest = parsed(&row, "digest")?;
            let moved = (Some(&previous), None);
            history::note(connection, (id, tag), moved, (reason, terms.by)).await?;
            search::refresh(self.kind, connection, id).await?;
            write.commit().await?;
            Ok(true)
        })
        .await
    }
}

/// Points a tag at a manifest that the transaction knows to exist, and notes
/// where it pointed before.
pub(super) async fn set(
    connection: &mut AnyConnection,
    (repository_id, repository): (i64, &RepositoryName),
    (tag, digest, reason): (&Tag, &Digest, Reason),
    terms: Terms<'_>,
) -> Result<(), DbError> {
    // First what is not there yet: in PostgreSQL, whoever moves the same tag at
    // the same time is waited for here, and the row below is the one to move.
    let inserted = sqlx::query(
        "INSERT INTO tags (repository_id, name, digest, updated_at, pushed_by)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (repository_id, name) DO NOTHING",
    )
    .bind(repository_id)
    .bind(tag.as_str())
    .bind(digest.to_string())
    .bind(now_ms())
    .bind(terms.by)
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() > 0 {
        let moved = (None, Some(digest));
        return history::note(connection, (repository_id, tag), moved, (reason, terms.by)).await;
    }
    let previous = lock(connection, repository_id, tag).await?;
    if previous != *digest {
        terms.check_tag(repository, tag)?;
        let moved = (Some(&previous), Some(digest));
        history::note(connection, (repository_id, tag), moved, (reason, terms.by)).await?;
    }
    sqlx::query(
        "UPDATE tags SET digest = $1, updated_at = $2, pushed_by = $3
         WHERE repository_id = $4 AND name = $5",
    )
    .bind(digest.to_string())
    .bind(now_ms())
    .bind(terms.by)
    .bind(repository_id)
    .bind(tag.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// What a tag names, which nobody else changes until the transaction ends.
async fn lock(
    connection: &mut AnyConnection,
    repository_id: i64,
    tag: &Tag,
) -> Result<Digest, DbError> {
    // An update that changes nothing locks the row in both databases.
    let row = sqlx::query(
        "UPDATE tags SET digest = digest WHERE repository_id = $1 AND name = $2 RETURNING digest",
    )
    .bind(repository_id)
    .bind(tag.as_str())
    .fetch_optional(connection)
    .await?;
    match row {
        Some(row) => parsed(&row, "digest"),
        // It was deleted in between; the caller tries again.
        None => Err(DbError::Moved),
    }
}
