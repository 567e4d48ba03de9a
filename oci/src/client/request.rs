//! The road every request takes: to mirrors and the host, with a token, again when that may help.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::error::{may_pass, refused};
use super::scope::Scope;
use super::token::Wanted;
use super::{ClientError, Credentials, RemoteRepository, auth};
use crate::reference::RepositoryName;

/// How often a request is sent that a moment later may succeed.
pub(super) const ATTEMPTS: u32 = 4;

/// The longest pause that a registry may ask for. Whoever wants a longer one is told no at once:
/// an hour until the next free pull is no pause.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// What a request may do; the token is asked for just that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Access {
    Pull,
    Push,
    /// A push that takes a blob from another repository.
    MountFrom(RepositoryName),
}

/// A host that may answer for the repository: itself, or a mirror of it.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    authority: String,
    /// `https://host[/path]` of a mirror; the host itself finds its own.
    mirror_base: Option<String>,
}

impl Origin {
    fn is_mirror(&self) -> bool {
        self.mirror_base.is_some()
    }
}

/// One request, before it is known whom it goes to.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// After `/v2/NAME/`.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) access: Access,
    pub(super) body: Bytes,
}

impl Ask {
    pub(super) fn new(method: Method, path: impl Into<String>, access: Access) -> Self {
        Self {
            method,
            path: path.into(),
            headers: HeaderMap::new(),
            access,
            body: Bytes::new(),
        }
    }
}

impl RemoteRepository {
    /// Asks mirrors, then the host. What a mirror cannot do, the next one may.
    pub(super) async fn pull(
        &self,
        ask: &Ask,
        what: &str,
    ) -> Result<reqwest::Response, ClientError> {
        for mirror in self.mirrors() {
            match self.ask_with_retries(ask, &mirror, what).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    tracing::debug!(mirror = mirror.authority, %error, "the mirror did not help");
                }
            }
        }
        self.ask(ask, what).await
    }

    /// Asks the host itself: what is pushed goes to no mirror.
    pub(super) async fn ask(
        &self,
        ask: &Ask,
        what: &str,
    ) -> Result<reqwest::Response, ClientError> {
        self.ask_with_retries(ask, &self.origin(), what).await
    }

    pub(super) fn origin(&self) -> Origin {
        Origin {
            authority: self.host.clone(),
            mirror_base: None,
        }
    }

    fn mirrors(&self) -> Vec<Origin> {
        let urls = self.client.config().mirrors.get(&self.host);
        let origin = |url: &url::Url| Origin {
            authority: url[url::Position::BeforeHost..url::Position::AfterPort].to_owned(),
            mirror_base: Some(url.as_str().trim_end_matches('/').to_owned()),
        };
        urls.into_iter().flatten().map(origin).collect()
    }

    async fn ask_with_retries(
        &self,
        ask: &Ask,
        origin: &Origin,
        what: &str,
    ) -> Result<reqwest::Response, ClientError> {
        let answer = self.settled(ask, origin).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(refused(what.to_owned(), answer).await)
    }

    /// Sends until there is an answer that asking again would not change, whatever it says.
    pub(super) async fn settled(
        &self,
        ask: &Ask,
        origin: &Origin,
    ) -> Result<reqwest::Response, ClientError> {
        let mut attempt = 1;
        loop {
            let outcome = self.ask_once(ask, origin).await;
            if let Ok(answer) = &outcome
                && answer.status().is_success()
            {
                return outcome;
            }
            match pause_before_next(&outcome, attempt, origin) {
                Some(pause) if attempt < ATTEMPTS => {
                    tokio::time::sleep(pause).await;
                    attempt += 1;
                }
                _ => return outcome,
            }
        }
    }

    /// Sends once, and once more with a token when the registry wants one.
    async fn ask_once(&self, ask: &Ask, origin: &Origin) -> Result<reqwest::Response, ClientError> {
        let wanted = self.wanted(&ask.access, origin);
        let tried = self.client.tokens().known(&wanted);
        let answer = self.send(ask, origin, tried.clone()).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        match auth::answer(&self.client, &wanted, tried.as_ref(), &answer).await? {
            Some(header) => self.send(ask, origin, Some(header)).await,
            None => Ok(answer),
        }
    }

    pub(super) fn wanted(&self, access: &Access, origin: &Origin) -> Wanted {
        let own = |actions: &[&str]| Scope::repository(&self.name, actions);
        let scope = match access {
            Access::Pull => own(&["pull"]),
            Access::Push => own(&["pull", "push"]),
            Access::MountFrom(from) => {
                own(&["pull", "push"]).union(Scope::repository(from, &["pull"]))
            }
        };
        // The host's credentials are none of a mirror's business.
        let credentials = if origin.is_mirror() {
            Credentials::None
        } else {
            self.credentials.clone()
        };
        Wanted {
            host: origin.authority.clone(),
            scope,
            credentials,
        }
    }

    async fn send(
        &self,
        ask: &Ask,
        origin: &Origin,
        authorization: Option<HeaderValue>,
    ) -> Result<reqwest::Response, ClientError> {
        let host = self.client.host(&origin.authority).await?;
        let url = match &origin.mirror_base {
            Some(base) => {
                let separator = if ask.path.contains('?') { '&' } else { '?' };
                format!(
                    "{base}/v2/{}/{}{separator}ns={}",
                    self.name, ask.path, self.host
                )
            }
            None => format!("{}/v2/{}/{}", host.base().await?, self.name, ask.path),
        };
        let request = host.http().request(ask.method.clone(), &url);
        let mut request = request.headers(ask.headers.clone());
        // A POST without a body has a length too: some proxies insist.
        if matches!(ask.method, Method::POST | Method::PUT) {
            request = request
                .header(header::CONTENT_LENGTH, ask.body.len())
                .body(ask.body.clone());
        }
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        match request.send().await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                host.forget_base().await;
                Err(ClientError::request(&ask.method, &url, error))
            }
        }
    }
}

/// How long to wait before the same is asked again; `None` when that would not help.
///
/// After a mirror comes the next one: a mirror that is down is not waited for. One that has too
/// much to do is, since the host behind it likes crowds even less.
fn pause_before_next(
    outcome: &Result<reqwest::Response, ClientError>,
    attempt: u32,
    origin: &Origin,
) -> Option<Duration> {
    match outcome {
        Ok(answer) => {
            let status = answer.status();
            let is_down = status.is_server_error();
            if !may_pass(status) || (origin.is_mirror() && is_down) {
                return None;
            }
            let pause = retry_after(answer.headers()).unwrap_or_else(|| backoff(attempt));
            (pause <= MAX_PAUSE).then_some(pause)
        }
        Err(error) => (error.may_pass() && !origin.is_mirror()).then(|| backoff(attempt)),
    }
}

/// `Retry-After` in seconds, RFC 9110 section 10.2.3; registries send no dates.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// Longer each time, and not the same for a hundred agents that failed together.
pub(super) fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(100 << attempt.min(6)).mul_f64(rand::random_range(0.5..1.0))
}
