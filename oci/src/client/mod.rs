//! The client of the distribution API: what an engine needs to pull and push.
//!
//! [`Client`] knows hosts: how to reach them, whom to trust, which mirrors stand before them, and
//! the tokens they gave. [`RemoteRepository`] is one repository on one host, with the caller's
//! credentials; its verbs are the end points of the distribution spec. Verified bytes only: what
//! a verb hands back has the digest that was asked for.

mod auth;
mod certificates;
mod challenge;
mod credentials;
mod download;
mod error;
mod host;
mod insecure;
mod repository;
mod request;
mod scope;
mod search;
mod token;
mod upload;

pub use credentials::{Credentials, Secret};
pub use download::{BlobStream, Sink};
pub use error::ClientError;
pub use repository::{FetchedManifest, RemoteRepository};
pub use search::SearchResult;
pub use upload::BlobContent;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::reference::ImageReference;
use host::Host;
use insecure::InsecureRegistries;
use token::TokenCache;

/// How hosts are reached and trusted.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    pub user_agent: String,
    /// `host`, `host:port` or a network such as `10.0.0.0/8`: plain http and certificates that
    /// nobody signed are fine there. On this machine they always are.
    pub insecure_registries: Vec<String>,
    /// Base URLs that are asked before the host itself, in order, for pulls only; by host.
    pub mirrors: BTreeMap<String, Vec<url::Url>>,
    /// Folders in docker's layout: `HOST[:PORT]/*.crt` are authorities for that host, and
    /// `NAME.cert` with `NAME.key` are shown to it.
    pub certificate_directories: Vec<PathBuf>,
    pub connect_timeout: Duration,
    /// How long a registry may stay silent, in an answer or while it takes an upload.
    pub read_timeout: Duration,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            user_agent: concat!("hythe/", env!("CARGO_PKG_VERSION")).to_owned(),
            insecure_registries: Vec::new(),
            mirrors: BTreeMap::new(),
            certificate_directories: vec![
                "/etc/hythe/certs.d".into(),
                "/etc/docker/certs.d".into(),
            ],
            connect_timeout: Duration::from_secs(15),
            read_timeout: Duration::from_mins(1),
        }
    }
}

/// Connections, trust and tokens, shared by everything that pulls and pushes.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: ClientConfig,
    insecure: InsecureRegistries,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    tokens: TokenCache,
}

impl Client {
    /// Checks the settings; no connection is opened before the first request.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let insecure = InsecureRegistries::parse(&config.insecure_registries)?;
        config
            .mirrors
            .values()
            .flatten()
            .try_for_each(check_mirror)?;
        Ok(Self(Arc::new(Inner {
            config,
            insecure,
            hosts: Mutex::default(),
            tokens: TokenCache::default(),
        })))
    }

    /// The repository that `image` is in, for a caller with `credentials`.
    pub fn repository(&self, image: &ImageReference, credentials: Credentials) -> RemoteRepository {
        RemoteRepository::new(
            self.clone(),
            image.host.clone(),
            image.repository.clone(),
            credentials,
        )
    }

    /// Checks that `credentials` are good at `host`, as `docker login` does.
    pub async fn login(&self, host: &str, credentials: &Credentials) -> Result<(), ClientError> {
        auth::login(self, host, credentials).await
    }

    /// The host's connections; made at its first use.
    async fn host(&self, name: &str) -> Result<Arc<Host>, ClientError> {
        if let Some(host) = self.hosts().get(name) {
            return Ok(Arc::clone(host));
        }
        let is_insecure = self.0.insecure.cover(name).await;
        let made = Arc::new(Host::new(name, is_insecure, &self.0.config)?);
        // Whoever was faster made the same.
        let mut hosts = self.hosts();
        Ok(Arc::clone(hosts.entry(name.to_owned()).or_insert(made)))
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<String, Arc<Host>>> {
        self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn config(&self) -> &ClientConfig {
        &self.0.config
    }

    fn tokens(&self) -> &TokenCache {
        &self.0.tokens
    }
}

/// A mirror is a place, as dockerd has it: nothing of a request is in it, and no password.
fn check_mirror(url: &url::Url) -> Result<(), ClientError> {
    let refused = |reason: &str| {
        Err(ClientError::Setting {
            setting: "registry mirror",
            value: url[..url::Position::AfterScheme].to_owned()
                + "://"
                + url.host_str().unwrap_or(""),
            reason: reason.to_owned(),
        })
    };
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        refused("it is no http or https URL")
    } else if !url.username().is_empty() || url.password().is_some() {
        refused("a user or password cannot be in the URL of a mirror")
    } else if url.query().is_some() || url.fragment().is_some() {
        refused("a query or fragment cannot be in the URL of a mirror")
    } else {
        Ok(())
    }
}
