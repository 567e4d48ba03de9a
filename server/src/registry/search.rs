//! Search: repositories by words of their name, of their description, and of
//! what their newest image says of itself.

use super::{Registry, RegistryError, Visible};
use crate::db::FoundRepository;

/// The most results of one page, as docker asks for at most.
const PAGE_RESULTS: u32 = 100;

/// Repositories that are looked at together.
const BATCH: u32 = 200;

impl Registry {
    /// Page `page`, counted from 1, of the repositories that `term` finds and
    /// the caller may see, with `n` results each.
    pub(crate) async fn search(
        &self,
        term: &str,
        (n, page): (u32, u32),
        visible: Visible<'_>,
    ) -> Result<Vec<FoundRepository>, RegistryError> {
        let n = n.clamp(1, PAGE_RESULTS) as usize;
        let mut to_skip = n.saturating_mul(page.saturating_sub(1) as usize);
        // Names have no capitals, whoever searches for them may.
        let term = term.trim().to_lowercase();
        let mut found = Vec::new();
        let mut offset = 0;
        loop {
            let batch = self.db.search_repositories(&term, (BATCH, offset)).await?;
            let is_last = batch.len() < BATCH as usize;
            for repository in batch {
                if !visible(&repository.name) {
                    continue;
                }
                if to_skip > 0 {
                    to_skip -= 1;
                    continue;
                }
                found.push(repository);
                if found.len() == n {
                    return Ok(found);
                }
            }
            if is_last {
                return Ok(found);
            }
            offset = offset.saturating_add(BATCH);
        }
    }
}
