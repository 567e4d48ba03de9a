//! What an administrator asks of a registry, whether or not it is being served:
//! the same rules, on the same stores, beside whatever else goes on.

use hythe_oci::{Digest, RepositoryName, Tag};

use crate::app::{ServeError, scrubber};
use crate::auth::Accounts;
use crate::blob_store::BlobStore;
use crate::config::{Config, JobsConfig, ScrubConfig, TlsConfig};
use crate::db::Database;
use crate::jobs;
use crate::registry::{
    AsItWas, Collected, Finding, MoveRecord, Problem, Registry, RepositoryRecord, Scrubbed,
    TagDecision, TagRecord,
};
use crate::tls::Authority;

/// Who is said to have done what is done here.
const ADMINISTRATOR: &str = "administrator";

/// The stores of a registry, opened for work on them.
#[derive(Debug)]
pub struct Maintenance {
    registry: Registry,
    jobs: JobsConfig,
    scrub: ScrubConfig,
}

impl Maintenance {
    /// Opens the accounts of a configuration, for whoever may open its database.
    pub async fn accounts(config: &Config) -> Result<Accounts, ServeError> {
        let db = Database::open(&config.database).await?;
        Ok(Accounts::of_operator(db))
    }

    /// The authority that clients of a registry have to trust, made now if the
    /// registry is to make its own and has not; `None` where its certificate is
    /// another authority's, or where it has none.
    pub fn authority(config: &Config) -> Result<Option<Authority>, ServeError> {
        match &config.http.tls {
            Some(TlsConfig::Made { made, .. }) => {
                Authority::ensure(made).map(Some).map_err(ServeError::Tls)
            }
            Some(TlsConfig::Given { .. }) | None => Ok(None),
        }
    }

    /// Opens the stores of a configuration and brings the schema up to date.
    pub async fn open(config: Config) -> Result<Self, ServeError> {
        let store = BlobStore::open(&config.storage)?;
        let db = Database::open(&config.database).await?;
        Ok(Self {
            registry: Registry::new(db, store, config.rules),
            jobs: config.jobs,
            scrub: config.scrub,
        })
    }

    /// What [`Maintenance::collect`] would begin with, removing nothing. With
    /// `audit`, also what no row names.
    pub async fn explain(&self, audit: bool) -> Result<Vec<Finding>, ServeError> {
        let findings = self.registry.explain(jobs::policy(&self.jobs), audit).await;
        findings.map_err(ServeError::failed)
    }

    /// Removes what nothing leads to and is older than the grace period. With
    /// `audit`, also what no row names, which means listing the whole store.
    pub async fn collect(&self, audit: bool) -> Result<Collected, ServeError> {
        let policy = jobs::policy(&self.jobs);
        if audit {
            let queued = self.registry.audit_objects(policy).await;
            queued.map_err(ServeError::failed)?;
        }
        let collected = self.registry.collect(policy).await;
        collected.map_err(ServeError::failed)
    }

    /// What the retention rules say of every tag that one of them means.
    pub async fn decide_tags(&self) -> Result<Vec<TagDecision>, ServeError> {
        let decided = self.registry.decide_tags().await;
        decided.map_err(ServeError::failed)
    }

    /// Removes the tags that no retention rule keeps; how many.
    pub async fn expire_tags(&self) -> Result<u64, ServeError> {
        let expired = self.registry.expire_tags().await;
        expired.map_err(ServeError::failed)
    }

    /// Every repository.
    pub async fn repositories(&self) -> Result<Vec<RepositoryRecord>, ServeError> {
        let mut all: Vec<RepositoryRecord> = Vec::new();
        loop {
            let last = all.last().map(|one| one.name.to_string());
            let last = last.unwrap_or_default();
            let page = self.registry.describe_repositories(None, &last, &|_| true);
            let page = page.await.map_err(ServeError::failed)?;
            all.extend(page.entries);
            if !page.more {
                return Ok(all);
            }
        }
    }

    /// Every tag of a repository.
    pub async fn tags(&self, repository: &RepositoryName) -> Result<Vec<TagRecord>, ServeError> {
        let mut all: Vec<TagRecord> = Vec::new();
        loop {
            let last = all.last().map(|one| one.name.to_string());
            let last = last.unwrap_or_default();
            let page = self.registry.describe_tags(repository, None, &last).await;
            let page = page.map_err(ServeError::failed)?;
            all.extend(page.entries);
            if !page.more {
                return Ok(all);
            }
        }
    }

    /// The moves of a tag, newest first.
    pub async fn tag_history(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<Vec<MoveRecord>, ServeError> {
        let moves = self.registry.tag_history(repository, tag, (None, None));
        moves.await.map_err(ServeError::failed)
    }

    /// Points a tag at what it named before; what that is.
    pub async fn restore_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        to: &AsItWas,
    ) -> Result<Digest, ServeError> {
        let restored = self
            .registry
            .restore_tag(repository, (tag, to), ADMINISTRATOR);
        restored.await.map_err(ServeError::failed)
    }

    /// Reads every blob and compares it with its digest, now and whatever the
    /// server's own scrub is doing; as fast as `bytes_per_second` or the
    /// configuration allows.
    pub async fn scrub(&self, bytes_per_second: Option<u64>) -> Result<Scrubbed, ServeError> {
        let mut config = self.scrub.clone();
        config.bytes_per_second = bytes_per_second.unwrap_or(config.bytes_per_second);
        let mut scrubber = scrubber(&self.registry, &config)?;
        scrubber.everything().await.map_err(ServeError::failed)
    }

    /// Compares schema, rows and objects without changing any of them: what the
    /// next start, a collection or a new push would have to put right.
    ///
    /// Opens the stores itself, because [`Maintenance::open`] would already have
    /// brought the schema up to date.
    pub async fn check(config: Config) -> Result<Vec<Problem>, ServeError> {
        let mut problems = Vec::new();
        let store = BlobStore::look(&config.storage)?;
        if store.is_none() {
            problems.push(Problem::NoStore);
        }
        let Some((db, schema)) = Database::look(&config.database).await? else {
            problems.push(Problem::NoDatabase);
            return Ok(problems);
        };
        let (holds_rows, is_whole) = (schema.holds_rows, schema.pending.is_empty());
        problems.extend(Problem::of_schema(schema));
        if let Some(store) = store.filter(|_| holds_rows) {
            let registry = Registry::new(db, store, config.rules);
            let compared = registry.compare(jobs::policy(&config.jobs)).await;
            problems.extend(compared.map_err(ServeError::failed)?);
            if is_whole {
                let bad = registry.quarantined().await;
                problems.extend(bad.map_err(ServeError::failed)?);
            }
        }
        Ok(problems)
    }
}
