//! One repository on one host: the verbs of a pull, and the road every request takes.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;

use super::auth::{self, Credentials, Wanted};
use super::error::{read_limited, refused};
use super::{Client, ClientError};
use crate::digest::Digest;
use crate::manifest::{Manifest, ManifestError};
use crate::media_type;
use crate::reference::{Reference, RepositoryName, Tag};

/// No client or registry takes a larger manifest.
const MAX_MANIFEST_BYTES: usize = 4 << 20;

/// Pages of a tag list beyond which somebody is playing with us.
const MAX_TAG_PAGES: usize = 10_000;

/// How often a request is sent that a moment later may succeed.
const ATTEMPTS: u32 = 4;

/// The longest pause that a registry may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// A repository, and who asks.
#[derive(Debug, Clone)]
pub struct RemoteRepository {
    pub(super) client: Client,
    pub(super) host: String,
    pub(super) name: RepositoryName,
    pub(super) credentials: Credentials,
}

/// A manifest as it came, its digest checked.
#[derive(Debug, Clone)]
pub struct FetchedManifest {
    pub bytes: Bytes,
    pub media_type: String,
    pub digest: Digest,
    pub manifest: Manifest,
}

/// What a request may do; the token is asked for just that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Pull,
    Push,
}

/// A host that may answer for the repository: itself, or a mirror of it.
#[derive(Debug, Clone)]
struct Origin {
    authority: String,
    /// `https://host[/path]` of a mirror; the host itself finds its own.
    base: Option<String>,
    is_mirror: bool,
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
    pub(super) fn new(
        client: Client,
        host: String,
        name: RepositoryName,
        credentials: Credentials,
    ) -> Self {
        Self {
            client,
            host,
            name,
            credentials,
        }
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// Reads a manifest (end-3). Asked for by digest, its bytes have that digest; asked for by
    /// tag, they have the digest that the registry said.
    pub async fn get_manifest(
        &self,
        reference: &Reference,
    ) -> Result<FetchedManifest, ClientError> {
        let what = format!("{}/{}:{reference}", self.host, self.name);
        let answer = self
            .pull(&manifest_ask(Method::GET, reference), &what)
            .await?;
        let said = header_digest(&answer);
        let content_type = header_text(&answer, &header::CONTENT_TYPE);
        let bytes = read_limited(answer, MAX_MANIFEST_BYTES)
            .await
            .ok_or_else(|| {
                let reason = "its manifest is cut short or larger than 4 MiB".to_owned();
                ClientError::BadAnswer {
                    what: what.clone(),
                    reason,
                }
            })?;
        let expected = match reference {
            Reference::Digest(digest) => Some(digest.clone()),
            Reference::Tag(_) => said,
        };
        let digest = match expected {
            Some(expected) => {
                let actual = Digest::of_with(expected.algorithm(), &bytes);
                if actual != expected {
                    return Err(ClientError::WrongDigest {
                        what,
                        expected,
                        actual,
                    });
                }
                actual
            }
            None => Digest::of(&bytes),
        };
        let (manifest, media_type) = parse_manifest(&bytes, content_type.as_deref())
            .map_err(|source| ClientError::Manifest { what, source })?;
        Ok(FetchedManifest {
            bytes: bytes.into(),
            media_type,
            digest,
            manifest,
        })
    }

    /// The digest that a tag or digest has now (end-3); `None` when there is no such manifest.
    pub async fn head_manifest(
        &self,
        reference: &Reference,
    ) -> Result<Option<Digest>, ClientError> {
        let what = format!("{}/{}:{reference}", self.host, self.name);
        match self
            .pull(&manifest_ask(Method::HEAD, reference), &what)
            .await
        {
            Ok(answer) => Ok(header_digest(&answer)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every tag of the repository, in the registry's order (end-8).
    pub async fn list_tags(&self) -> Result<Vec<Tag>, ClientError> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let what = format!("tags of {}/{}", self.host, self.name);
        let mut tags = Vec::new();
        let mut path = "tags/list".to_owned();
        for _ in 0..MAX_TAG_PAGES {
            let answer = self
                .pull(&Ask::new(Method::GET, path, Access::Pull), &what)
                .await?;
            let next = next_page(answer.headers());
            let bad = |reason: &str| ClientError::BadAnswer {
                what: what.clone(),
                reason: reason.to_owned(),
            };
            let body = read_limited(answer, 64 << 20)
                .await
                .ok_or_else(|| bad("no body"))?;
            let page: Page = serde_json::from_slice(&body).map_err(|_| bad("no tag list"))?;
            let texts = page.tags.unwrap_or_default();
            tags.extend(
                texts
                    .into_iter()
                    .filter_map(|text| text.parse::<Tag>().ok()),
            );
            match next {
                Some(query) => path = format!("tags/list?{query}"),
                None => break,
            }
        }
        Ok(tags)
    }

    /// Asks mirrors, then the host. What a mirror cannot do, the next one may.
    pub(super) async fn pull(
        &self,
        ask: &Ask,
        what: &str,
    ) -> Result<reqwest::Response, ClientError> {
        let mut origins = self.mirrors();
        origins.push(self.origin());
        let last = origins.len() - 1;
        for origin in &origins[..last] {
            match self.ask_with_retries(ask, origin, what).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    tracing::debug!(mirror = origin.authority, %error, "the mirror did not help");
                }
            }
        }
        self.ask_with_retries(ask, &origins[last], what).await
    }

    /// Asks the host itself: what is pushed goes to no mirror.
    pub(super) async fn ask(
        &self,
        ask: &Ask,
        what: &str,
    ) -> Result<reqwest::Response, ClientError> {
        self.ask_with_retries(ask, &self.origin(), what).await
    }

    fn origin(&self) -> Origin {
        Origin {
            authority: self.host.clone(),
            base: None,
            is_mirror: false,
        }
    }

    fn mirrors(&self) -> Vec<Origin> {
        let urls = self
            .client
            .config()
            .mirrors
            .get(&self.host)
            .into_iter()
            .flatten();
        let origin = |url: &url::Url| Origin {
            authority: url[url::Position::BeforeHost..url::Position::AfterPort].to_owned(),
            base: Some(url.as_str().trim_end_matches('/').to_owned()),
            is_mirror: true,
        };
        urls.map(origin).collect()
    }

    /// Sends until there is an answer that asking again would not change.
    async fn ask_with_retries(
        &self,
        ask: &Ask,
        origin: &Origin,
        what: &str,
    ) -> Result<reqwest::Response, ClientError> {
        let mut attempt = 1;
        loop {
            let outcome = self.ask_once(ask, origin).await;
            let pause = match &outcome {
                Ok(answer) if answer.status().is_success() => return outcome,
                Ok(answer) => may_pass(answer),
                Err(ClientError::Unreachable { .. }) if !origin.is_mirror => Some(None),
                Err(_) => None,
            };
            match (pause, outcome) {
                (Some(asked), _) if attempt < ATTEMPTS => {
                    let own = Duration::from_millis(100 << attempt);
                    tokio::time::sleep(asked.unwrap_or(own).min(MAX_PAUSE)).await;
                    attempt += 1;
                }
                (_, Ok(answer)) => return Err(refused(what.to_owned(), answer).await),
                (_, Err(error)) => return Err(error),
            }
        }
    }

    /// Sends once, and once more with a token when the registry wants one.
    async fn ask_once(&self, ask: &Ask, origin: &Origin) -> Result<reqwest::Response, ClientError> {
        let wanted = self.wanted(ask.access, origin);
        let answer = self
            .send(ask, origin, self.client.tokens().known(&wanted))
            .await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        match auth::answer(&self.client, &wanted, &answer).await? {
            Some(header) => self.send(ask, origin, Some(header)).await,
            None => Ok(answer),
        }
    }

    /// The host's credentials are none of a mirror's business.
    fn wanted(&self, access: Access, origin: &Origin) -> Wanted {
        let actions = match access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
        };
        let credentials = if origin.is_mirror {
            Credentials::None
        } else {
            self.credentials.clone()
        };
        Wanted {
            host: origin.authority.clone(),
            scope: format!("repository:{}:{actions}", self.name),
            credentials,
        }
    }

    async fn send(
        &self,
        ask: &Ask,
        origin: &Origin,
        authorization: Option<HeaderValue>,
    ) -> Result<reqwest::Response, ClientError> {
        let host = self.client.host(&origin.authority)?;
        let base = match &origin.base {
            Some(base) => base.as_str(),
            None => host.base().await?,
        };
        let mut url = format!("{base}/v2/{}/{}", self.name, ask.path);
        if origin.is_mirror {
            let separator = if url.contains('?') { '&' } else { '?' };
            url = format!("{url}{separator}ns={}", self.host);
        }
        let mut request = host
            .http()
            .request(ask.method.clone(), &url)
            .headers(ask.headers.clone());
        if !ask.body.is_empty() || ask.method == Method::POST || ask.method == Method::PUT {
            request = request
                .header(header::CONTENT_LENGTH, ask.body.len())
                .body(ask.body.clone());
        }
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        request
            .send()
            .await
            .map_err(|error| ClientError::unreachable(&url, error))
    }

    /// The header that the last request of this kind went with.
    pub(super) fn known_authorization(&self, access: Access) -> Option<HeaderValue> {
        self.client
            .tokens()
            .known(&self.wanted(access, &self.origin()))
    }
}

fn manifest_ask(method: Method, reference: &Reference) -> Ask {
    let mut ask = Ask::new(method, format!("manifests/{reference}"), Access::Pull);
    for media_type in media_type::MANIFESTS {
        ask.headers
            .append(header::ACCEPT, HeaderValue::from_static(media_type));
    }
    ask
}

/// Registries that do not know a manifest's type send a type that says nothing.
fn parse_manifest(
    bytes: &[u8],
    content_type: Option<&str>,
) -> Result<(Manifest, String), ManifestError> {
    let says_nothing = |text: &&str| {
        matches!(
            media_type::essence(text),
            "application/json" | "text/plain" | "application/octet-stream"
        )
    };
    Manifest::parse(bytes, content_type.filter(|text| !says_nothing(text)))
}

/// Whether asking again may help, and after what pause if the registry said one.
#[expect(
    clippy::option_option,
    reason = "no retry, a retry when we like, a retry when it says"
)]
fn may_pass(answer: &reqwest::Response) -> Option<Option<Duration>> {
    let status = answer.status();
    let passing = status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED);
    passing.then(|| {
        let seconds = answer
            .headers()
            .get(header::RETRY_AFTER)?
            .to_str()
            .ok()?
            .parse()
            .ok()?;
        Some(Duration::from_secs(seconds))
    })
}

fn header_text(answer: &reqwest::Response, name: &header::HeaderName) -> Option<String> {
    answer.headers().get(name)?.to_str().ok().map(str::to_owned)
}

fn header_digest(answer: &reqwest::Response) -> Option<Digest> {
    answer
        .headers()
        .get("docker-content-digest")?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The query of a `Link: <…?query>; rel="next"`; its path is ours, wherever a proxy moved it.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(header::LINK)?.to_str().ok()?;
    let (target, parameters) = link.strip_prefix('<')?.split_once('>')?;
    let next = parameters.contains("rel=\"next\"") || parameters.contains("rel=next");
    let (_, query) = target.split_once('?')?;
    next.then(|| query.to_owned())
}
