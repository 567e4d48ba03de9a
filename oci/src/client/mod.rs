//! The client of the distribution API: what an engine needs to pull and push.
//!
//! [`Client`] knows hosts: how to reach them, whom to trust, which mirrors stand before them, and
//! the tokens they gave. [`RemoteRepository`] is one repository on one host, with the caller's
//! credentials; its verbs are the end points of the distribution spec. Verified bytes only: what
//! a verb hands back has the digest that was asked for.

mod auth;
mod challenge;
mod download;
mod error;
mod host;
mod repository;
mod upload;

pub use auth::{Credentials, Secret};
pub use download::{BlobStream, Sink};
pub use error::ClientError;
pub use repository::{FetchedManifest, RemoteRepository};

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::reference::ImageReference;
use auth::TokenCache;
use host::{Cidr, Host};

/// How hosts are reached and trusted.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    pub user_agent: String,
    /// `host`, `host:port` or a network such as `10.0.0.0/8`: plain http and certificates that
    /// nobody signed are fine there. Loopback addresses always are.
    pub insecure_registries: Vec<String>,
    /// Base URLs that are asked before the host itself, in order, for pulls only.
    pub mirrors: BTreeMap<String, Vec<url::Url>>,
    /// Folders in docker's layout: `HOST[:PORT]/*.crt` are authorities for that host, and
    /// `NAME.cert` with `NAME.key` are shown to it.
    pub certificate_directories: Vec<PathBuf>,
    pub connect_timeout: Duration,
    /// How long an answer may stay silent.
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
    insecure_networks: Vec<Cidr>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    tokens: TokenCache,
}

impl Client {
    pub fn new(config: ClientConfig) -> Self {
        let networks = config.insecure_registries.iter();
        let insecure_networks = networks.filter_map(|text| Cidr::parse(text)).collect();
        Self(Arc::new(Inner {
            config,
            insecure_networks,
            hosts: Mutex::default(),
            tokens: TokenCache::default(),
        }))
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
    fn host(&self, name: &str) -> Result<Arc<Host>, ClientError> {
        let mut hosts = self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(name) {
            return Ok(Arc::clone(host));
        }
        let insecure = self.is_insecure(name);
        let host = Arc::new(Host::new(name, insecure, &self.0.config)?);
        hosts.insert(name.to_owned(), Arc::clone(&host));
        Ok(host)
    }

    fn is_insecure(&self, name: &str) -> bool {
        self.0
            .config
            .insecure_registries
            .iter()
            .any(|known| known == name)
            || host::is_loopback(name)
            || self
                .0
                .insecure_networks
                .iter()
                .any(|network| network.contains_host(name))
    }

    fn config(&self) -> &ClientConfig {
        &self.0.config
    }

    fn tokens(&self) -> &TokenCache {
        &self.0.tokens
    }
}
