//! Scrub: reading every blob again, and what is done about one that is wrong.
//!
//! ```text
//!            wrong bytes                 pushed again, or the replica's bytes
//! served ────────────────> quarantined ────────────────────────────────────> served
//!                          (to clients it does not exist)   right after all
//! ```
//!
//! "Wrong" is only what the store says while it answers: an object that is
//! missing, too short, unreadable, or whose bytes have another digest. A store
//! that does not answer is an error, and nothing is decided.
//!
//! Processes on one database make one pass together: one holds the lease and
//! goes on from where the last one was, so a restart loses at most one blob's
//! work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use hythe_oci::{Digest, DigestHasher, RepositoryName};
use serde::Serialize;

use super::check::Hurt;
use super::ingest::ingest;
use super::{Registry, RegistryError, Replica};
use crate::blob_store::StoreError;
use crate::db::{ScrubCandidate, Segment};
use crate::error_chain::Chain;

/// For how long a process that is gone keeps others from going on.
const LEASE: Duration = Duration::from_mins(2);
/// How often the lease is renewed while one large blob is read.
const RENEW: Duration = Duration::from_secs(30);

/// A blob whose stored bytes were wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadBlob {
    /// Which.
    pub digest: Digest,
    /// What is wrong with it.
    pub reason: String,
    /// Who is hurt.
    pub hurts: Vec<Hurt>,
    /// What was done about it.
    pub remedy: Remedy,
}

/// What was done about a bad blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// It is served to nobody until it is pushed again.
    Quarantined,
    /// The replica had the right bytes.
    Repaired,
}

/// What a scrub did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Scrubbed {
    /// Blobs that were read.
    pub blobs: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Blobs that the store, though it answers, did not give.
    pub unread: u64,
    /// Blobs of an earlier quarantine that are right after all.
    pub released: u64,
    /// Blobs that are wrong.
    pub bad: Vec<BadBlob>,
}

/// Whether there was something to do for [`Scrubber::turn`].
#[derive(Debug)]
pub(crate) enum Turn {
    /// A blob was read.
    Went(Box<Scrubbed>),
    /// The pass is over.
    Finished,
    /// Another process holds the lease, or it is not time for a pass yet.
    Waiting,
}

/// What reading a blob showed.
enum Verdict {
    Right,
    Wrong(String),
    /// The store answers, and would not give this one.
    Unread(StoreError),
}

/// Reads blobs again, no faster than it may.
#[derive(Debug)]
pub(crate) struct Scrubber {
    registry: Registry,
    replica: Option<Arc<Replica>>,
    pace: Pace,
    owner: String,
    leased: Option<Instant>,
}

impl Scrubber {
    pub(crate) fn new(registry: Registry, replica: Option<Replica>, bytes_per_second: u64) -> Self {
        Self {
            registry,
            replica: replica.map(Arc::new),
            pace: Pace::new(bytes_per_second),
            owner: uuid::Uuid::new_v4().to_string(),
            leased: None,
        }
    }

    /// The next blob of the pass that all processes make together; a new pass
    /// begins `every` after the end of the last.
    pub(crate) async fn turn(&mut self, every: Duration) -> Result<Turn, RegistryError> {
        let until_ms = in_future(LEASE);
        let position = self.registry.db.lease_scrub(&self.owner, until_ms).await?;
        let Some(position) = position else {
            return Ok(Turn::Waiting);
        };
        let due_ms = position.finished_ms.saturating_add(millis(every));
        if position.last_digest.is_empty() && due_ms > in_future(Duration::ZERO) {
            return Ok(Turn::Waiting);
        }
        self.leased = Some(Instant::now());
        let next = self.registry.db.blob_after(&position.last_digest).await?;
        let Some(blob) = next else {
            self.registry.db.finish_scrub(&self.owner).await?;
            return Ok(Turn::Finished);
        };
        let mut scrubbed = Scrubbed::default();
        self.scrub(&blob, &mut scrubbed).await?;
        let db = &self.registry.db;
        db.advance_scrub(&self.owner, &blob.digest.to_string())
            .await?;
        Ok(Turn::Went(Box::new(scrubbed)))
    }

    /// How many blobs are in quarantine now.
    pub(crate) async fn quarantined(&self) -> Result<usize, RegistryError> {
        Ok(self.registry.db.quarantined_blobs().await?.len())
    }

    /// A whole pass of its own, from the first blob to the last.
    pub(crate) async fn everything(&mut self) -> Result<Scrubbed, RegistryError> {
        let mut scrubbed = Scrubbed::default();
        let mut last = String::new();
        while let Some(blob) = self.registry.db.blob_after(&last).await? {
            last = blob.digest.to_string();
            self.scrub(&blob, &mut scrubbed).await?;
        }
        Ok(scrubbed)
    }

    async fn scrub(
        &mut self,
        blob: &ScrubCandidate,
        scrubbed: &mut Scrubbed,
    ) -> Result<(), RegistryError> {
        let verdict = self.read(blob, scrubbed).await?;
        scrubbed.blobs += 1;
        let reason = match verdict {
            Verdict::Wrong(reason) => reason,
            Verdict::Right => {
                if blob.quarantined && self.registry.db.release_blob(blob).await? {
                    scrubbed.released += 1;
                }
                return Ok(());
            }
            Verdict::Unread(error) => {
                let digest = blob.digest.to_string();
                tracing::warn!(digest, error = %Chain(&error), "a blob could not be read");
                scrubbed.unread += 1;
                return Ok(());
            }
        };
        // False when it was pushed again while the old bytes were read.
        if self.registry.db.quarantine_blob(blob, &reason).await? {
            let hurts = self.registry.hurts(&blob.digest).await?;
            let remedy = self.repair(blob, &hurts).await;
            scrubbed.bad.push(BadBlob {
                digest: blob.digest.clone(),
                reason,
                hurts,
                remedy,
            });
        }
        Ok(())
    }

    /// Reads a blob from its first byte to its last.
    async fn read(
        &mut self,
        blob: &ScrubCandidate,
        scrubbed: &mut Scrubbed,
    ) -> Result<Verdict, RegistryError> {
        let mut hasher = DigestHasher::new(blob.digest.algorithm());
        for segment in &blob.segments {
            let before = scrubbed.bytes;
            if let Err(error) = self.hash(segment, &mut hasher, &mut scrubbed.bytes).await? {
                return self.blame(segment, error).await;
            }
            let read = scrubbed.bytes - before;
            if read != segment.size_bytes {
                let (key, size) = (&segment.object_key, segment.size_bytes);
                let reason = format!("object {key} has {read} bytes instead of {size}");
                return Ok(Verdict::Wrong(reason));
            }
        }
        let actual = hasher.finish();
        if actual == blob.digest {
            return Ok(Verdict::Right);
        }
        Ok(Verdict::Wrong(format!("its bytes have digest {actual}")))
    }

    /// The outer error is the database's, the inner one the store's.
    async fn hash(
        &mut self,
        segment: &Segment,
        hasher: &mut DigestHasher,
        bytes: &mut u64,
    ) -> Result<Result<(), StoreError>, RegistryError> {
        let store = self.registry.store.clone();
        let opened = store.read(&segment.object_key, 0..segment.size_bytes).await;
        let mut pieces = match opened {
            Ok(pieces) => pieces,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            match pieces.try_next().await {
                Ok(Some(piece)) => {
                    hasher.update(&piece);
                    *bytes += piece.len() as u64;
                    self.pace.spend(piece.len() as u64).await;
                    self.renew().await?;
                }
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Whether an error of the store is about this object alone.
    async fn blame(&self, segment: &Segment, error: StoreError) -> Result<Verdict, RegistryError> {
        let store = &self.registry.store;
        // A store that is gone says that everything is missing.
        store.ping().await?;
        let key = &segment.object_key;
        Ok(match error {
            StoreError::Missing { .. } => Verdict::Wrong(format!("object {key} is missing")),
            StoreError::Disk { .. } => {
                let why = Chain(&error);
                Verdict::Wrong(format!("object {key} cannot be read: {why}"))
            }
            // A range that an object is too short for has no code of its own.
            error => match store.size_of(key).await? {
                Some(actual) if actual != segment.size_bytes => {
                    let size = segment.size_bytes;
                    Verdict::Wrong(format!("object {key} has {actual} bytes instead of {size}"))
                }
                _ => Verdict::Unread(error),
            },
        })
    }

    /// Tries to get the right bytes from the replica.
    async fn repair(&self, blob: &ScrubCandidate, hurts: &[Hurt]) -> Remedy {
        let Some(replica) = &self.replica else {
            return Remedy::Quarantined;
        };
        let names: Vec<RepositoryName> = hurts.iter().map(|hurt| hurt.repository.clone()).collect();
        match self.refill(replica, blob, &names).await {
            Ok(()) => Remedy::Repaired,
            Err(error) => {
                let digest = blob.digest.to_string();
                tracing::warn!(digest, error = %Chain(&error), "the replica could not repair a blob");
                Remedy::Quarantined
            }
        }
    }

    async fn refill(
        &self,
        replica: &Replica,
        blob: &ScrubCandidate,
        names: &[RepositoryName],
    ) -> Result<(), RegistryError> {
        let registry = &self.registry;
        let body = replica.fetch(blob, names).await?;
        let hasher = DigestHasher::new(blob.digest.algorithm());
        let ingested = ingest(&registry.store, body, hasher).await?;
        let segments = registry.verify(ingested, &blob.digest).await?;
        // False is well too: somebody pushed it meanwhile.
        registry.db.repair_blob(&blob.digest, &segments).await?;
        Ok(())
    }

    async fn renew(&mut self) -> Result<(), RegistryError> {
        if self.leased.is_some_and(|leased| leased.elapsed() > RENEW) {
            let until_ms = in_future(LEASE);
            self.registry.db.lease_scrub(&self.owner, until_ms).await?;
            self.leased = Some(Instant::now());
        }
        Ok(())
    }
}

/// Spends bytes no faster than a rate, without saving up what was not used.
#[derive(Debug)]
struct Pace {
    bytes_per_second: u64,
    /// When everything so far will have been paid for.
    paid: Instant,
}

impl Pace {
    fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(1),
            paid: Instant::now(),
        }
    }

    async fn spend(&mut self, bytes: u64) {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid = self.paid.max(Instant::now()) + cost;
        tokio::time::sleep_until(self.paid.into()).await;
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn in_future(after: Duration) -> i64 {
    let now = jiff::Timestamp::now().as_millisecond();
    now.saturating_add(millis(after))
}

#[cfg(test)]
mod tests;
