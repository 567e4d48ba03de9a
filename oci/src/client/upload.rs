//! Blobs on their way out: mounted, or sent in one request after the one that begins (end-4a,
//! end-6). A try that breaks begins a session of its own; the registry forgets the old one.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::{Method, StatusCode, header};
use tokio::sync::watch;
use url::Url;

use super::error::refused;
use super::host::Host;
use super::request::{ATTEMPTS, Access, Ask, backoff};
use super::{ClientError, RemoteRepository, auth};
use crate::manifest::Descriptor;
use crate::reference::RepositoryName;

/// How long a registry may think about a blob that it has whole: some read it again, or copy it
/// to where it stays.
const COMMIT_TIMEOUT: Duration = Duration::from_mins(15);

/// The bytes of a blob on their way out.
pub type BlobContent = BoxStream<'static, io::Result<Bytes>>;

/// What a request to begin came to.
#[derive(Debug)]
enum Begun {
    /// The blob is there already.
    Mounted,
    /// Send it to this URL.
    Upload(Url),
}

/// Whether another try may do better.
enum Failure {
    Passing(ClientError),
    Final(ClientError),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Final(error)
    }
}

impl RemoteRepository {
    /// Whether the host itself has the blob in this repository (end-2), so that a push need not
    /// send it: what a mirror has does not count.
    ///
    /// A registry that will not say is one where it is not: an answer to HEAD has no body to say
    /// what is missing, and the one to the request that begins the upload has.
    pub async fn has_blob(&self, descriptor: &Descriptor) -> Result<bool, ClientError> {
        let path = format!("blobs/{}", descriptor.digest);
        let ask = Ask::new(Method::HEAD, path, Access::Push);
        let answer = self.settled(&ask, &self.origin()).await?;
        match answer.status() {
            status if status.is_success() => Ok(true),
            StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(false),
            _ => Err(refused(self.blob_words(descriptor), answer).await),
        }
    }

    /// Makes a blob of another repository on the same host this one's too (end-11). `false` when
    /// the registry wants the bytes instead.
    pub async fn mount_blob(
        &self,
        descriptor: &Descriptor,
        from: &RepositoryName,
    ) -> Result<bool, ClientError> {
        let path = format!("blobs/uploads/?mount={}&from={from}", descriptor.digest);
        let access = Access::MountFrom(from.clone());
        match self.begin_upload(path, access, descriptor).await? {
            Begun::Mounted => Ok(true),
            Begun::Upload(url) => {
                self.cancel_upload(url).await;
                Ok(false)
            }
        }
    }

    /// Uploads a blob. `content` gives its bytes from the start, once for each try.
    pub async fn upload_blob(
        &self,
        descriptor: &Descriptor,
        content: impl Fn() -> BlobContent + Send + Sync,
    ) -> Result<(), ClientError> {
        let mut attempt = 1;
        loop {
            match self.try_upload(descriptor, content()).await {
                Ok(()) => return Ok(()),
                Err(Failure::Passing(error)) if attempt < ATTEMPTS => {
                    tracing::debug!(%error, attempt, "sending the blob again");
                    tokio::time::sleep(backoff(attempt)).await;
                    attempt += 1;
                }
                Err(Failure::Passing(error) | Failure::Final(error)) => return Err(error),
            }
        }
    }

    async fn try_upload(
        &self,
        descriptor: &Descriptor,
        content: BlobContent,
    ) -> Result<(), Failure> {
        let what = self.blob_words(descriptor);
        let path = "blobs/uploads/".to_owned();
        let begun = self.begin_upload(path, Access::Push, descriptor).await?;
        let mut url = match begun {
            Begun::Mounted => return Ok(()),
            Begun::Upload(url) => url,
        };
        url.query_pairs_mut()
            .append_pair("digest", descriptor.digest.as_str());
        // Tokens go to the registry that gave them, not to wherever a Location points.
        let wanted = self.wanted(&Access::Push, &self.origin());
        let tried = if self.is_ours(&url).await? {
            self.client.tokens().known(&wanted)
        } else {
            None
        };
        let host = self.upload_host(&url, &what).await?;
        let mut put = host.uploads()?.put(url.clone());
        if let Some(authorization) = tried.clone() {
            put = put.header(header::AUTHORIZATION, authorization);
        }
        let put = put.header(header::CONTENT_LENGTH, descriptor.size);
        let answer = self.send_content(put, &url, &what, content).await?;
        match answer.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT => Ok(()),
            // The token ended between the two requests; the next try has a new one.
            StatusCode::UNAUTHORIZED if tried.is_some() => {
                auth::answer(&self.client, &wanted, tried.as_ref(), &answer).await?;
                Err(Failure::Passing(refused(what, answer).await))
            }
            // The registry lost the session, in a restart perhaps.
            StatusCode::NOT_FOUND => Err(Failure::Passing(refused(what, answer).await)),
            _ => match refused(what, answer).await {
                error if error.may_pass() => Err(Failure::Passing(error)),
                error => Err(Failure::Final(error)),
            },
        }
    }

    /// Sends `put` to `url` with `content` as its body.
    async fn send_content(
        &self,
        put: reqwest::RequestBuilder,
        url: &Url,
        what: &str,
        content: BlobContent,
    ) -> Result<reqwest::Response, Failure> {
        let (body, watched) = Watched::new(content);
        let put = put.header(header::CONTENT_TYPE, "application/octet-stream");
        let limit = self.client.config().read_timeout;
        let what = what.to_owned();
        let answer = tokio::select! {
            answer = put.body(body).send() => answer,
            after = watched.stalled(limit) => {
                return Err(Failure::Passing(ClientError::Stalled { what, after }));
            }
        };
        if let Some(source) = watched.failure() {
            return Err(ClientError::Io { what, source }.into());
        }
        answer.map_err(|error| {
            Failure::Passing(ClientError::request(&Method::PUT, url.as_str(), error))
        })
    }

    async fn begin_upload(
        &self,
        path: String,
        access: Access,
        descriptor: &Descriptor,
    ) -> Result<Begun, ClientError> {
        let what = self.blob_words(descriptor);
        let answer = self
            .ask(&Ask::new(Method::POST, path, access), &what)
            .await?;
        if answer.status() == StatusCode::CREATED {
            return Ok(Begun::Mounted);
        }
        let location = answer.headers().get(header::LOCATION);
        let location = location.and_then(|value| value.to_str().ok());
        let url = location.and_then(|location| answer.url().join(location).ok());
        url.map(Begun::Upload)
            .ok_or_else(|| ClientError::bad_answer(&what, "it began an upload without a Location"))
    }

    /// Whether a URL is on the registry itself.
    async fn is_ours(&self, url: &Url) -> Result<bool, ClientError> {
        let base = self.client.host(&self.host).await?.base().await?;
        Ok(base
            .parse::<Url>()
            .is_ok_and(|base| base.origin() == url.origin()))
    }

    /// The host that an upload goes to, trusted for what it is.
    async fn upload_host(&self, url: &Url, what: &str) -> Result<Arc<Host>, ClientError> {
        if self.is_ours(url).await? {
            return self.client.host(&self.host).await;
        }
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let host = self.client.host(authority).await?;
        if url.scheme() != "https" && !host.is_insecure() {
            let reason = "it wants the blob sent without TLS; \
                          behind a proxy it has to be told that clients come with https";
            return Err(ClientError::bad_answer(what, reason));
        }
        Ok(host)
    }

    /// A session that nobody wants any more; the registry forgets it by itself if this fails.
    async fn cancel_upload(&self, url: Url) {
        if !self.is_ours(&url).await.unwrap_or(false) {
            return;
        }
        let Ok(host) = self.client.host(&self.host).await else {
            return;
        };
        let mut request = host.http().delete(url);
        let wanted = self.wanted(&Access::Push, &self.origin());
        if let Some(authorization) = self.client.tokens().known(&wanted) {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Err(error) = request.send().await {
            let error = error.without_url();
            tracing::debug!(%error, "an unused upload could not be cancelled");
        }
    }
}

/// What the content of an upload is doing, seen from outside of the request that sends it.
struct Watched {
    /// Changes with each part that is taken; closed when the last one was.
    taken: watch::Receiver<()>,
    /// Why our own side could not be read: reqwest would only say that the body failed.
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Watched {
    fn new(content: BlobContent) -> (reqwest::Body, Self) {
        let (sender, taken) = watch::channel(());
        let failure = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&failure);
        let body = content.map(move |part| {
            sender.send_replace(());
            part.map_err(|error| {
                let text = error.to_string();
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                io::Error::other(text)
            })
        });
        (reqwest::Body::wrap_stream(body), Self { taken, failure })
    }

    /// Returns once nothing was taken for `limit`, or no answer came for long after all was.
    async fn stalled(&self, limit: Duration) -> Duration {
        let mut taken = self.taken.clone();
        loop {
            match tokio::time::timeout(limit, taken.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => {
                    tokio::time::sleep(COMMIT_TIMEOUT).await;
                    return COMMIT_TIMEOUT;
                }
                Err(_) => return limit,
            }
        }
    }

    fn failure(&self) -> Option<io::Error> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
