//! Search, as registries have offered it since before the distribution spec: `/v1/search`.

use http::{HeaderValue, Method, StatusCode, header};
use serde::Deserialize;

use super::auth;
use super::error::refused;
use super::scope::Scope;
use super::token::Wanted;
use super::{Client, ClientError, Credentials};
use crate::reference::DOCKER_HUB;

/// Where Docker Hub answers searches.
const DOCKER_HUB_INDEX: &str = "https://index.docker.io";

/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// One repository that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SearchResult {
    pub name: String,
    pub description: String,
    pub star_count: i64,
    pub is_official: bool,
    pub is_automated: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    results: Vec<SearchResult>,
}

impl Client {
    /// Repositories of `host` that have to do with `term`, at most `limit`.
    pub async fn search(
        &self,
        host: &str,
        (term, limit): (&str, u32),
        credentials: &Credentials,
    ) -> Result<Vec<SearchResult>, ClientError> {
        let connection = self.host(host).await?;
        let base = if host == DOCKER_HUB {
            DOCKER_HUB_INDEX.to_owned()
        } else {
            connection.base().await?.to_string()
        };
        let url = format!("{base}/v1/search");
        let query = [("q", term.to_owned()), ("n", limit.to_string())];
        let send = async |header: Option<HeaderValue>| {
            let mut request = connection.http().get(&url).query(&query);
            if let Some(header) = header {
                request = request.header(header::AUTHORIZATION, header);
            }
            let answer = request.send().await;
            answer.map_err(|error| ClientError::request(&Method::GET, &url, error))
        };
        let wanted = Wanted {
            host: host.to_owned(),
            scope: Scope::default(),
            credentials: credentials.clone(),
        };
        let known = self.tokens().known(&wanted);
        let mut answer = send(credentials.basic_header()).await?;
        if answer.status() == StatusCode::UNAUTHORIZED
            && let Some(header) = auth::answer(self, &wanted, known.as_ref(), &answer).await?
        {
            answer = send(Some(header)).await?;
        }
        if !answer.status().is_success() {
            return Err(refused(format!("search on {host}"), answer).await);
        }
        let broken = |reason: String| ClientError::Setup {
            host: host.to_owned(),
            reason,
        };
        let bytes = answer.bytes().await;
        let bytes = bytes.map_err(|error| ClientError::request(&Method::GET, &url, error))?;
        if bytes.len() > MAX_ANSWER_BYTES {
            return Err(broken("its answer to a search is too long".to_owned()));
        }
        let answer: Answer = serde_json::from_slice(&bytes)
            .map_err(|error| broken(format!("its answer to a search is no JSON: {error}")))?;
        Ok(answer.results)
    }
}
