//! Tables `accounts`, `account_groups` and `group_members`: who there is.

use sqlx::AnyConnection;
use sqlx::Row as _;

use super::directory::{AccountRecord, GroupRecord, changed, close};
use super::{Database, DbError, now_ms, retrying};

/// What became of something that has a name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Done,
    /// There is one of that name already.
    Taken,
}

impl Database {
    /// Adds an account.
    pub(crate) async fn add_account(&self, account: &AccountRecord) -> Result<Named, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            if exists(
                connection,
                "SELECT id FROM accounts WHERE name = $1",
                &account.name,
            )
            .await?
            {
                return Ok(Named::Taken);
            }
            sqlx::query(
                "INSERT INTO accounts
                   (id, name, kind, password_hash, credentials_version, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(&account.id)
            .bind(&account.name)
            .bind(if account.is_robot { "robot" } else { "user" })
            .bind(&account.password_hash)
            .bind(account.credentials_version)
            .bind(account.created_at)
            .execute(&mut *connection)
            .await?;
            close(connection).await?;
            write.commit().await?;
            Ok(Named::Done)
        })
        .await
    }

    /// Gives an account another password, or none. What was issued for the old
    /// one is no longer good.
    pub(crate) async fn set_password(&self, id: &str, hash: Option<&str>) -> Result<(), DbError> {
        self.change(|connection| {
            let (id, hash) = (id.to_owned(), hash.map(str::to_owned));
            Box::pin(async move {
                sqlx::query(
                    "UPDATE accounts SET password_hash = $2,
                       credentials_version = credentials_version + 1 WHERE id = $1",
                )
                .bind(id)
                .bind(hash)
                .execute(connection)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Locks an account out, or lets it in again.
    pub(crate) async fn set_disabled(&self, id: &str, disabled: bool) -> Result<(), DbError> {
        self.change(|connection| {
            let id = id.to_owned();
            Box::pin(async move {
                sqlx::query("UPDATE accounts SET disabled_at = $2 WHERE id = $1")
                    .bind(id)
                    .bind(disabled.then(now_ms))
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// Removes a row of one of the directory's tables with what belongs to it.
    /// Whether there was one.
    pub(crate) async fn remove_from_directory(
        &self,
        table: DirectoryTable,
        id: &str,
    ) -> Result<bool, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let removed = sqlx::query(table.delete())
                .bind(id)
                .execute(&mut *connection)
                .await?;
            changed(connection).await?;
            write.commit().await?;
            Ok(removed.rows_affected() > 0)
        })
        .await
    }

    /// Adds a group.
    pub(crate) async fn add_group(&self, group: &GroupRecord) -> Result<Named, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let same = "SELECT id FROM account_groups WHERE name = $1";
            if exists(connection, same, &group.name).await? {
                return Ok(Named::Taken);
            }
            sqlx::query("INSERT INTO account_groups (id, name, created_at) VALUES ($1, $2, $3)")
                .bind(&group.id)
                .bind(&group.name)
                .bind(now_ms())
                .execute(&mut *connection)
                .await?;
            close(connection).await?;
            write.commit().await?;
            Ok(Named::Done)
        })
        .await
    }

    /// Puts an account into a group or takes it out; either may be so already.
    pub(crate) async fn set_member(
        &self,
        (group, account): (&str, &str),
        is_member: bool,
    ) -> Result<(), DbError> {
        let statement = if is_member {
            "INSERT INTO group_members (group_id, account_id) VALUES ($1, $2)
             ON CONFLICT (group_id, account_id) DO NOTHING"
        } else {
            "DELETE FROM group_members WHERE group_id = $1 AND account_id = $2"
        };
        self.change(|connection| {
            let (group, account) = (group.to_owned(), account.to_owned());
            Box::pin(async move {
                sqlx::query(statement)
                    .bind(group)
                    .bind(account)
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// One change of the directory, which every process then learns of.
    pub(super) async fn change<F>(&self, act: F) -> Result<(), DbError>
    where
        F: for<'c> Fn(
            &'c mut AnyConnection,
        )
            -> std::pin::Pin<Box<dyn Future<Output = Result<(), DbError>> + Send + 'c>>,
    {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            act(connection).await?;
            changed(connection).await?;
            write.commit().await
        })
        .await
    }
}

/// A table whose rows are removed one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirectoryTable {
    Accounts,
    Groups,
    Grants,
    Identities,
}

impl DirectoryTable {
    fn delete(self) -> &'static str {
        match self {
            Self::Accounts => "DELETE FROM accounts WHERE id = $1",
            Self::Groups => "DELETE FROM account_groups WHERE id = $1",
            Self::Grants => "DELETE FROM grants WHERE id = $1",
            Self::Identities => "DELETE FROM identities WHERE id = $1",
        }
    }
}

async fn exists(
    connection: &mut AnyConnection,
    statement: &'static str,
    name: &str,
) -> Result<bool, DbError> {
    let row = sqlx::query(statement)
        .bind(name)
        .fetch_optional(connection)
        .await?;
    match row {
        Some(row) => Ok(!row.try_get::<String, _>("id")?.is_empty()),
        None => Ok(false),
    }
}
