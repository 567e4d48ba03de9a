//! Manifests that were asked for by tag lately, in memory: what a fleet that
//! pulls one image asks for thousands of times.
//!
//! What a tag names is only true until the next commit, so each entry carries
//! the number of the commit that it was read after and counts for nothing once
//! there was another ([`Writer::settled`](super::write::Writer::settled)). That
//! is exact for all changes that go through the one server of an SQLite file;
//! those that an administrator's command makes beside it are heard of in half a
//! second. Over PostgreSQL, where any replica may move a tag, nothing is kept.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hythe_oci::{RepositoryName, Tag};

use super::ManifestRecord;

/// How much content is kept in all; beyond it everything is forgotten, which a
/// registry with that many hot tags does not notice.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// A manifest above this is read again each time.
const LARGEST_BYTES: usize = 256 * 1024;

/// What an entry costs beside its content, roughly.
const ENTRY_BYTES: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_name: HashMap<RepositoryName, HashMap<Tag, Entry>>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    commits: u64,
    record: ManifestRecord,
}

impl Recent {
    /// The manifest, if it was read since the last of `commits`.
    pub(super) fn get(
        &self,
        commits: u64,
        (repository, tag): (&RepositoryName, &Tag),
    ) -> Option<ManifestRecord> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = kept.by_name.get(repository)?.get(tag)?;
        (entry.commits == commits).then(|| entry.record.clone())
    }

    /// Keeps a manifest that was read after `commits` had been counted.
    pub(super) fn put(
        &self,
        commits: u64,
        (repository, tag): (&RepositoryName, &Tag),
        record: &ManifestRecord,
    ) {
        if record.content.len() > LARGEST_BYTES {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes > KEPT_BYTES {
            *kept = Kept::default();
        }
        let record = record.clone();
        let added = record.content.len() + ENTRY_BYTES;
        let of_repository = kept.by_name.entry(repository.clone()).or_default();
        let before = of_repository.insert(tag.clone(), Entry { commits, record });
        let removed = before.map_or(0, |entry| entry.record.content.len() + ENTRY_BYTES);
        kept.bytes = kept.bytes + added - removed;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hythe_oci::Digest;

    use super::*;

    fn record(content: Vec<u8>) -> ManifestRecord {
        ManifestRecord {
            digest: Digest::of(&content),
            media_type: String::new(),
            content: Bytes::from(content),
        }
    }

    #[test]
    fn an_entry_counts_for_its_own_commit_only() {
        let recent = Recent::default();
        let (name, tag) = ("a/b".parse().unwrap(), "1".parse().unwrap());
        let kept = record(vec![1]);
        recent.put(4, (&name, &tag), &kept);
        assert_eq!(recent.get(4, (&name, &tag)).unwrap().digest, kept.digest);
        assert!(recent.get(6, (&name, &tag)).is_none());
        assert!(recent.get(4, (&name, &"2".parse().unwrap())).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let recent = Recent::default();
        let name = "a".parse().unwrap();
        for number in 0..100 {
            let tag = number.to_string().parse().unwrap();
            recent.put(0, (&name, &tag), &record(vec![0; LARGEST_BYTES]));
            recent.put(0, (&name, &tag), &record(vec![1; LARGEST_BYTES]));
            let bytes = recent.0.lock().unwrap().bytes;
            assert!(bytes <= KEPT_BYTES + LARGEST_BYTES + ENTRY_BYTES, "{bytes}");
        }
        let tag = "large".parse().unwrap();
        recent.put(0, (&name, &tag), &record(vec![0; LARGEST_BYTES + 1]));
        assert!(recent.get(0, (&name, &tag)).is_none());
    }
}
