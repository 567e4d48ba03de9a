//! Table `stars`, and what an administrator says of a repository.

use hythe_oci::RepositoryName;

use super::{Database, DbError, now_ms, repositories, retrying, search};

/// What is to be changed of a repository; what is not named stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct RepositoryChange {
    pub(crate) description: Option<String>,
    pub(crate) is_official: Option<bool>,
    pub(crate) is_automated: Option<bool>,
}

impl Database {
    /// Gives or takes an account's star; false when there is no such
    /// repository. Doing it twice is doing it once.
    pub(crate) async fn set_star(
        &self,
        repository: &RepositoryName,
        account: &str,
        given: bool,
    ) -> Result<bool, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let Some(id) = repositories::find(connection, repository).await? else {
                return Ok(false);
            };
            let change = if given {
                sqlx::query(
                    "INSERT INTO stars (repository_id, account, starred_at) VALUES ($1, $2, $3)
                     ON CONFLICT DO NOTHING",
                )
                .bind(id)
                .bind(account)
                .bind(now_ms())
            } else {
                sqlx::query("DELETE FROM stars WHERE repository_id = $1 AND account = $2")
                    .bind(id)
                    .bind(account)
            };
            let changed = change.execute(&mut *connection).await?.rows_affected();
            if changed > 0 {
                // By what changed, not by a count: another star may be given
                // in a transaction that this one does not see.
                let by = if given { 1i64 } else { -1 };
                sqlx::query("UPDATE repositories SET star_count = star_count + $1 WHERE id = $2")
                    .bind(by)
                    .bind(id)
                    .execute(connection)
                    .await?;
            }
            write.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Changes what is said of a repository, and its words with it; false when
    /// there is none.
    pub(crate) async fn change_repository(
        &self,
        repository: &RepositoryName,
        change: &RepositoryChange,
    ) -> Result<bool, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let Some(id) = repositories::find(connection, repository).await? else {
                return Ok(false);
            };
            sqlx::query(
                "UPDATE repositories SET description = COALESCE($1, description),
                   official = COALESCE($2, official), automated = COALESCE($3, automated),
                   words_version = 0
                 WHERE id = $4",
            )
            .bind(change.description.as_deref())
            .bind(change.is_official.map(i64::from))
            .bind(change.is_automated.map(i64::from))
            .bind(id)
            .execute(&mut *connection)
            .await?;
            search::refresh(self.kind, connection, id).await?;
            write.commit().await?;
            Ok(true)
        })
        .await
    }
}
