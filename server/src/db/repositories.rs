//! Table `repositories`: the names under which everything else hangs.

use bytes::Bytes;
use hythe_oci::RepositoryName;
use sqlx::AnyConnection;
use sqlx::Row as _;

use super::{Database, DbError, Kind, now_ms, parsed};

impl Database {
    /// Whether anything was ever pushed to this name.
    pub(crate) async fn repository_exists(&self, name: &RepositoryName) -> Result<bool, DbError> {
        let row = sqlx::query("SELECT id FROM repositories WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(&self.readers)
            .await?;
        Ok(row.is_some())
    }

    /// Up to `limit` repositories, after the first `offset`, whose name holds
    /// `part`: the one of that very name first, then the shortest. With each
    /// the manifest of its tag `latest`, else of the tag that moved last, if
    /// that has no more than `manifest_bytes`.
    pub(crate) async fn search_repositories(
        &self,
        part: &str,
        (limit, offset): (u32, u32),
        manifest_bytes: u32,
    ) -> Result<Vec<(RepositoryName, Option<Bytes>)>, DbError> {
        let rows = sqlx::query(
            "SELECT name,
               (SELECT m.content FROM tags t
                JOIN manifests m ON m.repository_id = t.repository_id AND m.digest = t.digest
                WHERE t.repository_id = r.id AND m.size_bytes <= $5
                ORDER BY CASE t.name WHEN 'latest' THEN 0 ELSE 1 END, t.updated_at DESC
                LIMIT 1) AS content
             FROM repositories r
             WHERE name LIKE $1 ESCAPE '!'
               AND EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = r.id)
             ORDER BY CASE name WHEN $2 THEN 0 ELSE 1 END, length(name), name
             LIMIT $3 OFFSET $4",
        )
        .bind(format!("%{}%", literal(part)))
        .bind(part)
        .bind(i64::from(limit))
        .bind(i64::from(offset))
        .bind(i64::from(manifest_bytes))
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                let content: Option<Vec<u8>> = row.try_get("content")?;
                Ok((parsed(row, "name")?, content.map(Bytes::from)))
            })
            .collect()
    }

    /// Up to `limit` names after `last`, in byte order, of repositories that
    /// hold a manifest.
    pub(crate) async fn list_repositories(
        &self,
        last: &str,
        limit: u32,
    ) -> Result<Vec<RepositoryName>, DbError> {
        let rows = sqlx::query(
            "SELECT name FROM repositories r WHERE name > $1
               AND EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = r.id)
             ORDER BY name LIMIT $2",
        )
        .bind(last)
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| parsed(row, "name")).collect()
    }
}

/// A text as a pattern of LIKE that means just that text.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern
}

/// The repository's id, creating its row when this is the first push to it.
pub(super) async fn ensure(
    connection: &mut AnyConnection,
    name: &RepositoryName,
) -> Result<i64, DbError> {
    if let Some(id) = find(connection, name).await? {
        return Ok(id);
    }
    let row =
        sqlx::query("INSERT INTO repositories (name, created_at) VALUES ($1, $2) RETURNING id")
            .bind(name.as_str())
            .bind(now_ms())
            .fetch_one(connection)
            .await?;
    Ok(row.try_get("id")?)
}

/// The repository's id, if it has a row.
pub(super) async fn find(
    connection: &mut AnyConnection,
    name: &RepositoryName,
) -> Result<Option<i64>, DbError> {
    let row = sqlx::query("SELECT id FROM repositories WHERE name = $1")
        .bind(name.as_str())
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok(row.try_get("id")?)).transpose()
}

/// How a transaction uses what manifests of a repository lead to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lock {
    /// It adds references; any number at once.
    Adding,
    /// It removes something because nothing refers to it; alone.
    Removing,
}

/// Keeps additions and removals of one repository apart until the transaction
/// ends. SQLite has one writer anyway.
pub(super) async fn lock(
    kind: Kind,
    connection: &mut AnyConnection,
    repository_id: i64,
    lock: Lock,
) -> Result<(), DbError> {
    let statement = match (kind, lock) {
        (Kind::Sqlite, _) => return Ok(()),
        // The cast gives the answer a type that has a value.
        (Kind::Postgres, Lock::Adding) => "SELECT pg_advisory_xact_lock_shared($1)::text",
        (Kind::Postgres, Lock::Removing) => "SELECT pg_advisory_xact_lock($1)::text",
    };
    sqlx::query(statement)
        .bind(repository_id)
        .execute(connection)
        .await?;
    Ok(())
}
