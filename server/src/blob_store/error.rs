//! What can go wrong with the store, in its callers' terms.

use std::error::Error;
use std::io;

/// Why bytes could not be stored or fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such object, though a row names it.
    #[error("object {key} is missing from the store")]
    Missing {
        /// Its key.
        key: String,
    },
    /// No space, or a quota is used up.
    #[error("the store is full")]
    Full(#[source] io::Error),
    /// The store does not answer, or answers that it is busy; it may later.
    #[error("the store is not available")]
    Unavailable(#[source] object_store::Error),
    /// The disk failed.
    #[error("the disk failed while {doing}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A piece of our own work ended without a result.
    #[error("a task ended without a result")]
    Task(#[source] io::Error),
    /// Another process serves from this folder.
    #[error("another registry is using {}", root.display())]
    InUse {
        /// The folder.
        root: std::path::PathBuf,
    },
    /// The address or the settings of the store make no sense.
    #[error("cannot use {url} as the store: {reason}")]
    Config {
        /// The address, which holds no secret.
        url: String,
        /// Why.
        reason: String,
    },
}

impl StoreError {
    /// An I/O error on the local disk.
    pub(super) fn disk(doing: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(source),
            _ => Self::Disk { doing, source },
        }
    }
}

impl From<object_store::Error> for StoreError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { path, .. } => Self::Missing { key: path },
            error => match full(&error) {
                Some(full) => Self::Full(full),
                None => Self::Unavailable(error),
            },
        }
    }
}

/// The "no space left" at the bottom of an error, if that is what it is.
fn full(error: &(dyn Error + 'static)) -> Option<io::Error> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<io::Error>()
            && matches!(
                found.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        {
            return Some(io::Error::from(found.kind()));
        }
        next = current.source();
    }
    None
}
