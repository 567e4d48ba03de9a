//! Images on their way from and to registries, told in docker's words.

use futures_util::stream::{self, StreamExt as _};
use hythe_oci::ImageReference;
use hythe_oci::client::{Credentials, Secret};
use hythe_oci::login_file::image_host;
use hythe_oci::reference::DOCKER_HUB;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Progress, ProgressStream, PullImage, PushImage, Pushed, RegistryAuth, TransferResult,
    image_error, platform, registry_error,
};
use crate::engine::{Engine, EngineError};
use crate::image::{self, LayerProgress, ProgressSender, PullRequest};

pub(in crate::engine) type Line = Result<Progress, EngineError>;

impl From<RegistryAuth> for Credentials {
    fn from(auth: RegistryAuth) -> Self {
        if !auth.registry_token.is_empty() {
            Self::RegistryToken(Secret::new(auth.registry_token))
        } else if !auth.identity_token.is_empty() {
            Self::IdentityToken(Secret::new(auth.identity_token))
        } else if auth.username.is_empty() {
            Self::None
        } else {
            Self::Basic {
                user: auth.username,
                password: Secret::new(auth.password),
            }
        }
    }
}

impl Engine {
    /// An error before the first line is returned, a later one comes in the stream. Dropping the
    /// stream cancels the pull.
    pub async fn pull_image(&self, request: PullImage) -> Result<ProgressStream, EngineError> {
        let name = joined(&request.image, request.tag.as_deref());
        let reference = self
            .shared
            .images
            .parse_reference(&name)
            .map_err(image_error)?;
        let platform = platform::parse_given(request.platform.as_deref())?;
        let host = &reference.host;
        let pull = PullRequest {
            credentials: self.credentials_at(host, request.credentials).await?,
            reference,
            platform,
        };
        let engine = self.clone();
        let (lines, receiver) = mpsc::channel(64);
        // Without a tag docker means every tag there is; its command line says `latest` itself.
        let task = tokio::spawn(async move {
            if names_repository(&name) {
                engine.pull_all(pull, &lines).await;
            } else {
                engine.pull(pull, &lines).await;
            }
        });
        told(receiver, AbortOnDropHandle::new(task)).await
    }

    /// Every tag of the repository, one after the other, until one fails.
    async fn pull_all(&self, pull: PullRequest, lines: &mpsc::Sender<Line>) {
        let client = &self.shared.registry_client;
        let repository = client.repository(&pull.reference, pull.credentials.clone());
        let tags = match repository.list_tags().await {
            Ok(tags) => tags,
            Err(error) => return drop(lines.send(Err(registry_error(&error))).await),
        };
        for tag in tags {
            let one = PullRequest {
                reference: ImageReference {
                    tag: Some(tag),
                    ..pull.reference.clone()
                },
                ..pull.clone()
            };
            if !self.pull(one, lines).await {
                return;
            }
        }
    }

    /// False when it failed, which has been told.
    async fn pull(&self, pull: PullRequest, lines: &mpsc::Sender<Line>) -> bool {
        let reference = pull.reference.clone();
        let (sender, progress) = ProgressSender::channel();
        let title = Progress {
            id: Some(reference.reference().to_string()),
            status: format!("Pulling from {}", reference.repository),
            ..Progress::default()
        };
        let images = self.shared.images.clone();
        let (pulled, ()) = tokio::join!(
            images.pull(pull, sender),
            forward(progress, lines, Some(title))
        );
        let succeeded = pulled.is_ok();
        let last = match pulled {
            Err(error) => vec![Err(image_error(error))],
            Ok(pulled) => {
                let name = reference.familiar();
                self.image_event("pull", &name, &reference.familiar_name());
                let status = if pulled.up_to_date {
                    format!("Status: Image is up to date for {name}")
                } else {
                    format!("Status: Downloaded newer image for {name}")
                };
                vec![
                    Ok(text(format!("Digest: {}", pulled.digest))),
                    Ok(text(status)),
                ]
            }
        };
        for line in last {
            // A caller that has gone needs no answer.
            drop(lines.send(line).await);
        }
        succeeded
    }

    /// Like [`Self::pull_image`], in the other direction.
    pub async fn push_image(&self, request: PushImage) -> Result<ProgressStream, EngineError> {
        let name = joined(&request.image, request.tag.as_deref());
        let reference = self
            .shared
            .images
            .parse_reference(&name)
            .map_err(image_error)?;
        let host = &reference.host;
        let credentials = self.credentials_at(host, request.credentials).await?;
        let references = if request.all_tags {
            self.tags_of_repository(&reference)?
        } else {
            vec![reference]
        };
        for reference in &references {
            self.check_platforms(&reference.familiar(), request.platform.as_deref())?;
        }
        let engine = self.clone();
        let (lines, receiver) = mpsc::channel(64);
        let task = tokio::spawn(async move {
            for reference in references {
                if !engine.push(reference, credentials.clone(), &lines).await {
                    return;
                }
            }
        });
        told(receiver, AbortOnDropHandle::new(task)).await
    }

    fn tags_of_repository(
        &self,
        wanted: &ImageReference,
    ) -> Result<Vec<ImageReference>, EngineError> {
        let images = self.shared.images.list().map_err(image_error)?;
        let mut tags: Vec<ImageReference> = images
            .into_iter()
            .flat_map(|image| image.tags)
            .filter(|tag| tag.host == wanted.host && tag.repository == wanted.repository)
            .collect();
        tags.sort();
        if tags.is_empty() {
            return Err(EngineError::NotFound(format!(
                "An image does not exist locally with the tag: {}",
                wanted.familiar_name()
            )));
        }
        Ok(tags)
    }

    /// False when it failed, which has been told.
    async fn push(
        &self,
        reference: ImageReference,
        credentials: Credentials,
        lines: &mpsc::Sender<Line>,
    ) -> bool {
        let (sender, progress) = ProgressSender::channel();
        let title = text(format!(
            "The push refers to repository [{}/{}]",
            reference.host, reference.repository
        ));
        let images = &self.shared.images;
        let (pushed, ()) = tokio::join!(
            images.push(&reference, credentials, sender),
            forward(progress, lines, Some(title))
        );
        match pushed {
            Err(error) => {
                drop(lines.send(Err(image_error(error))).await);
                false
            }
            Ok(pushed) => {
                self.image_event("push", &reference.familiar(), &reference.familiar_name());
                for line in summary(pushed) {
                    drop(lines.send(Ok(line)).await);
                }
                true
            }
        }
    }

    /// `POST /auth`: tries the credentials at their registry. Answers docker's words for success.
    pub async fn log_in(&self, credentials: RegistryAuth) -> Result<String, EngineError> {
        let host = match credentials.server_address.as_str() {
            "" => DOCKER_HUB.to_owned(),
            address => image_host(address).to_owned(),
        };
        let credentials = Credentials::from(credentials);
        let client = &self.shared.registry_client;
        let tried = client.login(&host, &credentials).await;
        tried.map_err(|error| super::login_error(&error))?;
        Ok("Login Succeeded".to_owned())
    }
}

/// `name` and a tag or digest that came apart from it.
fn joined(name: &str, tag: Option<&str>) -> String {
    match tag.filter(|tag| !tag.is_empty()) {
        None => name.to_owned(),
        Some(digest) if digest.contains(':') => format!("{name}@{digest}"),
        Some(tag) => format!("{name}:{tag}"),
    }
}

/// Whether a name has neither a tag nor a digest.
fn names_repository(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    !last.contains([':', '@'])
}

fn text(status: String) -> Progress {
    Progress {
        status,
        ..Progress::default()
    }
}

/// The stream of lines, once there is a first one; an error in its place is returned.
pub(in crate::engine) async fn told<K: Send + 'static>(
    mut receiver: mpsc::Receiver<Line>,
    task: K,
) -> Result<ProgressStream, EngineError> {
    let first = match receiver.recv().await {
        Some(Err(error)) => return Err(error),
        Some(Ok(line)) => Some(Ok(line)),
        None => None,
    };
    let rest = stream::unfold((receiver, task), |(mut receiver, task)| async move {
        let line = receiver.recv().await?;
        Some((line, (receiver, task)))
    });
    Ok(stream::iter(first).chain(rest).boxed())
}

/// Passes progress on as lines; the title comes as soon as there is anything to tell.
pub(in crate::engine) async fn forward(
    mut progress: mpsc::Receiver<image::Progress>,
    lines: &mpsc::Sender<Line>,
    mut title: Option<Progress>,
) {
    while let Some(news) = progress.recv().await {
        let line = match news {
            image::Progress::Resolved { .. } => None,
            image::Progress::Layer { layer, step } => Some(layer_line(layer.hex(), step)),
        };
        for line in title.take().into_iter().chain(line) {
            // The transfer goes on; who listens is not its matter.
            drop(lines.send(Ok(line)).await);
        }
    }
}

/// One step of one layer, whose id is shown by its first twelve digits.
fn layer_line(hex: &str, step: LayerProgress) -> Progress {
    use LayerProgress as P;

    let (status, bytes) = match step {
        P::PullingFsLayer => ("Pulling fs layer", None),
        P::Waiting => ("Waiting", None),
        P::Downloading {
            current_bytes,
            total_bytes,
        } => ("Downloading", Some((current_bytes, total_bytes))),
        P::VerifyingChecksum => ("Verifying Checksum", None),
        P::DownloadComplete => ("Download complete", None),
        P::Extracting {
            current_bytes,
            total_bytes,
        } => ("Extracting", Some((current_bytes, total_bytes))),
        P::PullComplete => ("Pull complete", None),
        P::AlreadyExists => ("Already exists", None),
        P::Preparing => ("Preparing", None),
        P::Pushing {
            current_bytes,
            total_bytes,
        } => ("Pushing", Some((current_bytes, total_bytes))),
        P::Pushed => ("Pushed", None),
        P::Mounted => ("Mounted from another repository", None),
        P::LayerAlreadyExists => ("Layer already exists", None),
    };
    Progress {
        id: Some(hex.chars().take(12).collect()),
        status: status.to_owned(),
        current: bytes.map(|(current, _)| current),
        total: bytes.map(|(_, total)| total),
        ..Progress::default()
    }
}

/// The last lines of a push: for people, then for programs.
fn summary(pushed: image::Pushed) -> [Progress; 2] {
    let digest = pushed.digest.to_string();
    let size_bytes = pushed.size_bytes;
    [
        text(format!(
            "{}: digest: {digest} size: {size_bytes}",
            pushed.tag
        )),
        Progress {
            result: Some(TransferResult::Pushed(Pushed {
                tag: pushed.tag,
                digest,
                size_bytes,
            })),
            ..Progress::default()
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_digests_join_their_names() {
        assert_eq!(joined("a/b", None), "a/b");
        assert_eq!(joined("a/b", Some("")), "a/b");
        assert_eq!(joined("a/b", Some("1")), "a/b:1");
        assert_eq!(joined("a/b", Some("sha256:0")), "a/b@sha256:0");
    }

    #[test]
    fn a_port_is_no_tag() {
        for (name, expected) in [
            ("a", true),
            ("h:5000/a", true),
            ("a:1", false),
            ("a@sha256:0", false),
        ] {
            assert_eq!(names_repository(name), expected, "{name}");
        }
    }

    #[test]
    fn layers_are_told_as_docker_does() {
        let hex = "0123456789abcdef";
        let step = LayerProgress::Downloading {
            current_bytes: 1,
            total_bytes: 2,
        };
        let line = layer_line(hex, step);
        assert_eq!(line.id.as_deref(), Some("0123456789ab"));
        assert_eq!(
            (line.status.as_str(), line.current, line.total),
            ("Downloading", Some(1), Some(2))
        );
        assert_eq!(
            layer_line(hex, LayerProgress::PullComplete).status,
            "Pull complete"
        );
    }
}
