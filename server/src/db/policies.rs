//! Table `policies`: rules that were set through the API.

use sqlx::Row as _;

use super::{Database, DbError, now_ms, retrying};
use crate::config::Policies;

/// One list of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicyKind {
    ImmutableTags,
    Retention,
    Quotas,
}

impl PolicyKind {
    pub(crate) const ALL: [Self; 3] = [Self::ImmutableTags, Self::Retention, Self::Quotas];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ImmutableTags => "immutable-tags",
            Self::Retention => "retention",
            Self::Quotas => "quotas",
        }
    }
}

impl Database {
    /// The rules that were set.
    pub(crate) async fn policies(&self) -> Result<Policies, DbError> {
        let rows = sqlx::query("SELECT kind, content FROM policies")
            .fetch_all(&self.readers)
            .await?;
        let mut policies = Policies::default();
        for row in &rows {
            let kind: String = row.try_get("kind")?;
            let content: String = row.try_get("content")?;
            let read = match PolicyKind::ALL.iter().find(|one| one.as_str() == kind) {
                Some(PolicyKind::ImmutableTags) => {
                    serde_json::from_str(&content).map(|rules| policies.immutable_tags = rules)
                }
                Some(PolicyKind::Retention) => {
                    serde_json::from_str(&content).map(|rules| policies.retention = rules)
                }
                Some(PolicyKind::Quotas) => {
                    serde_json::from_str(&content).map(|rules| policies.quotas = rules)
                }
                // A newer program's; the table lets no other in.
                None => Ok(()),
            };
            read.map_err(|_| DbError::Corrupt {
                what: "policy",
                value: content,
            })?;
        }
        Ok(policies)
    }

    /// Sets all rules of one kind; `content` is a JSON array that was checked.
    pub(crate) async fn set_policy(
        &self,
        kind: PolicyKind,
        content: &str,
        by: &str,
    ) -> Result<(), DbError> {
        retrying(|| async {
            let mut write = self.begin().await?;
            sqlx::query(
                "INSERT INTO policies (kind, content, changed_by, changed_at)
                 VALUES ($1, $2, $3, $4)
                 ON CONFLICT (kind) DO UPDATE SET content = excluded.content,
                   changed_by = excluded.changed_by, changed_at = excluded.changed_at",
            )
            .bind(kind.as_str())
            .bind(content)
            .bind(by)
            .bind(now_ms())
            .execute(write.connection()?)
            .await?;
            write.commit().await
        })
        .await
    }
}
