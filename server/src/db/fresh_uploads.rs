//! Upload sessions that no byte came for yet, of an SQLite file's one server.
//!
//! Most sessions are opened, filled by one request and gone, a moment later. As
//! rows they would cost that server two transactions instead of one. So a
//! session gets its row with its first durable bytes, and what a crash takes
//! with it is nothing but the right to go on from byte 0: the client is told
//! that the session is unknown and opens another.
//!
//! Whoever changes something here holds the one writer of the database, so a
//! session cannot be ended twice.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hythe_oci::{Algorithm, RepositoryName};

/// Sessions that are kept here; beyond it they get their rows at once.
const MOST: usize = 4096;

/// A session at byte 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FreshUpload {
    pub(super) repository: RepositoryName,
    pub(super) algorithm: Algorithm,
    /// When it was opened, in ms since 1970.
    pub(super) started_at: i64,
}

#[derive(Debug, Default)]
pub(super) struct FreshUploads(Mutex<HashMap<String, FreshUpload>>);

impl FreshUploads {
    /// Keeps a session; false when there are too many.
    pub(super) fn open(&self, id: &str, upload: FreshUpload) -> bool {
        let mut uploads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = uploads.len() < MOST;
        if room {
            uploads.insert(id.to_owned(), upload);
        }
        room
    }

    /// The session, if it is here.
    pub(super) fn get(&self, id: &str) -> Option<FreshUpload> {
        let uploads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.get(id).cloned()
    }

    /// Ends the session, if this repository has it.
    pub(super) fn end(&self, repository: &RepositoryName, id: &str) -> Option<FreshUpload> {
        let mut uploads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uploads.get(id)?.repository != *repository {
            return None;
        }
        uploads.remove(id)
    }

    /// Forgets a session that has its row now.
    pub(super) fn forget(&self, id: &str) {
        let mut uploads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.remove(id);
    }

    /// Ends every session of a repository.
    pub(super) fn end_all(&self, repository: &RepositoryName) {
        let mut uploads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.retain(|_, upload| upload.repository != *repository);
    }

    /// Ends those that were opened before `before_ms`; how many they were.
    pub(super) fn expire(&self, before_ms: i64) -> u64 {
        let mut uploads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = uploads.len();
        uploads.retain(|_, upload| upload.started_at >= before_ms);
        (before - uploads.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(started_at: i64) -> FreshUpload {
        FreshUpload {
            repository: "a/b".parse().unwrap(),
            algorithm: Algorithm::Sha256,
            started_at,
        }
    }

    #[test]
    fn a_session_belongs_to_one_repository_and_ends_once() {
        let uploads = FreshUploads::default();
        let (ours, other) = ("a/b".parse().unwrap(), "a/c".parse().unwrap());
        assert!(uploads.open("1", upload(7)));
        assert_eq!(uploads.end(&other, "1"), None);
        assert_eq!(uploads.get("1"), Some(upload(7)));
        assert_eq!(uploads.end(&ours, "1"), Some(upload(7)));
        assert_eq!(uploads.end(&ours, "1"), None);
    }

    #[test]
    fn old_ones_expire_and_their_number_is_bounded() {
        let uploads = FreshUploads::default();
        for n in 0..MOST {
            assert!(uploads.open(&n.to_string(), upload(i64::try_from(n).unwrap())));
        }
        assert!(!uploads.open("one more", upload(0)));
        assert_eq!(uploads.expire(10), 10);
        assert!(uploads.open("one more", upload(0)));
        uploads.end_all(&"a/b".parse().unwrap());
        assert_eq!(uploads.expire(i64::MAX), 0);
    }
}
