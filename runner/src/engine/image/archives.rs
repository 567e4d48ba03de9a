//! Containers and tars become images, images become tars: commit, import, save, load.

use futures_util::stream::{self, StreamExt as _};
use hythe_oci::ImageReference;

use super::{CommitContainer, ImportImage, Progress, ProgressStream, image_error, platform};
use crate::dockerfile::{DockerfileError, ImageDescription, Variables, parse_change};
use crate::engine::container::merge;
use crate::engine::{ByteStream, Engine, EngineError, channel};
use crate::image::{Described, ImportRequest};
use crate::spec::{ContainerConfig, ContainerRef, ContainerState};

impl From<DockerfileError> for EngineError {
    fn from(error: DockerfileError) -> Self {
        Self::InvalidParameter(error.to_string())
    }
}

impl Engine {
    /// Makes an image of a container; answers its id.
    pub async fn commit_container(&self, request: CommitContainer) -> Result<String, EngineError> {
        let container = self.find_container(&ContainerRef::new(&request.container))?;
        let name = self.new_name(&request.repository, request.tag.as_deref())?;
        let record = container.record();
        let mut image = described(request.config, &request.changes)?;
        merge::merge(&mut image.config, &record.config);
        let described = Described {
            config: image.config,
            on_build: image.on_build,
            author: request.author,
            comment: request.comment,
            created_by: record.argv.join(" "),
            name: name.clone(),
            built: None,
        };
        let engine = self.clone();
        self.carry_out(async move {
            let reference = ContainerRef::new(record.id.as_str());
            let pauses = request.pause && matches!(record.state, ContainerState::Running(_));
            // One that ended meanwhile holds still by itself.
            let paused = pauses && engine.pause_container(&reference).await.is_ok();
            let committed = engine.shared.images.commit(&record.id, described).await;
            if paused {
                engine.unpause_container(&reference).await?;
            }
            let id = committed.map_err(image_error)?.to_string();
            let comment = ("comment", id.clone());
            engine.container_event(&container, "commit", &[comment]);
            if let Some(name) = name {
                engine.image_event("tag", &id, &name.familiar());
            }
            Ok(id)
        })
        .await
    }

    /// Makes an image of a tar, compressed or not; answers its id.
    pub async fn import_image(
        &self,
        request: ImportImage,
        tar: ByteStream,
    ) -> Result<String, EngineError> {
        let name = self.new_name(&request.repository, request.tag.as_deref())?;
        let image = described(ContainerConfig::default(), &request.changes)?;
        let platform = platform::parse_given(request.platform.as_deref())?;
        let import = ImportRequest {
            described: Described {
                config: image.config,
                on_build: image.on_build,
                comment: if request.message.is_empty() {
                    "Imported from -".to_owned()
                } else {
                    request.message
                },
                name: name.clone(),
                ..Described::default()
            },
            platform,
        };
        let id = self
            .shared
            .images
            .import(channel::reader(tar), import)
            .await
            .map_err(|error| match image_error(error) {
                // What cannot be unpacked is the caller's tar.
                EngineError::Internal(text) if text.contains("archive") => {
                    EngineError::InvalidParameter(text)
                }
                other => other,
            })?
            .to_string();
        let said = name.map_or_else(|| id.clone(), |name| name.familiar());
        self.image_event("import", &id, &said);
        Ok(id)
    }

    /// The images as one archive.
    pub async fn save_images(&self, images: &[String]) -> Result<ByteStream, EngineError> {
        for image in images {
            let image = self.resolve_image(image)?;
            let id = image.id.to_string();
            self.image_event("save", &id, &id);
        }
        self.shared.images.save(images).map_err(image_error)
    }

    /// Takes every image of an archive and tells their names.
    pub async fn load_images(&self, archive: ByteStream) -> Result<ProgressStream, EngineError> {
        let reader = channel::reader(archive);
        let loaded = self.shared.images.load(reader).await.map_err(image_error)?;
        let mut lines = Vec::new();
        for image in loaded {
            let id = image.id.to_string();
            self.image_event("load", &id, &id);
            let names: Vec<String> = image.names.iter().map(ImageReference::familiar).collect();
            if names.is_empty() {
                lines.push(format!("Loaded image ID: {id}\n"));
            }
            lines.extend(names.iter().map(|name| format!("Loaded image: {name}\n")));
        }
        let lines = lines.into_iter().map(|text| {
            Ok(Progress {
                text: Some(text),
                ..Progress::default()
            })
        });
        Ok(stream::iter(lines).boxed())
    }

    /// A name for a new image; `None` without a repository.
    pub(in crate::engine) fn new_name(
        &self,
        repository: &str,
        tag: Option<&str>,
    ) -> Result<Option<ImageReference>, EngineError> {
        if repository.is_empty() {
            return Ok(None);
        }
        let name = match tag.filter(|tag| !tag.is_empty()) {
            Some(tag) => format!("{repository}:{tag}"),
            None => repository.to_owned(),
        };
        let reference = self.shared.images.parse_reference(&name);
        let reference = reference.map_err(image_error)?;
        if reference.digest.is_some() {
            return Err(EngineError::InvalidParameter(
                "cannot import digest reference".to_owned(),
            ));
        }
        Ok(Some(reference))
    }
}

/// A configuration changed by Dockerfile instructions.
fn described(
    config: ContainerConfig,
    changes: &[String],
) -> Result<ImageDescription, DockerfileError> {
    let mut image = ImageDescription {
        config,
        ..ImageDescription::default()
    };
    for change in changes {
        // One parameter may hold several lines.
        for line in change.lines().filter(|line| !line.trim().is_empty()) {
            let variables = Variables::of(&image.config.env);
            image.apply(&parse_change(line)?, &variables, '\\')?;
        }
    }
    Ok(image)
}
