//! The metadata: the only module that knows SQL.
//!
//! One file per table or pair of tables; each public method is one read or one
//! transaction, in the registry's words. The same statements run on SQLite and
//! PostgreSQL. Never touches bytes in the object store: a removed row leaves
//! its objects' keys in `garbage_objects`, in the same transaction.

mod accounts;
mod audit;
mod blobs;
mod connect;
mod credentials;
mod directory;
mod error;
mod facts;
mod fresh_uploads;
mod garbage;
mod history;
mod holders;
mod manifests;
#[cfg(test)]
mod plans;
mod policies;
mod quotas;
mod recent;
mod repositories;
mod schema;
mod scrub;
mod search;
mod stars;
mod tags;
mod terms;
mod uploads;
mod words;
mod write;

use std::str::FromStr;
use std::sync::Arc;

pub(crate) use accounts::{DirectoryTable, Named};
pub(crate) use audit::AuditRecord;
pub(crate) use blobs::{BlobRecord, CommittedBlob, DeleteBlob, MountBlob, NewBlob, Segment};
pub(crate) use directory::{
    AccountRecord, ApiTokenRecord, DirectoryRecord, GrantRecord, GroupRecord, IdentityRecord,
    SigningKeyRecord,
};
pub(crate) use error::DbError;
pub(crate) use facts::ManifestFacts;
pub use facts::{PlatformRecord, RepositoryRecord, TagRecord};
pub use history::MoveRecord;
pub(crate) use holders::{NamedBy, TaggedIn};

pub(crate) use manifests::{ManifestRecord, NewManifest, ReferrerRecord};
pub(crate) use policies::PolicyKind;
pub(crate) use schema::Schema;
pub(crate) use scrub::ScrubCandidate;
pub(crate) use search::FoundRepository;
pub(crate) use stars::RepositoryChange;
pub(crate) use tags::TagAge;
pub(crate) use terms::{Refusal, Terms};
pub(crate) use uploads::{Advance, UploadRecord};

use sqlx::AnyPool;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// Which of the two databases this is; few statements need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
}

/// The database; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    kind: Kind,
    readers: AnyPool,
    writer: Arc<write::Writer>,
    recent: Arc<recent::Recent>,
    fresh_uploads: Arc<fresh_uploads::FreshUploads>,
}

impl Database {
    /// Starts a change; dropping it undoes it.
    async fn begin(&self) -> Result<write::Write, DbError> {
        self.writer.begin().await
    }
}

/// Milliseconds since 1970, the unit of every time in the schema.
fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Repeats a transaction that lost against another one. The loser is chosen
/// fresh each time, so a handful of attempts is plenty.
async fn retrying<T, F, Fut>(attempt: F) -> Result<T, DbError>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T, DbError>>,
{
    let mut left = 8;
    loop {
        match attempt().await {
            Err(error) if error.is_conflict() && left > 0 => left -= 1,
            outcome => return outcome,
        }
    }
}

/// Reads a column whose text has a grammar.
fn parsed<T: FromStr>(row: &AnyRow, column: &'static str) -> Result<T, DbError> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|_| DbError::Corrupt {
        what: column,
        value: text,
    })
}

/// Reads a column that counts bytes.
fn size(row: &AnyRow, column: &'static str) -> Result<u64, DbError> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|_| DbError::Corrupt {
        what: column,
        value: value.to_string(),
    })
}

/// Reads a column of milliseconds since 1970.
fn time(row: &AnyRow, column: &'static str) -> Result<jiff::Timestamp, DbError> {
    let value: i64 = row.try_get(column)?;
    jiff::Timestamp::from_millisecond(value).map_err(|_| DbError::Corrupt {
        what: column,
        value: value.to_string(),
    })
}

/// Reads such a column where there need not be one.
fn optional_time(row: &AnyRow, column: &'static str) -> Result<Option<jiff::Timestamp>, DbError> {
    match row.try_get::<Option<i64>, _>(column)? {
        Some(_) => time(row, column).map(Some),
        None => Ok(None),
    }
}

/// A byte count as the database holds it.
fn stored(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
