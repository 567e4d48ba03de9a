//! Why the registry says no.

use hythe_oci::{Digest, RepositoryName};

use super::ingest::BodyError;
use super::replica::ReplicaError;
use super::upload::UploadId;
use crate::blob_store::StoreError;
use crate::db::DbError;

/// Every way in which an operation of the registry can fail. Which answer each
/// becomes is decided in one place, above.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RegistryError {
    #[error("repository {0} is not known")]
    NameUnknown(RepositoryName),
    #[error("blob {0} is not known in this repository")]
    BlobUnknown(Digest),
    /// Its bytes went bad in the store. To a client it does not exist, so that
    /// the next push brings it again.
    #[error("what is stored of blob {0} is not what its digest says; push it again to repair it")]
    BlobQuarantined(Digest),
    #[error("manifest {0} is not known in this repository")]
    ManifestUnknown(String),
    #[error("upload {0} is not known in this repository")]
    UploadUnknown(UploadId),
    /// A chunk that does not continue where the session stands.
    #[error("the upload stands at byte {offset_bytes}, the chunk does not start there")]
    ChunkOutOfOrder { id: UploadId, offset_bytes: u64 },
    #[error("the content has digest {computed}, not {claimed}")]
    DigestMismatch { claimed: Digest, computed: Digest },
    #[error("the body has {actual} bytes where {expected} were announced")]
    SizeMismatch { expected: u64, actual: u64 },
    #[error("{0}")]
    ManifestInvalid(String),
    #[error("the manifest names content that this repository does not have")]
    ManifestBlobUnknown(Vec<Digest>),
    #[error("blob {digest} is part of manifest {manifest}")]
    BlobReferenced { digest: Digest, manifest: Digest },
    /// What was to be restored cannot be.
    #[error("{0}")]
    CannotRestore(String),
    #[error("these are no rules: {0}")]
    PolicyInvalid(String),
    /// The client stopped sending; what arrived is kept.
    #[error("the body ended early")]
    Body(#[from] BodyError),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// A task of ours died.
    #[error("a task ended without a result")]
    Task(#[from] tokio::task::JoinError),
    /// A saved upload cannot be gone on with.
    #[error("the saved state of upload {0} is not valid")]
    UploadState(UploadId),
}
