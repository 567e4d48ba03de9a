//! One registry host: its connections, its scheme, and what it is trusted by.

use std::sync::{Arc, OnceLock};

use http::{Method, StatusCode};
use reqwest::redirect;
use tokio::sync::Mutex;

use super::insecure::is_loopback;
use super::{ClientConfig, ClientError, certificates};

/// Docker Hub is reached under another name than it is called by.
const DOCKER_HUB_API: &str = "registry-1.docker.io";

/// Registries redirect once or twice: to a store, to its region.
const MAX_REDIRECTS: usize = 10;

/// A registry, ready to be asked.
#[derive(Debug)]
pub(super) struct Host {
    name: String,
    is_insecure: bool,
    config: ClientConfig,
    http: reqwest::Client,
    uploads: OnceLock<reqwest::Client>,
    /// `https://host` or `http://host`, once known.
    base: Mutex<Option<Arc<str>>>,
}

impl Host {
    pub(super) fn new(
        name: &str,
        is_insecure: bool,
        config: &ClientConfig,
    ) -> Result<Self, ClientError> {
        let builder = builder(name, is_insecure, config)?.read_timeout(config.read_timeout);
        Ok(Self {
            name: name.to_owned(),
            is_insecure,
            config: config.clone(),
            http: build(name, builder)?,
            uploads: OnceLock::new(),
            base: Mutex::default(),
        })
    }

    /// Connections for everything but uploads.
    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Connections for uploads: reqwest's limit on silence also runs while a body is sent, and
    /// would end every upload that takes longer.
    pub(super) fn uploads(&self) -> Result<&reqwest::Client, ClientError> {
        if let Some(uploads) = self.uploads.get() {
            return Ok(uploads);
        }
        let made = build(
            &self.name,
            builder(&self.name, self.is_insecure, &self.config)?,
        )?;
        Ok(self.uploads.get_or_init(|| made))
    }

    pub(super) fn is_insecure(&self) -> bool {
        self.is_insecure
    }

    /// `https://host`, or `http://host` where that is allowed and the host speaks nothing better.
    pub(super) async fn base(&self) -> Result<Arc<str>, ClientError> {
        let mut base = self.base.lock().await;
        if let Some(base) = &*base {
            return Ok(Arc::clone(base));
        }
        let found: Arc<str> = self.find_base().await?.into();
        Ok(Arc::clone(base.insert(found)))
    }

    /// Finds the base anew next time: a registry may have got TLS since.
    pub(super) async fn forget_base(&self) {
        *self.base.lock().await = None;
    }

    async fn find_base(&self) -> Result<String, ClientError> {
        let authority = if self.name == crate::reference::DOCKER_HUB {
            DOCKER_HUB_API
        } else {
            &self.name
        };
        let https = format!("https://{authority}");
        if !self.is_insecure {
            return Ok(https);
        }
        let Err(failure) = self.probe(&https).await else {
            return Ok(https);
        };
        let http = format!("http://{authority}");
        match self.probe(&http).await? {
            // So answers a server that does speak TLS; what went wrong before is the reason.
            StatusCode::BAD_REQUEST => Err(failure),
            _ => Ok(http),
        }
    }

    async fn probe(&self, base: &str) -> Result<StatusCode, ClientError> {
        let url = format!("{base}/v2/");
        let answer = self.http.get(&url).send().await;
        let answer = answer.map_err(|error| ClientError::request(&Method::GET, &url, error))?;
        Ok(answer.status())
    }
}

fn builder(
    name: &str,
    is_insecure: bool,
    config: &ClientConfig,
) -> Result<reqwest::ClientBuilder, ClientError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(&config.user_agent)
        .connect_timeout(config.connect_timeout)
        // Where a blob was asked for is nobody's business but the registry's.
        .referer(false)
        .redirect(redirect::Policy::custom(move |redirect| {
            follow(redirect, is_insecure)
        }));
    if is_insecure {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    if is_loopback(name) {
        // A proxy has another idea of what this machine is.
        builder = builder.no_proxy();
    }
    for directory in &config.certificate_directories {
        builder = certificates::add(builder, &directory.join(name))
            .map_err(|reason| setup(name, reason))?;
    }
    Ok(builder)
}

fn build(name: &str, builder: reqwest::ClientBuilder) -> Result<reqwest::Client, ClientError> {
    builder
        .build()
        .map_err(|error| setup(name, error.to_string()))
}

fn setup(name: &str, reason: String) -> ClientError {
    let host = name.to_owned();
    ClientError::Setup { host, reason }
}

/// Follows redirects, but not out of TLS. reqwest itself keeps `Authorization` from other hosts.
fn follow(redirect: redirect::Attempt<'_>, is_insecure: bool) -> redirect::Action {
    let was_tls = redirect
        .previous()
        .last()
        .is_some_and(|url| url.scheme() == "https");
    if redirect.previous().len() > MAX_REDIRECTS {
        redirect.error("it redirects in a circle")
    } else if was_tls && redirect.url().scheme() != "https" && !is_insecure {
        redirect.error("it redirects from https to http")
    } else {
        redirect.follow()
    }
}
