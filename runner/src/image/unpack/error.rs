//! Why a layer's archive cannot become a directory.

use std::io;

/// What was wrong with an archive, or with writing it out. Names are quoted and lossy.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("the archive ends in the middle of {0}")]
    Truncated(&'static str),
    /// Not a tar header, a wrong checksum, a number that is none.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    #[error("entry {name:?} points outside of the layer")]
    Breakout { name: String },
    #[error("entry {name:?}: {reason}")]
    BadEntry { name: String, reason: String },
    #[error("entry {name:?} is of type {kind:?}, which a layer cannot hold")]
    UnknownType { name: String, kind: char },
    #[error("the layer unpacks to more than the limit of {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the layer has more than the limit of {limit} entries")]
    TooManyEntries { limit: u64 },
    #[error("{}", kind_mismatch(.name, *.is_directory))]
    KindMismatch {
        name: String,
        /// What stands there already.
        is_directory: bool,
    },
    #[error("decompress")]
    Decompress(#[source] io::Error),
    /// Whoever wanted the layer went away.
    #[error("the unpack was cancelled")]
    Cancelled,
    #[error("{doing} {name:?}")]
    Write {
        doing: &'static str,
        name: String,
        #[source]
        source: io::Error,
    },
}

/// Docker's words.
fn kind_mismatch(name: &str, is_directory: bool) -> String {
    if is_directory {
        format!("cannot overwrite directory {name:?} with non-directory {name:?}")
    } else {
        format!("cannot overwrite non-directory {name:?} with directory {name:?}")
    }
}

impl UnpackError {
    /// Reading failed: the compressed bytes are bad, or the reader had a reason of its own.
    pub(super) fn from_input(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(reason) => reason,
            Err(error) => Self::Decompress(error),
        }
    }
}
