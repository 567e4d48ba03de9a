//! Rules for repositories by pattern: which tags may not move, which are kept,
//! how much may be stored. Written in the configuration, and beside it through
//! the API; the same words in both.

use hythe_oci::{RepositoryName, RepositoryPattern, Tag, TagPattern};
use serde::{Deserialize, Serialize};

/// All rules of a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Policies {
    /// Tags that once pushed stay what they are.
    pub immutable_tags: Vec<ImmutableTags>,
    /// Which tags are removed in time; the first rule that means a tag decides.
    pub retention: Vec<Retention>,
    /// How much may be stored.
    pub quotas: Vec<Quota>,
}

/// Tags that neither move nor go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImmutableTags {
    /// In which repositories.
    pub repositories: RepositoryPattern,
    /// Which of their tags.
    #[serde(default = "TagPattern::every")]
    pub tags: TagPattern,
}

/// Tags that are removed unless one of the reasons to keep them holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedRetention")]
pub struct Retention {
    /// In which repositories.
    pub repositories: RepositoryPattern,
    /// Which of their tags.
    pub tags: TagPattern,
    /// The so many of them in each repository that were pushed last are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_last: Option<u32>,
    /// Those pushed within so many seconds are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_pushed_seconds: Option<u64>,
    /// Those pulled within so many seconds are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_pulled_seconds: Option<u64>,
}

/// [`Retention`] as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedRetention {
    repositories: RepositoryPattern,
    #[serde(default = "TagPattern::every")]
    tags: TagPattern,
    keep_last: Option<u32>,
    keep_pushed_seconds: Option<u64>,
    keep_pulled_seconds: Option<u64>,
}

/// The most that some repositories may hold together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Which ones.
    pub repositories: RepositoryPattern,
    /// How much, in bytes: the blobs that each shows, its manifests, and what
    /// is being uploaded to it.
    pub bytes: u64,
}

impl Policies {
    /// These and others.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.immutable_tags.extend(others.immutable_tags);
        self.retention.extend(others.retention);
        self.quotas.extend(others.quotas);
        self
    }

    /// Whether a tag may not move, and so may not be removed.
    pub fn is_immutable(&self, repository: &RepositoryName, tag: &Tag) -> bool {
        self.immutable_tags
            .iter()
            .any(|rule| rule.repositories.matches(repository) && rule.tags.matches(tag))
    }

    /// The quotas that mean this repository, in one order everywhere.
    pub fn quotas_of(&self, repository: &RepositoryName) -> Vec<Quota> {
        let mut quotas: Vec<Quota> = self
            .quotas
            .iter()
            .filter(|quota| quota.repositories.matches(repository))
            .cloned()
            .collect();
        quotas.sort_by(|a, b| (&a.repositories, a.bytes).cmp(&(&b.repositories, b.bytes)));
        quotas
    }
}

/// A rule that would remove everything.
#[derive(Debug, thiserror::Error)]
#[error(
    "a retention rule says what to keep: at least one of keep_last, keep_pushed_seconds and \
     keep_pulled_seconds"
)]
struct KeepsNothing;

impl TryFrom<UncheckedRetention> for Retention {
    type Error = KeepsNothing;

    fn try_from(said: UncheckedRetention) -> Result<Self, KeepsNothing> {
        let ages = [said.keep_pushed_seconds, said.keep_pulled_seconds];
        if said.keep_last.is_none() && ages.iter().all(Option::is_none) {
            return Err(KeepsNothing);
        }
        Ok(Self {
            repositories: said.repositories,
            tags: said.tags,
            keep_last: said.keep_last,
            keep_pushed_seconds: said.keep_pushed_seconds,
            keep_pulled_seconds: said.keep_pulled_seconds,
        })
    }
}
