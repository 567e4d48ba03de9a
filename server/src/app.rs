//! The composition root: opens the stores, builds the registry on them, binds
//! the address and serves.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;

use hythe_oci::{Digest, RepositoryName};

use crate::auth::Auth;
use crate::blob_store::{BlobStore, Ownership, StoreError};
use crate::config::{Config, ScrubConfig};
use crate::db::{Database, DbError};
use crate::http::{Api, ListenError, Listener, install_metrics};
use crate::jobs::Jobs;
use crate::registry::{Registry, RegistryError, Replica, Scrubber};
use crate::tls::TlsError;

/// A registry that is bound to its address and ready to serve.
///
/// Binding and serving are two steps so that the caller learns the address
/// (port 0 is allowed) and can say that the registry is ready.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    local_addr: SocketAddr,
    api: Api,
    registry: Registry,
    auth: Auth,
    jobs: Jobs,
    _owned: Ownership,
}

impl Server {
    /// Opens the stores, brings the database's schema up to date, removes what
    /// a crash left behind, and binds the address.
    pub async fn bind(config: Config) -> Result<Self, ServeError> {
        install_metrics();
        let address = config.http.listen;
        let unbound = |source| ServeError::Listen { address, source };
        // The address first: a second registry on the same data would fail
        // here, before it touches anything.
        let listener = Listener::bind(config.http.clone())
            .await
            .map_err(|error| match error {
                ListenError::Bind(error) => unbound(error),
                ListenError::Tls(error) => ServeError::Tls(error),
            })?;
        let local_addr = listener.local_addr().map_err(unbound)?;
        let store = BlobStore::open(&config.storage)?;
        let owned = store.take_over()?;
        let db = Database::open(&config.database).await?;
        let may_be_open = config.auth.may_be_open;
        let auth = Auth::new(db.clone(), config.auth);
        protected(address, may_be_open, (&auth, config.http.tls.is_some())).await?;
        let registry = Registry::new(db, store, config.rules);
        let scrub = match config.scrub.interval {
            Some(every) => Some((every, scrubber(&registry, &config.scrub)?)),
            None => None,
        };
        let jobs = Jobs::start(&registry, &config.jobs, scrub);
        Ok(Self {
            listener,
            local_addr,
            api: Api::new(registry.clone(), auth.clone(), config.http),
            registry,
            auth,
            jobs,
            _owned: owned,
        })
    }

    /// The address that was bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where an agent in the same process finds the files of blobs.
    pub fn blob_files(&self) -> BlobFiles {
        BlobFiles(self.registry.clone())
    }

    /// Serves until `shutdown` completes, then lets requests under way finish
    /// within the configured grace.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ServeError> {
        tracing::info!(address = %self.local_addr, "the registry is ready");
        self.listener.serve(self.api, shutdown).await;
        drop(self.jobs);
        if let Err(error) = self.registry.write_pulls().await {
            tracing::warn!(%error, "the last pulls were not noted");
        }
        self.auth.flush().await;
        tracing::info!("the registry has stopped");
        Ok(())
    }
}

/// Blobs as files of this machine. Asks nobody's leave: callers have had a blob's GET answered.
#[derive(Clone, Debug)]
pub struct BlobFiles(Registry);

impl BlobFiles {
    /// The file that is the blob, never to be written to. `None` when the repository does not show
    /// it, or it is no single file here.
    pub async fn find(&self, repository: &RepositoryName, digest: &Digest) -> Option<PathBuf> {
        let blob = self.0.get_blob(repository, digest).await.ok()?;
        blob.file()
    }
}

/// Refuses to serve what nothing protects on an address that others reach, and
/// warns where the operator says that it may be so.
async fn protected(
    address: SocketAddr,
    may_be_open: bool,
    (auth, has_tls): (&Auth, bool),
) -> Result<(), ServeError> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    if !has_tls {
        tracing::warn!(
            %address,
            "plain HTTP: passwords, tokens and images can be read and changed on their way"
        );
    }
    if auth.is_without_accounts().await? {
        if !may_be_open {
            return Err(ServeError::NoAccounts { address });
        }
        tracing::warn!(
            %address,
            "there are no accounts: whoever reaches this address may read, replace and \
             delete every image (hythe registry user add makes one)"
        );
    }
    Ok(())
}

/// What reads blobs again, as the configuration has it.
pub(crate) fn scrubber(registry: &Registry, config: &ScrubConfig) -> Result<Scrubber, ServeError> {
    let replica = config.replica.as_ref().map(Replica::open).transpose();
    let replica = replica.map_err(|error| ServeError::Replica(Box::new(error)))?;
    Ok(Scrubber::new(
        registry.clone(),
        replica,
        config.bytes_per_second,
    ))
}

/// Why the registry could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The certificate cannot be used or made.
    #[error("cannot serve with TLS")]
    Tls(#[source] TlsError),
    /// Nobody could log in, and nothing says that nobody has to.
    #[error(
        "refusing to serve without accounts on {address}, which other machines can reach; \
         make one (hythe registry user add NAME; hythe registry grant add user:NAME admin '**'), \
         or allow it with --allow-insecure-listen"
    )]
    NoAccounts {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The blob store cannot be used.
    #[error("cannot open the blob store")]
    Store(#[from] StoreError),
    /// The database cannot be used.
    #[error("cannot open the database")]
    Database(#[from] DbError),
    /// The scrub's replica cannot be used.
    #[error("cannot use the scrub's replica")]
    Replica(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An operation did not finish; what it did until then stands.
    #[error("the operation did not finish")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ServeError {
    pub(crate) fn failed(error: RegistryError) -> Self {
        Self::Failed(Box::new(error))
    }
}
