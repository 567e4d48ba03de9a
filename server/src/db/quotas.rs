//! What repositories hold together, and whether there is room for more.
//!
//! `repositories.used_bytes` is kept by triggers; what is being uploaded is
//! counted where it stands. So nothing has to be given back: what is gone is not
//! counted. A transaction that adds something takes the locks of its quotas
//! before anything else, counts, and holds them until its end, so that two
//! cannot both use the last of the room. SQLite has one writer anyway.

use hythe_oci::{RepositoryName, RepositoryPattern};
use sha2::{Digest as _, Sha256};
use sqlx::AnyConnection;

use super::terms::Refusal;
use super::{Database, DbError, Kind, parsed, size};
use crate::config::Quota;

/// Tells these locks from others (PostgreSQL's advisory locks of two numbers).
const LOCK_CLASS: i32 = 0x686f_7468;

/// Sorts after everything that a name may have.
const AFTER_ALL: char = '~';

impl Database {
    /// Whether there is room now; others may take it before it is used.
    pub(crate) async fn check_room(
        &self,
        quotas: &[Quota],
        asked_bytes: u64,
    ) -> Result<(), DbError> {
        if quotas.is_empty() {
            return Ok(());
        }
        let mut connection = self.readers.acquire().await?;
        charge(&mut connection, quotas, asked_bytes).await
    }
}

/// To be taken first in a transaction, in the order of the list.
pub(super) async fn lock(
    kind: Kind,
    connection: &mut AnyConnection,
    quotas: &[Quota],
) -> Result<(), DbError> {
    if kind == Kind::Sqlite {
        return Ok(());
    }
    for quota in quotas {
        // The cast gives the answer a type that has a value.
        sqlx::query("SELECT pg_advisory_xact_lock($1, $2)::text")
            .bind(LOCK_CLASS)
            .bind(lock_number(&quota.repositories))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Fails when one of the quotas has no room for so much more.
pub(super) async fn charge(
    connection: &mut AnyConnection,
    quotas: &[Quota],
    asked_bytes: u64,
) -> Result<(), DbError> {
    if asked_bytes == 0 {
        return Ok(());
    }
    for quota in quotas {
        let used_bytes = used(connection, &quota.repositories).await?;
        if used_bytes.saturating_add(asked_bytes) > quota.bytes {
            return Err(DbError::Refused(Refusal::Quota {
                quota: quota.clone(),
                used_bytes,
                asked_bytes,
            }));
        }
    }
    Ok(())
}

fn lock_number(pattern: &RepositoryPattern) -> i32 {
    let hash = Sha256::digest(pattern.as_str().as_bytes());
    i32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

async fn used(connection: &mut AnyConnection, pattern: &RepositoryPattern) -> Result<u64, DbError> {
    let text = pattern.as_str();
    let prefix = text.split('*').next().unwrap_or_default();
    let end = format!("{prefix}{AFTER_ALL}");
    // `team/**` is everything that begins with `team/`: the database adds up.
    let is_range = text.strip_prefix(prefix) == Some("**");
    let mut used = 0;
    for (sum, each) in [SHOWN, UPLOADED] {
        if is_range {
            let row = sqlx::query(sum)
                .bind(prefix)
                .bind(end.as_str())
                .fetch_one(&mut *connection)
                .await?;
            used += size(&row, "bytes")?;
            continue;
        }
        let rows = sqlx::query(each)
            .bind(prefix)
            .bind(end.as_str())
            .fetch_all(&mut *connection)
            .await?;
        for row in &rows {
            let name: RepositoryName = parsed(row, "name")?;
            if pattern.matches(&name) {
                used += size(row, "bytes")?;
            }
        }
    }
    Ok(used)
}

/// The sum, and what it is the sum of.
type Count = (&'static str, &'static str);

const SHOWN: Count = (
    "SELECT CAST(COALESCE(SUM(used_bytes), 0) AS BIGINT) AS bytes FROM repositories
     WHERE name >= $1 AND name < $2",
    "SELECT name, used_bytes AS bytes FROM repositories WHERE name >= $1 AND name < $2",
);

const UPLOADED: Count = (
    "SELECT CAST(COALESCE(SUM(u.offset_bytes), 0) AS BIGINT) AS bytes
     FROM uploads u JOIN repositories r ON r.id = u.repository_id
     WHERE r.name >= $1 AND r.name < $2",
    "SELECT r.name, u.offset_bytes AS bytes
     FROM uploads u JOIN repositories r ON r.id = u.repository_id
     WHERE r.name >= $1 AND r.name < $2",
);
