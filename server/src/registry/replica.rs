//! Another place that has the same blobs: where good bytes come from when ours
//! went bad. What it sends is verified like any push.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use hythe_oci::client::{Client, ClientConfig, ClientError, Credentials, Secret};
use hythe_oci::{Descriptor, Digest, ImageReference, RepositoryName};

use super::ingest::{BodyError, Incoming};
use crate::blob_store::{BlobStore, StoreError};
use crate::config::{ReplicaConfig, StorageConfig};
use crate::db::ScrubCandidate;

/// Why a replica could not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ReplicaError {
    /// The other registry said no, or cannot be reached.
    #[error("the replica does not give the blob")]
    Client(#[from] ClientError),
    /// The other store cannot be used.
    #[error("the replica's store cannot be used")]
    Store(#[from] StoreError),
    /// The other store's folder is not there.
    #[error("the replica's store is not there")]
    Gone,
    /// No repository shows the blob, so there is no name to ask for.
    #[error("no repository shows blob {0}, so the replica cannot be asked for it")]
    NoName(Digest),
}

/// The replica; opened once.
#[derive(Debug)]
pub(crate) enum Replica {
    /// A copy of the store, with the same keys; opened when it is needed, for it
    /// may be a disk that is not always there.
    Store(StorageConfig),
    /// A registry with the same repositories.
    Registry {
        client: Client,
        host: String,
        credentials: Credentials,
    },
}

impl Replica {
    /// Checks the settings; makes nothing and asks nobody.
    pub(crate) fn open(config: &ReplicaConfig) -> Result<Self, ReplicaError> {
        match config {
            ReplicaConfig::Store(storage) => {
                if BlobStore::look(storage)?.is_none() {
                    tracing::warn!(url = %storage.url, "the replica's store is not there now");
                }
                Ok(Self::Store(storage.clone()))
            }
            ReplicaConfig::Registry {
                host,
                plain_http,
                user,
            } => Ok(Self::Registry {
                client: Client::new(ClientConfig {
                    insecure_registries: plain_http.then(|| host.clone()).into_iter().collect(),
                    ..ClientConfig::default()
                })?,
                host: host.clone(),
                credentials: user.as_ref().map_or(Credentials::None, |(user, password)| {
                    Credentials::Basic {
                        user: user.clone(),
                        password: Secret::new(password.expose()),
                    }
                }),
            }),
        }
    }

    /// The blob's bytes as the replica has them, unverified; `shown_in` are the
    /// repositories that show it here.
    pub(super) async fn fetch(
        &self,
        blob: &ScrubCandidate,
        shown_in: &[RepositoryName],
    ) -> Result<Incoming, ReplicaError> {
        match self {
            Self::Store(storage) => match BlobStore::look(storage)? {
                Some(store) => Ok(read_all(store, blob)),
                None => Err(ReplicaError::Gone),
            },
            Self::Registry {
                client,
                host,
                credentials,
            } => {
                let descriptor = Descriptor::new(
                    "application/octet-stream",
                    blob.digest.clone(),
                    blob.size_bytes,
                );
                let mut refused = ReplicaError::NoName(blob.digest.clone());
                for repository in shown_in {
                    let image = ImageReference {
                        host: host.clone(),
                        repository: repository.clone(),
                        tag: None,
                        digest: None,
                    };
                    let remote = client.repository(&image, credentials.clone());
                    match remote.open_blob(&descriptor, 0).await {
                        Ok(opened) => {
                            let bytes = opened.bytes;
                            return Ok(bytes.map_err(broken).boxed());
                        }
                        Err(error) => refused = error.into(),
                    }
                }
                Err(refused)
            }
        }
    }
}

fn read_all(store: BlobStore, blob: &ScrubCandidate) -> Incoming {
    stream::iter(blob.segments.clone())
        .then(move |segment| {
            let store = store.clone();
            async move {
                let pieces = store.read(&segment.object_key, 0..segment.size_bytes);
                pieces.await.map(|pieces| pieces.map_err(broken))
            }
        })
        .map_err(broken)
        .try_flatten()
        .boxed()
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> BodyError {
    BodyError::Broken(Box::new(error))
}
