//! From an address and settings to a store.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::signer::Signer;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use super::{BlobStore, StoreError, Writes, disk};
use crate::config::StorageConfig;

impl BlobStore {
    /// Opens the store; on disk, makes its folders.
    pub(crate) fn open(config: &StorageConfig) -> Result<Self, StoreError> {
        if config.url.scheme() == "file" {
            disk::prepare(&folder(config)?)
                .map_err(|error| StoreError::disk("preparing the store's folders", error))?;
        }
        Self::open_as_it_is(config)
    }

    /// Opens the store and makes nothing; `None` when its folder is not there.
    pub(crate) fn look(config: &StorageConfig) -> Result<Option<Self>, StoreError> {
        if config.url.scheme() == "file" && !folder(config)?.is_dir() {
            return Ok(None);
        }
        Self::open_as_it_is(config).map(Some)
    }

    fn open_as_it_is(config: &StorageConfig) -> Result<Self, StoreError> {
        match config.url.scheme() {
            "file" => open_disk(config),
            "s3" => open_s3(config),
            "gs" => open_gcs(config),
            "az" => open_azure(config),
            _ => {
                let memory = Arc::new(InMemory::new());
                Ok(Self {
                    writes: Writes::Objects(Arc::clone(&memory) as _),
                    objects: memory,
                    signer: None,
                })
            }
        }
    }
}

fn folder(config: &StorageConfig) -> Result<PathBuf, StoreError> {
    config
        .url
        .to_file_path()
        .map_err(|()| invalid(config, &"not a path on this machine"))
}

fn open_disk(config: &StorageConfig) -> Result<BlobStore, StoreError> {
    let root = folder(config)?;
    let store = LocalFileSystem::new_with_prefix(&root)
        .map_err(|error| invalid(config, &error))?
        .with_fsync(true);
    Ok(BlobStore {
        objects: Arc::new(store),
        writes: Writes::Disk(root.into()),
        signer: None,
    })
}

fn open_s3(config: &StorageConfig) -> Result<BlobStore, StoreError> {
    let mut builder = AmazonS3Builder::new()
        .with_url(config.url.as_str())
        .with_client_options(client());
    for (key, value) in &config.options {
        if let Some(key) = known(key) {
            builder = builder.with_config(key, value.expose());
        }
    }
    remote(config, builder.with_retry(retry()).build())
}

fn open_gcs(config: &StorageConfig) -> Result<BlobStore, StoreError> {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_url(config.url.as_str())
        .with_client_options(client());
    for (key, value) in &config.options {
        if let Some(key) = known(key) {
            builder = builder.with_config(key, value.expose());
        }
    }
    remote(config, builder.with_retry(retry()).build())
}

fn open_azure(config: &StorageConfig) -> Result<BlobStore, StoreError> {
    let mut builder = MicrosoftAzureBuilder::new()
        .with_url(config.url.as_str())
        .with_client_options(client());
    for (key, value) in &config.options {
        if let Some(key) = known(key) {
            builder = builder.with_config(key, value.expose());
        }
    }
    remote(config, builder.with_retry(retry()).build())
}

/// The option of that name. A name that this store does not know is most
/// likely a variable of the environment that is meant for another tool.
fn known<K: FromStr>(name: &str) -> Option<K> {
    let key = name.parse().ok();
    if key.is_none() {
        tracing::debug!(name, "the object store has no such option");
    }
    key
}

/// A store behind the network, under the path of its address.
fn remote<S: ObjectStore + MultipartStore + Signer>(
    config: &StorageConfig,
    store: object_store::Result<S>,
) -> Result<BlobStore, StoreError> {
    let store = store.map_err(|error| invalid(config, &error))?;
    let prefix = Path::from_url_path(config.url.path()).map_err(|error| invalid(config, &error))?;
    let store = Arc::new(PrefixStore::new(store, prefix));
    Ok(BlobStore {
        signer: Some(Arc::clone(&store) as Arc<dyn Signer>),
        writes: Writes::Objects(Arc::clone(&store) as Arc<dyn MultipartStore>),
        objects: store,
    })
}

/// A store may be silent for so long; how long a whole request takes is up to
/// whoever reads its body. What the options of the store say wins.
fn client() -> ClientOptions {
    ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(Duration::from_secs(30))
        .with_connect_timeout(Duration::from_secs(5))
}

/// Long enough for a store that throttles, short enough that a client is told
/// to come back while it still listens.
fn retry() -> RetryConfig {
    RetryConfig {
        max_retries: 6,
        retry_timeout: Duration::from_secs(30),
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
    }
}

fn invalid(config: &StorageConfig, reason: &dyn std::fmt::Display) -> StoreError {
    StoreError::Config {
        url: config.url.to_string(),
        reason: reason.to_string(),
    }
}
