//! The rules, in the words of the distribution specification.
//!
//! One file per noun. Here is decided what is accepted, what becomes visible
//! and when; `db` and `blob_store` below do as they are told, `http` above
//! translates. Knows neither HTTP nor SQL nor object stores.

mod blob;
mod catalog;
mod check;
mod error;
mod facts;
mod gc;
mod history;
mod ingest;
mod manifest;
mod policies;
mod pulls;
mod referrers;
mod replica;
mod retention;
mod scrub;
mod search;
#[cfg(test)]
mod tests;
mod upload;

use std::sync::Arc;

pub(crate) use blob::Mounted;
pub use check::{Hurt, ObjectHolder, Problem};
pub(crate) use error::RegistryError;
pub(crate) use gc::Policy;
pub use gc::{Collected, Finding};
pub use history::AsItWas;
pub(crate) use ingest::{BodyError, Incoming};
pub(crate) use manifest::{Manifest, PushManifest, PushedManifest};
pub(crate) use referrers::Referrer;
pub(crate) use replica::Replica;
pub use retention::TagDecision;
pub use scrub::{BadBlob, Remedy, Scrubbed};
pub(crate) use scrub::{Scrubber, Turn};
pub(crate) use upload::{Chunk, UploadId, UploadSession};

use hythe_oci::RepositoryName;

use crate::blob_store::BlobStore;
use crate::config::RulesConfig;
use crate::db::Database;
pub(crate) use crate::db::{FoundRepository, PolicyKind, RepositoryChange};
pub use crate::db::{MoveRecord, PlatformRecord, RepositoryRecord, TagRecord};

/// Which repositories a caller may see.
pub(crate) type Visible<'a> = &'a (dyn Fn(&RepositoryName) -> bool + Send + Sync);

/// The registry; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Registry {
    db: Database,
    store: BlobStore,
    rules: Arc<RulesConfig>,
    pulls: Arc<pulls::Pulls>,
    known_policies: Arc<policies::KnownPolicies>,
}

impl Registry {
    /// A registry over its two stores.
    pub(crate) fn new(db: Database, store: BlobStore, rules: RulesConfig) -> Self {
        Self {
            db,
            store,
            rules: Arc::new(rules),
            pulls: Arc::default(),
            known_policies: Arc::default(),
        }
    }

    /// What it accepts.
    pub(crate) fn rules(&self) -> &RulesConfig {
        &self.rules
    }

    /// Fails when the database or the store does not answer.
    pub(crate) async fn ping(&self) -> Result<(), RegistryError> {
        self.db.ping().await?;
        self.store.ping().await?;
        Ok(())
    }
}
