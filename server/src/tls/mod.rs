//! Certificates: those that the operator gives, and those that the registry
//! makes for itself; read again when the files change.
//!
//! ```text
//! given:  tls.certificate, tls.key
//! made:   DATA/tls/ca.pem      the authority; clients trust this
//!         DATA/tls/ca-key.pem
//!         DATA/tls/server.pem  made again before it ends, or when the
//!         DATA/tls/server-key.pem  registry goes by another name
//! ```
//!
//! Knows no connection: `http` asks for what a handshake needs now.

mod authority;
mod files;
mod names;

pub use authority::Authority;
pub(crate) use files::{Certificates, name_in};

use std::path::PathBuf;

/// Why a certificate cannot be used or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file that is not what it should be.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No certificate could be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
}

impl TlsError {
    fn of(path: &std::path::Path, reason: impl std::fmt::Display) -> Self {
        Self::File {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}
