//! Table `tag_history`: every move of a tag, written in the transaction that
//! makes it.

use hythe_oci::{Digest, RepositoryName, Tag};
use jiff::Timestamp;
use serde::Serialize;
use sqlx::AnyConnection;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::repositories::{self, Lock};
use super::terms::Terms;
use super::{Database, DbError, manifests, now_ms, parsed, retrying, search, tags, time};

/// Why a tag moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Push,
    Delete,
    Restore,
    Retention,
}

/// One move.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct MoveRecord {
    /// Later moves have larger ones.
    pub id: i64,
    /// What it names since then; `None` when it was deleted.
    pub digest: Option<Digest>,
    /// What it named before; `None` when it was not there.
    pub previous: Option<Digest>,
    /// `push`, `delete`, `restore` or `retention`.
    pub reason: String,
    /// By which account.
    pub moved_by: String,
    /// When.
    pub moved_at: Timestamp,
    /// Whether what it named before is still there.
    pub restorable: bool,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Delete => "delete",
            Self::Restore => "restore",
            Self::Retention => "retention",
        }
    }
}

/// Moves of a tag before one, newest first.
pub(super) const MOVES: &str =
    "SELECT h.id, h.digest, h.previous, h.reason, h.moved_by, h.moved_at,
       CASE WHEN EXISTS (SELECT 1 FROM manifests m
           WHERE m.repository_id = h.repository_id AND m.digest = h.previous)
         THEN 1 ELSE 0 END AS restorable
     FROM tag_history h
     WHERE h.repository_id = (SELECT id FROM repositories WHERE name = $1)
       AND h.tag = $2 AND h.id < $3 ORDER BY h.id DESC LIMIT $4";

impl Database {
    /// Up to `limit` moves of a tag before the move `before`, newest first.
    pub(crate) async fn tag_history(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        (before, limit): (i64, u32),
    ) -> Result<Vec<MoveRecord>, DbError> {
        let rows = sqlx::query(MOVES)
            .bind(repository.as_str())
            .bind(tag.as_str())
            .bind(before)
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(one_move).collect()
    }

    /// Points a tag at a manifest again; false when the manifest is gone.
    pub(crate) async fn restore_tag(
        &self,
        repository: &RepositoryName,
        (tag, digest): (&Tag, &Digest),
        terms: Terms<'_>,
    ) -> Result<bool, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let Some(id) = repositories::find(connection, repository).await? else {
                return Ok(false);
            };
            repositories::lock(self.kind, connection, id, Lock::Adding).await?;
            if !manifests::exists(connection, id, digest).await? {
                return Ok(false);
            }
            let moved = (tag, digest, Reason::Restore);
            tags::set(connection, (id, repository), moved, terms).await?;
            search::refresh(self.kind, connection, id).await?;
            write.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Forgets moves before `before_ms`; how many.
    pub(crate) async fn forget_moves(&self, before_ms: i64) -> Result<u64, DbError> {
        let mut write = self.begin().await?;
        let forgotten = sqlx::query("DELETE FROM tag_history WHERE moved_at < $1")
            .bind(before_ms)
            .execute(write.connection()?)
            .await?;
        write.commit().await?;
        Ok(forgotten.rows_affected())
    }
}

/// Notes that a tag moves from `previous` to `digest`.
pub(super) async fn note(
    connection: &mut AnyConnection,
    (repository_id, tag): (i64, &Tag),
    (previous, digest): (Option<&Digest>, Option<&Digest>),
    (reason, by): (Reason, &str),
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO tag_history
           (repository_id, tag, digest, previous, reason, moved_by, moved_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(repository_id)
    .bind(tag.as_str())
    .bind(digest.map(ToString::to_string))
    .bind(previous.map(ToString::to_string))
    .bind(reason.as_str())
    .bind(by)
    .bind(now_ms())
    .execute(connection)
    .await?;
    Ok(())
}

fn one_move(row: &AnyRow) -> Result<MoveRecord, DbError> {
    let digest = |column: &'static str| -> Result<Option<Digest>, DbError> {
        let text: Option<String> = row.try_get(column)?;
        let parsed = text.map(|text| {
            text.parse().map_err(|_| DbError::Corrupt {
                what: column,
                value: text.clone(),
            })
        });
        parsed.transpose()
    };
    Ok(MoveRecord {
        id: row.try_get("id")?,
        digest: digest("digest")?,
        previous: digest("previous")?,
        reason: row.try_get("reason")?,
        moved_by: row.try_get("moved_by")?,
        moved_at: time(row, "moved_at")?,
        restorable: row.try_get::<i64, _>("restorable")? != 0,
    })
}

/// Every tag of a manifest; those of a repository when none is named.
pub(super) async fn tags_of(
    connection: &mut AnyConnection,
    repository_id: i64,
    digest: Option<&Digest>,
) -> Result<Vec<(Tag, Digest)>, DbError> {
    let rows = sqlx::query(
        "SELECT name, digest FROM tags WHERE repository_id = $1 AND (digest = $2 OR $2 = '')",
    )
    .bind(repository_id)
    .bind(digest.map_or_else(String::new, ToString::to_string))
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| Ok((parsed(row, "name")?, parsed(row, "digest")?)))
        .collect()
}
