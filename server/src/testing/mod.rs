//! What tests of several floors share: databases and stores to run on.
//!
//! Each suite is written once and runs on every one of these unchanged.

mod emulators;
mod postgres;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use hythe_oci::{Digest, RepositoryName};
use tempfile::TempDir;
use url::Url;

use crate::auth::Auth;
use crate::blob_store::BlobStore;
use crate::config::{AuthConfig, DatabaseConfig, Policies, RulesConfig, Secret, StorageConfig};
use crate::db::Database;
use crate::registry::{Registry, RegistryError};

pub(crate) use emulators::{azure, s3};
pub(crate) use postgres::Postgres;

/// What lives as long as a test that uses it.
#[derive(Clone, Debug, Default)]
#[expect(dead_code, reason = "held for what its drop removes")]
pub(crate) struct Keep {
    dirs: Vec<Arc<TempDir>>,
    postgres: Option<Arc<Postgres>>,
    pub(crate) emulator: Option<Arc<emulators::Emulator>>,
}

fn temporary() -> (TempDir, Keep) {
    (tempfile::tempdir().unwrap(), Keep::default())
}

/// An address and a fresh, empty database under it.
pub(crate) fn sqlite() -> (DatabaseConfig, Keep) {
    let (dir, mut keep) = temporary();
    let url = format!("sqlite://{}", dir.path().join("registry.db").display());
    keep.dirs.push(Arc::new(dir));
    (database_config(url), keep)
}

/// A fresh database on a PostgreSQL of our own; `None` where none is installed.
pub(crate) fn postgres() -> Option<(DatabaseConfig, Keep)> {
    let server = Postgres::start()?;
    let config = database_config(server.fresh_database());
    let keep = Keep {
        postgres: Some(Arc::new(server)),
        ..Keep::default()
    };
    Some((config, keep))
}

fn database_config(url: String) -> DatabaseConfig {
    DatabaseConfig {
        url: Secret::new(url),
        connections: 4,
        acquire_timeout: Duration::from_secs(10),
    }
}

/// A store in memory.
pub(crate) fn memory() -> StorageConfig {
    storage_config("memory:///")
}

/// A store on disk.
pub(crate) fn disk() -> (StorageConfig, Keep) {
    let (dir, mut keep) = temporary();
    let url = Url::from_file_path(dir.path().join("store")).unwrap();
    keep.dirs.push(Arc::new(dir));
    (storage_config(url.as_str()), keep)
}

fn storage_config(url: &str) -> StorageConfig {
    StorageConfig {
        url: url.parse().unwrap(),
        options: std::collections::BTreeMap::new(),
    }
}

/// The rules that the shipped configuration has, but sparse manifests are taken.
pub(crate) fn rules() -> RulesConfig {
    RulesConfig {
        manifest_bytes: 4 * 1024 * 1024,
        allow_sparse: true,
        chunk_min_bytes: None,
        policies: Policies::default(),
    }
}

/// What the shipped configuration says of accounts.
pub(crate) fn auth_config() -> AuthConfig {
    AuthConfig {
        service: "hythe".to_owned(),
        may_be_open: true,
        access_token: Duration::from_mins(5),
        refresh_token: Duration::from_hours(1),
        key_rotate: Duration::from_hours(1),
        password_checks: 2,
        failed_logins_per_minute: 60,
        audit_keep: None,
    }
}

/// A registry and its two stores.
#[derive(Clone, Debug)]
pub(crate) struct TestRegistry {
    pub(crate) registry: Registry,
    pub(crate) store: BlobStore,
    pub(crate) auth: Auth,
    database: DatabaseConfig,
    rules: RulesConfig,
    #[expect(dead_code, reason = "held for what its drop removes")]
    keep: Vec<Keep>,
}

impl TestRegistry {
    /// On a database and a store.
    pub(crate) async fn on(
        (database, kept): (DatabaseConfig, Keep),
        (storage, stored): (StorageConfig, Keep),
        rules: RulesConfig,
    ) -> Self {
        let store = BlobStore::open(&storage).unwrap();
        let db = Database::open(&database).await.unwrap();
        Self {
            auth: Auth::new(db.clone(), auth_config()),
            registry: Registry::new(db, store.clone(), rules.clone()),
            store,
            database,
            rules,
            keep: vec![kept, stored],
        }
    }
}

impl TestRegistry {
    /// Another process on the same stores, or the same one after a crash.
    pub(crate) async fn reopened(&self) -> Self {
        let db = Database::open(&self.database).await.unwrap();
        let auth = Auth::new(db.clone(), auth_config());
        let registry = Registry::new(db, self.store.clone(), self.rules.clone());
        Self {
            registry,
            auth,
            ..self.clone()
        }
    }

    /// Its database, for what only tests do to it.
    pub(crate) async fn database(&self) -> Database {
        Database::open(&self.database).await.unwrap()
    }

    /// The whole content of a blob, as a client gets it.
    pub(crate) async fn blob(
        &self,
        from: &RepositoryName,
        digest: &Digest,
    ) -> Result<Bytes, RegistryError> {
        let blob = self.registry.get_blob(from, digest).await?;
        let size_bytes = blob.size_bytes;
        let pieces = blob.read(0..size_bytes).await.unwrap();
        let pieces: Vec<Bytes> = pieces.try_collect().await.unwrap();
        Ok(Bytes::from(pieces.concat()))
    }

    /// How many finished segments the store holds.
    pub(crate) async fn stored_objects(&self) -> usize {
        let all: Vec<(String, u64)> = self.store.list(i64::MAX).try_collect().await.unwrap();
        all.len()
    }
}
