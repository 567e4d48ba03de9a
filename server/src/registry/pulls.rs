//! When manifests were last pulled: kept in memory, and written in one go from
//! time to time, so that a pull costs no write. A crash loses the last of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hythe_oci::{Digest, RepositoryName};

use super::{Registry, RegistryError};

/// Different manifests that are remembered until the next write; further ones
/// are not.
const REMEMBERED: usize = 100_000;

/// Manifests that are written in one transaction.
const BATCH: usize = 500;

/// Pulls that were not written yet.
#[derive(Debug, Default)]
pub(super) struct Pulls(Mutex<Pending>);

#[derive(Debug, Default)]
struct Pending {
    by_repository: HashMap<RepositoryName, HashMap<Digest, i64>>,
    entries: usize,
}

impl Pulls {
    fn note(&self, repository: &RepositoryName, digest: &Digest) {
        let now = jiff::Timestamp::now().as_millisecond();
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pending
            .by_repository
            .get_mut(repository)
            .and_then(|digests| digests.get_mut(digest));
        if let Some(at) = known {
            *at = now;
        } else if pending.entries < REMEMBERED {
            pending.entries += 1;
            let digests = pending.by_repository.entry(repository.clone());
            digests.or_default().insert(digest.clone(), now);
        }
    }

    fn take(&self) -> Vec<(RepositoryName, Digest, i64)> {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *pending).by_repository;
        drop(pending);
        let each = taken.into_iter().flat_map(|(repository, digests)| {
            let digests = digests.into_iter();
            digests.map(move |(digest, at)| (repository.clone(), digest, at))
        });
        each.collect()
    }
}

impl Registry {
    /// Notes that somebody pulls a manifest now.
    pub(crate) fn note_pull(&self, repository: &RepositoryName, digest: &Digest) {
        self.pulls.note(repository, digest);
    }

    /// Writes what was noted; what cannot be written is forgotten.
    pub(crate) async fn write_pulls(&self) -> Result<(), RegistryError> {
        let mut pulls = self.pulls.take();
        // In one order everywhere, so that two replicas do not wait for each
        // other.
        pulls.sort_unstable_by(|a, b| (&a.0, a.1.to_string()).cmp(&(&b.0, b.1.to_string())));
        for batch in pulls.chunks(BATCH) {
            self.db.note_pulls(batch).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_pulls_of_one_manifest_are_one_entry() {
        let pulls = Pulls::default();
        let (name, other): (RepositoryName, RepositoryName) =
            ("a".parse().unwrap(), "b".parse().unwrap());
        let digest = Digest::of(b"x");
        for _ in 0..3 {
            pulls.note(&name, &digest);
            pulls.note(&other, &digest);
        }
        assert_eq!(pulls.take().len(), 2);
        assert!(pulls.take().is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let pulls = Pulls::default();
        let name: RepositoryName = "a".parse().unwrap();
        for number in 0..REMEMBERED + 10 {
            pulls.note(&name, &Digest::of(&number.to_le_bytes()));
        }
        assert_eq!(pulls.take().len(), REMEMBERED);
    }
}
