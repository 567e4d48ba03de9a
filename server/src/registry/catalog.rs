//! Listings of names: tags of a repository, repositories of the registry.

use hythe_oci::{RepositoryName, Tag};

use super::{Registry, RegistryError};

/// The most entries in one answer, asked for or not: a client that wants more
/// follows the link.
const PAGE_ENTRIES: u32 = 10_000;

/// One page of a listing.
#[derive(Clone, Debug)]
pub(crate) struct Page<T> {
    pub(crate) entries: Vec<T>,
    /// Whether there are entries after the last one here.
    pub(crate) more: bool,
}

impl Registry {
    /// Tags after `last`, in byte order (end-8). `last` need not exist.
    pub(crate) async fn list_tags(
        &self,
        repository: &RepositoryName,
        n: Option<u32>,
        last: &str,
    ) -> Result<Page<Tag>, RegistryError> {
        let limit = n.unwrap_or(PAGE_ENTRIES).min(PAGE_ENTRIES);
        let tags = self.db.list_tags(repository, last, limit + 1).await?;
        if tags.is_empty() && !self.db.repository_exists(repository).await? {
            return Err(RegistryError::NameUnknown(repository.clone()));
        }
        Ok(Page::cut(tags, limit))
    }

    /// Repositories after `last`, in byte order.
    pub(crate) async fn list_repositories(
        &self,
        n: Option<u32>,
        last: &str,
    ) -> Result<Page<RepositoryName>, RegistryError> {
        let limit = n.unwrap_or(PAGE_ENTRIES).min(PAGE_ENTRIES);
        let names = self.db.list_repositories(last, limit + 1).await?;
        Ok(Page::cut(names, limit))
    }

    /// The same, of those that somebody may see.
    pub(crate) async fn list_visible_repositories(
        &self,
        n: Option<u32>,
        last: &str,
        is_visible: impl Fn(&RepositoryName) -> bool,
    ) -> Result<Page<RepositoryName>, RegistryError> {
        let limit = n.unwrap_or(PAGE_ENTRIES).min(PAGE_ENTRIES);
        let mut visible = Vec::new();
        let mut last = last.to_owned();
        loop {
            let names = self.db.list_repositories(&last, PAGE_ENTRIES).await?;
            let Some(end) = names.last() else { break };
            end.as_str().clone_into(&mut last);
            visible.extend(names.into_iter().filter(|name| is_visible(name)));
            if visible.len() > limit as usize {
                break;
            }
        }
        Ok(Page::cut(visible, limit))
    }
}

impl<T> Page<T> {
    /// The first `limit` of up to one more.
    pub(super) fn cut(mut entries: Vec<T>, limit: u32) -> Self {
        let limit = limit as usize;
        let more = entries.len() > limit && limit > 0;
        entries.truncate(limit);
        Self { entries, more }
    }
}
