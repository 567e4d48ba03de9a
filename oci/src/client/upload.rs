//! The verbs of a push: blobs, mounts and manifests.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::{HeaderValue, Method, StatusCode, header};

use super::error::refused;
use super::repository::{Access, Ask};
use super::{ClientError, RemoteRepository};
use crate::digest::Digest;
use crate::manifest::Descriptor;
use crate::reference::{Reference, RepositoryName};

/// What a request to mount a blob came to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Begun {
    /// The blob is there already.
    Mounted,
    /// Send it to this URL.
    Upload(String),
}

impl RemoteRepository {
    /// Makes a blob of another repository on the same host this one's too (end-11). `false` when
    /// the registry wants the bytes instead.
    pub async fn mount_blob(
        &self,
        descriptor: &Descriptor,
        from: &RepositoryName,
    ) -> Result<bool, ClientError> {
        let path = format!("blobs/uploads/?mount={}&from={from}", descriptor.digest);
        match self.begin_upload(path, descriptor).await? {
            Begun::Mounted => Ok(true),
            Begun::Upload(url) => {
                self.cancel_upload(&url).await;
                Ok(false)
            }
        }
    }

    /// Uploads a blob in one request (end-4a, end-6).
    pub async fn upload_blob(
        &self,
        descriptor: &Descriptor,
        content: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), ClientError> {
        let what = self.blob_words(descriptor);
        let url = match self
            .begin_upload("blobs/uploads/".to_owned(), descriptor)
            .await?
        {
            Begun::Mounted => return Ok(()),
            Begun::Upload(url) => url,
        };
        let mut url: url::Url = url.parse().map_err(|error| ClientError::BadAnswer {
            what: what.clone(),
            reason: format!("its upload URL is none: {error}"),
        })?;
        url.query_pairs_mut()
            .append_pair("digest", descriptor.digest.as_str());
        let host = self.client.host(&self.host)?;
        let mut request = host
            .http()
            .put(url.clone())
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, descriptor.size)
            .body(reqwest::Body::wrap_stream(content));
        if let Some(authorization) = self.upload_authorization(&url).await? {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| ClientError::unreachable(url.as_str(), error))?;
        if answer.status() == StatusCode::CREATED || answer.status() == StatusCode::NO_CONTENT {
            Ok(())
        } else {
            Err(refused(what, answer).await)
        }
    }

    /// Stores a manifest under a tag or its digest (end-7). Returns the digest the registry gave.
    pub async fn put_manifest(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<Digest, ClientError> {
        let what = format!("{}/{}:{reference}", self.host, self.name);
        let algorithm = match reference {
            Reference::Digest(digest) => digest.algorithm(),
            Reference::Tag(_) => crate::digest::Algorithm::Sha256,
        };
        let expected = Digest::of_with(algorithm, &bytes);
        let mut ask = Ask::new(Method::PUT, format!("manifests/{reference}"), Access::Push);
        let content_type =
            HeaderValue::from_str(media_type).map_err(|_| ClientError::BadAnswer {
                what: what.clone(),
                reason: format!("its media type {media_type:?} fits no header"),
            })?;
        ask.headers.insert(header::CONTENT_TYPE, content_type);
        ask.body = bytes;
        let answer = self.ask(&ask, &what).await?;
        let said = answer.headers().get("docker-content-digest");
        let said = said.and_then(|value| value.to_str().ok()?.parse::<Digest>().ok());
        match said {
            Some(actual) if actual.algorithm() == algorithm && actual != expected => {
                Err(ClientError::WrongDigest {
                    what,
                    expected,
                    actual,
                })
            }
            _ => Ok(expected),
        }
    }

    async fn begin_upload(
        &self,
        path: String,
        descriptor: &Descriptor,
    ) -> Result<Begun, ClientError> {
        let what = self.blob_words(descriptor);
        let answer = self
            .ask(&Ask::new(Method::POST, path, Access::Push), &what)
            .await?;
        if answer.status() == StatusCode::CREATED {
            return Ok(Begun::Mounted);
        }
        let location = answer
            .headers()
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok());
        let url = location.and_then(|location| answer.url().join(location).ok());
        let url = url.ok_or_else(|| ClientError::BadAnswer {
            what,
            reason: "it began an upload without a Location".to_owned(),
        })?;
        Ok(Begun::Upload(url.into()))
    }

    /// Tokens go to the registry that gave them, not to wherever a Location points.
    async fn upload_authorization(
        &self,
        url: &url::Url,
    ) -> Result<Option<HeaderValue>, ClientError> {
        let host = self.client.host(&self.host)?;
        let base: Option<url::Url> = host.base().await?.parse().ok();
        let same = base.is_some_and(|base| base.origin() == url.origin());
        Ok(if same {
            self.known_authorization(Access::Push)
        } else {
            None
        })
    }

    /// A session that nobody wants any more; the registry forgets it by itself if this fails.
    async fn cancel_upload(&self, url: &str) {
        let Ok(url) = url.parse::<url::Url>() else {
            return;
        };
        let Ok(authorization) = self.upload_authorization(&url).await else {
            return;
        };
        let Ok(host) = self.client.host(&self.host) else {
            return;
        };
        let mut request = host.http().delete(url);
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Err(error) = request.send().await {
            tracing::debug!(%error, "an unused upload could not be cancelled");
        }
    }
}
