//! Everything about accounts at once, and the number that says whether it
//! changed: what a process keeps in memory to answer requests from.

use sqlx::AnyConnection;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Database, DbError, now_ms};

/// All there is to know of who may do what.
#[derive(Clone, Debug, Default)]
pub(crate) struct DirectoryRecord {
    /// What it was when this was read, or before.
    pub(crate) generation: i64,
    /// Whether an account or a grant was ever made.
    pub(crate) closed: bool,
    pub(crate) accounts: Vec<AccountRecord>,
    pub(crate) groups: Vec<GroupRecord>,
    /// The group's id, the account's.
    pub(crate) members: Vec<(String, String)>,
    pub(crate) tokens: Vec<ApiTokenRecord>,
    pub(crate) grants: Vec<GrantRecord>,
    pub(crate) identities: Vec<IdentityRecord>,
    pub(crate) keys: Vec<SigningKeyRecord>,
}

/// A row of `accounts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccountRecord {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) is_robot: bool,
    pub(crate) password_hash: Option<String>,
    pub(crate) credentials_version: i64,
    pub(crate) disabled_at: Option<i64>,
    pub(crate) created_at: i64,
}

/// A row of `account_groups`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupRecord {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// A row of `api_tokens`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiTokenRecord {
    pub(crate) id: String,
    pub(crate) account_id: String,
    pub(crate) label: String,
    pub(crate) secret_hash: String,
    pub(crate) scopes: String,
    pub(crate) created_at: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
}

/// A row of `grants`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrantRecord {
    pub(crate) id: String,
    pub(crate) account_id: Option<String>,
    pub(crate) group_id: Option<String>,
    pub(crate) effect: String,
    pub(crate) actions: String,
    pub(crate) pattern: String,
    pub(crate) created_at: i64,
}

/// A row of `identities`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdentityRecord {
    pub(crate) id: String,
    pub(crate) account_id: String,
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) audience: String,
    pub(crate) created_at: i64,
}

/// A row of `signing_keys`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SigningKeyRecord {
    pub(crate) id: String,
    pub(crate) private_key: String,
    pub(crate) created_at: i64,
}

impl std::fmt::Debug for SigningKeyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeyRecord")
            .field("id", &self.id)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// A number that is another one after every change of the directory.
    pub(crate) async fn directory_generation(&self) -> Result<i64, DbError> {
        let row = sqlx::query("SELECT generation FROM auth_state WHERE id = 1")
            .fetch_one(&self.readers)
            .await?;
        Ok(row.try_get("generation")?)
    }

    /// The whole directory. A change that comes in between is seen in part,
    /// and has a higher generation than the one that is answered.
    pub(crate) async fn directory(&self) -> Result<DirectoryRecord, DbError> {
        let state = sqlx::query("SELECT generation, closed_at FROM auth_state WHERE id = 1")
            .fetch_one(&self.readers)
            .await?;
        let closed_at: Option<i64> = state.try_get("closed_at")?;
        Ok(DirectoryRecord {
            generation: state.try_get("generation")?,
            closed: closed_at.is_some(),
            accounts: self
                .rows(
                    "SELECT id, name, kind, password_hash, credentials_version, disabled_at,
                            created_at FROM accounts ORDER BY name",
                    account,
                )
                .await?,
            groups: self
                .rows("SELECT id, name FROM account_groups ORDER BY name", group)
                .await?,
            members: self
                .rows("SELECT group_id, account_id FROM group_members", |row| {
                    Ok((row.try_get("group_id")?, row.try_get("account_id")?))
                })
                .await?,
            tokens: self
                .rows(
                    "SELECT id, account_id, label, secret_hash, scopes, created_at, expires_at,
                            revoked_at FROM api_tokens ORDER BY created_at, id",
                    api_token,
                )
                .await?,
            grants: self
                .rows(
                    "SELECT id, account_id, group_id, effect, actions, pattern, created_at
                     FROM grants ORDER BY created_at, id",
                    grant,
                )
                .await?,
            identities: self
                .rows(
                    "SELECT id, account_id, issuer, subject, audience, created_at
                     FROM identities ORDER BY created_at, id",
                    identity,
                )
                .await?,
            keys: self
                .rows(
                    "SELECT id, private_key, created_at FROM signing_keys ORDER BY created_at, id",
                    signing_key,
                )
                .await?,
        })
    }

    async fn rows<T>(
        &self,
        statement: &'static str,
        read: impl Fn(&AnyRow) -> Result<T, DbError>,
    ) -> Result<Vec<T>, DbError> {
        let rows = sqlx::query(statement).fetch_all(&self.readers).await?;
        rows.iter().map(read).collect()
    }
}

/// Tells every process that the directory is another one from this transaction
/// on.
pub(super) async fn changed(connection: &mut AnyConnection) -> Result<(), DbError> {
    sqlx::query("UPDATE auth_state SET generation = generation + 1 WHERE id = 1")
        .execute(connection)
        .await?;
    Ok(())
}

/// From this transaction on, who has no right may do nothing.
pub(super) async fn close(connection: &mut AnyConnection) -> Result<(), DbError> {
    sqlx::query("UPDATE auth_state SET closed_at = $1 WHERE id = 1 AND closed_at IS NULL")
        .bind(now_ms())
        .execute(&mut *connection)
        .await?;
    changed(connection).await
}

fn account(row: &AnyRow) -> Result<AccountRecord, DbError> {
    let kind: String = row.try_get("kind")?;
    Ok(AccountRecord {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        is_robot: kind == "robot",
        password_hash: row.try_get("password_hash")?,
        credentials_version: row.try_get("credentials_version")?,
        disabled_at: row.try_get("disabled_at")?,
        created_at: row.try_get("created_at")?,
    })
}

fn group(row: &AnyRow) -> Result<GroupRecord, DbError> {
    Ok(GroupRecord {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
    })
}

fn api_token(row: &AnyRow) -> Result<ApiTokenRecord, DbError> {
    Ok(ApiTokenRecord {
        id: row.try_get("id")?,
        account_id: row.try_get("account_id")?,
        label: row.try_get("label")?,
        secret_hash: row.try_get("secret_hash")?,
        scopes: row.try_get("scopes")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        revoked_at: row.try_get("revoked_at")?,
    })
}

fn grant(row: &AnyRow) -> Result<GrantRecord, DbError> {
    Ok(GrantRecord {
        id: row.try_get("id")?,
        account_id: row.try_get("account_id")?,
        group_id: row.try_get("group_id")?,
        effect: row.try_get("effect")?,
        actions: row.try_get("actions")?,
        pattern: row.try_get("pattern")?,
        created_at: row.try_get("created_at")?,
    })
}

fn identity(row: &AnyRow) -> Result<IdentityRecord, DbError> {
    Ok(IdentityRecord {
        id: row.try_get("id")?,
        account_id: row.try_get("account_id")?,
        issuer: row.try_get("issuer")?,
        subject: row.try_get("subject")?,
        audience: row.try_get("audience")?,
        created_at: row.try_get("created_at")?,
    })
}

fn signing_key(row: &AnyRow) -> Result<SigningKeyRecord, DbError> {
    Ok(SigningKeyRecord {
        id: row.try_get("id")?,
        private_key: row.try_get("private_key")?,
        created_at: row.try_get("created_at")?,
    })
}
