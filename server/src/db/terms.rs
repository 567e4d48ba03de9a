//! On which terms a change is made: who makes it, and which rules it meets.

use hythe_oci::{RepositoryName, Tag};

use crate::config::{Policies, Quota};

/// What every change of tags or of what is stored comes with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    /// The account that asks for it.
    pub(crate) by: &'a str,
    pub(crate) policies: &'a Policies,
}

/// Why the rules do not allow a change; nothing of it happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The tag is there and may not become anything else.
    #[error("tag {tag} of {repository} is immutable: it cannot be moved or deleted")]
    Immutable {
        /// Where.
        repository: RepositoryName,
        /// Which.
        tag: Tag,
    },
    /// There is no room for it.
    #[error(
        "the quota of {} is {} bytes: {used_bytes} are used and {asked_bytes} more were asked for",
        quota.repositories, quota.bytes
    )]
    Quota {
        /// Which.
        quota: Quota,
        /// What is there and under way.
        used_bytes: u64,
        /// What did not fit.
        asked_bytes: u64,
    },
}

impl Terms<'_> {
    /// Fails when the tag may not be moved or deleted.
    pub(super) fn check_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<(), Refusal> {
        if self.policies.is_immutable(repository, tag) {
            return Err(Refusal::Immutable {
                repository: repository.clone(),
                tag: tag.clone(),
            });
        }
        Ok(())
    }
}
