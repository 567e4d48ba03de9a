//! What can go wrong with the database, in its callers' terms.

use std::sync::Arc;

use super::terms::Refusal;

/// Why a statement or a transaction did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// The database cannot be reached or has no connection to spare; the same
    /// call may succeed later.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// The database's disk is full.
    #[error("the database's disk is full")]
    Full(#[source] sqlx::Error),
    /// Two transactions got in each other's way; the loser may be repeated.
    #[error("another change came in between")]
    Conflict(#[source] sqlx::Error),
    /// A row that was just there is gone; the change may be repeated.
    #[error("what was to be changed went away")]
    Moved,
    /// The registry's rules do not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The batch that this change was in could not be committed.
    #[error("the change could not be committed")]
    Commit(#[source] Arc<DbError>),
    /// The batch that this change was in was given up before its end.
    #[error("the change was given up: {0}")]
    GivenUp(&'static str),
    /// The schema could not be brought up to date.
    #[error("cannot bring the database's schema up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A row holds what we never wrote.
    #[error("the database holds {what} that is not valid: {value:?}")]
    Corrupt {
        /// Which kind of value.
        what: &'static str,
        /// What was found.
        value: String,
    },
    /// Anything else the database said.
    #[error("the database refused a statement")]
    Query(#[source] sqlx::Error),
}

impl DbError {
    /// Whether the reason is that no space is left.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Full(_) => true,
            Self::Commit(reason) => reason.is_full(),
            _ => false,
        }
    }

    /// Whether doing the same again at once is likely to succeed.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_) | Self::Moved)
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => match classify(database.as_ref()) {
                Class::Conflict => Self::Conflict(error),
                Class::Unavailable => Self::Unavailable(error),
                Class::Full => Self::Full(error),
                Class::Other => Self::Query(error),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            _ => Self::Query(error),
        }
    }
}

enum Class {
    Conflict,
    Unavailable,
    Full,
    Other,
}

/// Sorts the two databases' own codes: SQLite's result codes are numbers,
/// PostgreSQL's SQLSTATEs are five characters.
fn classify(error: &dyn sqlx::error::DatabaseError) -> Class {
    // A foreign or unique key that fails is a race between two transactions
    // here: callers look before they insert.
    if error.is_foreign_key_violation() || error.is_unique_violation() {
        return Class::Conflict;
    }
    match error.code().as_deref() {
        // SQLITE_BUSY and its kinds; serialization failure, deadlock.
        Some("5" | "261" | "517" | "773" | "40001" | "40P01") => Class::Conflict,
        // SQLITE_FULL; disk full, out of memory.
        Some("13" | "53100") => Class::Full,
        // SQLITE_IOERR, SQLITE_CANTOPEN; too many connections, shutdowns,
        // connection failures, read-only standby.
        Some(
            "10" | "14" | "53300" | "57P01" | "57P02" | "57P03" | "08000" | "08003" | "08006"
            | "25006",
        ) => Class::Unavailable,
        _ => Class::Other,
    }
}
