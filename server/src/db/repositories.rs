//! Table `repositories`: the names under which everything else hangs.

use hythe_oci::RepositoryName;
use sqlx::AnyConnection;
use sqlx::Row as _;

use super::terms::Terms;
use super::{Database, DbError, Kind, history, now_ms, parsed, retrying, uploads};

/// Repositories with a manifest after one, in byte order.
pub(super) const LIST: &str = "SELECT name FROM repositories r WHERE name > $1
       AND EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = r.id)
     ORDER BY name LIMIT $2";

impl Database {
    /// Whether anything was ever pushed to this name.
    pub(crate) async fn repository_exists(&self, name: &RepositoryName) -> Result<bool, DbError> {
        let row = sqlx::query("SELECT id FROM repositories WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(&self.readers)
            .await?;
        Ok(row.is_some())
    }

    /// Up to `limit` names after `last`, in byte order, of repositories that
    /// hold a manifest.
    pub(crate) async fn list_repositories(
        &self,
        last: &str,
        limit: u32,
    ) -> Result<Vec<RepositoryName>, DbError> {
        let rows = sqlx::query(LIST)
            .bind(last)
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(|row| parsed(row, "name")).collect()
    }
}

impl Database {
    /// Deletes a repository with all that it holds; false when there is none.
    /// Its blobs go with the next collection, if nobody else shows them.
    pub(crate) async fn delete_repository(
        &self,
        name: &RepositoryName,
        terms: Terms<'_>,
    ) -> Result<bool, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let Some(id) = find(connection, name).await? else {
                return Ok(false);
            };
            lock(self.kind, connection, id, Lock::Removing).await?;
            for (tag, _) in history::tags_of(connection, id, None).await? {
                terms.check_tag(name, &tag)?;
            }
            self.fresh_uploads.end_all(name);
            uploads::drop_all(connection, id).await?;
            let words = match self.kind {
                Kind::Sqlite => "DELETE FROM repository_words WHERE rowid = $1",
                Kind::Postgres => "DELETE FROM repository_words WHERE repository_id = $1",
            };
            // Rows of other tables go with these.
            for statement in [
                words,
                "DELETE FROM manifests WHERE repository_id = $1",
                "DELETE FROM repository_blobs WHERE repository_id = $1",
                "DELETE FROM repositories WHERE id = $1",
            ] {
                sqlx::query(statement)
                    .bind(id)
                    .execute(&mut *connection)
                    .await?;
            }
            write.commit().await?;
            Ok(true)
        })
        .await
    }
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
