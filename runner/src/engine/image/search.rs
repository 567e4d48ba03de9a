//! Looking for images in a registry.

use hythe_oci::ImageReference;
use hythe_oci::client::SearchResult;

use super::{RegistryAuth, registry_error};
use crate::engine::{Engine, EngineError, Filters};

/// What docker takes.
const LIMITS: std::ops::RangeInclusive<u32> = 1..=100;
const DEFAULT_LIMIT: u32 = 25;

/// `GET /images/search`.
#[derive(Debug, Clone, Default)]
pub struct SearchImages {
    /// `[host[:port]/]words`; without a host the default registry is meant.
    pub term: String,
    pub limit: Option<u32>,
    pub filters: Filters,
    pub credentials: RegistryAuth,
}

impl Engine {
    /// What the registry found, by its own order; names of other registries than Docker Hub have
    /// the host in front, so that they can be pulled.
    pub async fn search_images(
        &self,
        request: SearchImages,
    ) -> Result<Vec<SearchResult>, EngineError> {
        let filters = &request.filters;
        filters.check_keys(&["is-automated", "is-official", "stars"])?;
        let (official, automated) = (filters.flag("is-official")?, filters.flag("is-automated")?);
        let stars = filters.values("stars").map(|text| {
            text.parse::<i64>().map_err(|_| {
                EngineError::InvalidParameter(format!("invalid filter 'stars=[{text}]'"))
            })
        });
        let stars = stars.collect::<Result<Vec<_>, _>>()?.into_iter().max();
        let limit = request.limit.unwrap_or(DEFAULT_LIMIT);
        if !LIMITS.contains(&limit) {
            return Err(EngineError::InvalidParameter(format!(
                "limit {limit} is outside the range of [1, 100]"
            )));
        }
        let (host, words) = self.where_to_search(&request.term)?;
        let credentials = self.credentials_at(&host, request.credentials).await?;
        let client = &self.shared.registry_client;
        let found = client.search(&host, (&words, limit), &credentials).await;
        let mut found = found.map_err(|error| registry_error(&error))?;
        found.retain(|result| {
            official.is_none_or(|wanted| wanted == result.is_official)
                && automated.is_none_or(|wanted| wanted == result.is_automated)
                && stars.is_none_or(|least| result.star_count >= least)
        });
        found.truncate(limit as usize);
        if host != hythe_oci::reference::DOCKER_HUB {
            for result in &mut found {
                result.name = format!("{host}/{}", result.name);
            }
        }
        Ok(found)
    }

    /// The host that a term names, and the rest of it.
    fn where_to_search(&self, term: &str) -> Result<(String, String), EngineError> {
        if term.is_empty() || term.contains("://") {
            return Err(EngineError::InvalidParameter(format!(
                "invalid repository name ({term}), cannot be empty or begin with a scheme"
            )));
        }
        if let Some((host, words)) = term.split_once('/')
            && (host.contains(['.', ':']) || host == "localhost")
        {
            // Checked by the grammar of references: it becomes a part of a URL.
            let probe = ImageReference::parse(&format!("{host}/x"), host);
            let probe = probe.map_err(|error| EngineError::InvalidParameter(error.to_string()))?;
            return Ok((probe.host.clone(), words.to_owned()));
        }
        let host = self.shared.settings.registry.default_registry.clone();
        Ok((host, term.to_owned()))
    }
}
