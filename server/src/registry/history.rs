//! Where a tag pointed, and pointing it there again.

use hythe_oci::{Digest, RepositoryName, Tag};
use jiff::Timestamp;

use super::policies::terms;
use super::{Registry, RegistryError};
use crate::db::MoveRecord;

/// The most moves of one page.
const PAGE_MOVES: u32 = 1000;

/// What a tag is to be restored to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsItWas {
    /// Before its last move.
    Before,
    /// At a time.
    At(Timestamp),
    /// When it named this.
    Named(Digest),
}

impl Registry {
    /// Moves of a tag before the move `before`, newest first.
    pub(crate) async fn tag_history(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        (before, n): (Option<i64>, Option<u32>),
    ) -> Result<Vec<MoveRecord>, RegistryError> {
        let page = (
            before.unwrap_or(i64::MAX),
            n.unwrap_or(PAGE_MOVES).min(PAGE_MOVES),
        );
        let moves = self.db.tag_history(repository, tag, page).await?;
        if moves.is_empty() && !self.db.repository_exists(repository).await? {
            return Err(RegistryError::NameUnknown(repository.clone()));
        }
        Ok(moves)
    }

    /// Points a tag at what it named before; what that is.
    pub(crate) async fn restore_tag(
        &self,
        repository: &RepositoryName,
        (tag, to): (&Tag, &AsItWas),
        by: &str,
    ) -> Result<Digest, RegistryError> {
        let digest = self.named_then(repository, tag, to).await?;
        let policies = self.policies().await?;
        let restored = (tag, &digest);
        let by = terms(&policies, by);
        if self.db.restore_tag(repository, restored, by).await? {
            Ok(digest)
        } else {
            Err(RegistryError::CannotRestore(format!(
                "{digest}, which {tag} named then, is gone"
            )))
        }
    }

    async fn named_then(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        to: &AsItWas,
    ) -> Result<Digest, RegistryError> {
        let mut before = None;
        // The move that came after the time that is asked for.
        let mut after: Option<MoveRecord> = None;
        loop {
            let moves = self.tag_history(repository, tag, (before, None)).await?;
            let Some(last) = moves.last() else { break };
            before = Some(last.id);
            for one in moves {
                let found = match to {
                    AsItWas::Before => Some(one.previous.clone()),
                    AsItWas::At(at) if one.moved_at <= *at => Some(one.digest.clone()),
                    AsItWas::At(_) => None,
                    AsItWas::Named(digest) => [&one.digest, &one.previous]
                        .contains(&&Some(digest.clone()))
                        .then(|| Some(digest.clone())),
                };
                match found {
                    Some(Some(digest)) => return Ok(digest),
                    Some(None) => return Err(not_there(tag)),
                    None => after = Some(one),
                }
            }
        }
        let first = after.filter(|_| matches!(to, AsItWas::At(_)));
        match first.and_then(|first| first.previous) {
            Some(digest) => Ok(digest),
            None => Err(RegistryError::CannotRestore(format!(
                "no history of tag {tag} says so"
            ))),
        }
    }
}

fn not_there(tag: &Tag) -> RegistryError {
    RegistryError::CannotRestore(format!("there was no tag {tag} then"))
}
