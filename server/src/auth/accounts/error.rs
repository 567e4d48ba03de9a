//! Why something could not be done to accounts.

use crate::db::DbError;

/// In words for whoever asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// There is none of that name.
    #[error("there is no {what} {name:?}")]
    Unknown {
        /// The kind of thing.
        what: &'static str,
        /// What it was called.
        name: String,
    },
    /// There is one of that name already.
    #[error("there is already a {what} {name:?}")]
    Taken {
        /// The kind of thing.
        what: &'static str,
        /// What it was to be called.
        name: String,
    },
    /// It makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The database did not do it.
    #[error("the database did not do it")]
    Db(#[from] DbError),
}

impl AccountError {
    pub(super) fn unknown(what: &'static str, name: &str) -> Self {
        Self::Unknown {
            what,
            name: name.to_owned(),
        }
    }

    pub(super) fn taken(what: &'static str, name: &str) -> Self {
        Self::Taken {
            what,
            name: name.to_owned(),
        }
    }
}
