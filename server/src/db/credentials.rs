//! Tables `api_tokens`, `grants`, `identities` and `signing_keys`: how accounts
//! prove who they are, what they may do, and what the registry signs with.

use super::accounts::Named;
use super::directory::{
    ApiTokenRecord, GrantRecord, IdentityRecord, SigningKeyRecord, changed, close,
};
use super::{Database, DbError, now_ms, retrying};

impl Database {
    /// Adds a token of an account.
    pub(crate) async fn add_api_token(&self, token: &ApiTokenRecord) -> Result<(), DbError> {
        self.change(|connection| {
            let token = token.clone();
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO api_tokens
                       (id, account_id, label, secret_hash, scopes, created_at, expires_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7)",
                )
                .bind(token.id)
                .bind(token.account_id)
                .bind(token.label)
                .bind(token.secret_hash)
                .bind(token.scopes)
                .bind(token.created_at)
                .bind(token.expires_at)
                .execute(connection)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Makes a token good for nothing. Its row stays, to say that it was one.
    /// Whether there was one that was still good.
    pub(crate) async fn revoke_api_token(&self, id: &str) -> Result<bool, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let revoked = sqlx::query(
                "UPDATE api_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
            )
            .bind(id)
            .bind(now_ms())
            .execute(&mut *connection)
            .await?;
            changed(connection).await?;
            write.commit().await?;
            Ok(revoked.rows_affected() > 0)
        })
        .await
    }

    /// Adds a grant.
    pub(crate) async fn add_grant(&self, grant: &GrantRecord) -> Result<(), DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            sqlx::query(
                "INSERT INTO grants
                   (id, account_id, group_id, effect, actions, pattern, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(&grant.id)
            .bind(&grant.account_id)
            .bind(&grant.group_id)
            .bind(&grant.effect)
            .bind(&grant.actions)
            .bind(&grant.pattern)
            .bind(grant.created_at)
            .execute(&mut *connection)
            .await?;
            close(connection).await?;
            write.commit().await
        })
        .await
    }

    /// Adds what an issuer's tokens say of an account.
    pub(crate) async fn add_identity(&self, identity: &IdentityRecord) -> Result<Named, DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            let connection = write.connection()?;
            let added = sqlx::query(
                "INSERT INTO identities (id, account_id, issuer, subject, audience, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (issuer, subject, audience) DO NOTHING",
            )
            .bind(&identity.id)
            .bind(&identity.account_id)
            .bind(&identity.issuer)
            .bind(&identity.subject)
            .bind(&identity.audience)
            .bind(identity.created_at)
            .execute(&mut *connection)
            .await?;
            changed(connection).await?;
            write.commit().await?;
            Ok(match added.rows_affected() {
                0 => Named::Taken,
                _ => Named::Done,
            })
        })
        .await
    }

    /// Adds a key to sign with, and removes those that are older than
    /// `oldest`: nothing that they signed is good any more.
    pub(crate) async fn add_signing_key(
        &self,
        key: &SigningKeyRecord,
        oldest: i64,
    ) -> Result<(), DbError> {
        self.change(|connection| {
            let key = key.clone();
            Box::pin(async move {
                sqlx::query("DELETE FROM signing_keys WHERE created_at < $1")
                    .bind(oldest)
                    .execute(&mut *connection)
                    .await?;
                sqlx::query(
                    "INSERT INTO signing_keys (id, private_key, created_at) VALUES ($1, $2, $3)",
                )
                .bind(key.id)
                .bind(key.private_key)
                .bind(key.created_at)
                .execute(connection)
                .await?;
                Ok(())
            })
        })
        .await
    }
}
