//! Search: repositories by a part of their name.

use hythe_oci::RepositoryName;
use serde_json::Value;

use super::{Registry, RegistryError};

/// The most results of one page, as docker asks for at most.
const PAGE_RESULTS: u32 = 100;

/// Larger manifests are not read for their description.
const DESCRIBED_BYTES: u32 = 64 << 10;

/// The annotation that says what an image is (OCI image specification).
const DESCRIPTION: &str = "org.opencontainers.image.description";

/// A repository that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) name: RepositoryName,
    /// What its newest image says of itself; may be empty.
    pub(crate) description: String,
}

impl Registry {
    /// Page `page`, counted from 1, of the repositories whose name holds
    /// `term`, with `n` results each.
    pub(crate) async fn search(
        &self,
        term: &str,
        n: u32,
        page: u32,
    ) -> Result<Vec<Found>, RegistryError> {
        let n = n.clamp(1, PAGE_RESULTS);
        let offset = n.saturating_mul(page.saturating_sub(1));
        // Names have no capitals, whoever searches for them may.
        let term = term.trim().to_lowercase();
        let found = self
            .db
            .search_repositories(&term, (n, offset), DESCRIBED_BYTES);
        let found = found.await?.into_iter();
        Ok(found
            .map(|(name, manifest)| Found {
                name,
                description: manifest.map_or_else(String::new, |bytes| description(&bytes)),
            })
            .collect())
    }
}

fn description(manifest: &[u8]) -> String {
    let manifest: Value = serde_json::from_slice(manifest).unwrap_or_default();
    let text = manifest["annotations"][DESCRIPTION].as_str();
    text.unwrap_or_default().to_owned()
}
