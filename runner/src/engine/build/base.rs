//! FROM: what a stage begins with.

use std::collections::BTreeMap;

use hythe_oci::login_file::image_host;
use hythe_oci::{ImageId, ImageReference, Platform};
use tokio::sync::mpsc;

use super::builder::{Builder, short};
use super::stage::Stage;
use crate::dockerfile::{From, ImageDescription, Variables, expand};
use crate::engine::image::image_error;
use crate::engine::image::transfer::{Line, forward};
use crate::engine::{EngineError, Progress, RegistryAuth};
use crate::image::{Image, ProgressSender, PullRequest};

impl Builder {
    pub(super) async fn begin_stage(&mut self, from: &From) -> Result<(), EngineError> {
        let mut variables = Variables::default();
        for (name, value) in &self.global_arguments {
            variables.set(name, value);
        }
        for (name, value) in platform_arguments(self.platform.as_ref()) {
            variables.set(name, &value);
        }
        let escape = self.dockerfile.escape;
        let wanted = expand(&from.image, &variables, escape)?;
        if wanted.is_empty() {
            return Err(EngineError::InvalidParameter(format!(
                "base name ({}) should not be blank",
                from.image
            )));
        }
        let platform = match &from.platform {
            None => self.platform.clone(),
            Some(text) => {
                let text = expand(text, &variables, escape)?;
                Some(Platform::parse(&text).ok_or_else(|| {
                    EngineError::InvalidParameter(format!("unknown platform {text:?}"))
                })?)
            }
        };
        let base = self.base(&wanted, platform.as_ref()).await?;
        let triggers = base.description.on_build.clone();
        self.stages.push(Stage {
            name: from.name.clone(),
            ..base
        });
        let stage = self.stage()?;
        stage.description.on_build.clear();
        let image = stage.image.clone();
        if wanted == "scratch" {
            self.say(" ---> \n".to_owned()).await;
        } else {
            self.say(format!(" ---> {}\n", short(&image))).await;
        }
        self.pull_triggers(&triggers).await
    }

    /// The image a stage begins with: an earlier stage, nothing, or an image.
    async fn base(
        &mut self,
        wanted: &str,
        platform: Option<&Platform>,
    ) -> Result<Stage, EngineError> {
        let lower = wanted.to_lowercase();
        let earlier = self
            .stages
            .iter()
            .find(|stage| stage.name.as_ref() == Some(&lower));
        if let Some(stage) = earlier {
            let mut description = stage.description.clone();
            description.is_cmd_set = false;
            return Ok(stage_on(stage.image.clone(), description, true));
        }
        if lower == "scratch" {
            let platform = platform.cloned().unwrap_or_else(Platform::host);
            let images = &self.engine.shared.images;
            let image = images.scratch(&platform).await.map_err(image_error)?;
            return Ok(stage_on(image, ImageDescription::default(), false));
        }
        let image = self.find_or_pull(wanted, platform).await?;
        let description = ImageDescription {
            config: image.config.config.clone(),
            on_build: image.config.on_build.clone(),
            author: String::new(),
            is_cmd_set: false,
        };
        Ok(stage_on(image.id, description, true))
    }

    /// An image from here, or from its registry when it is not here or is to be looked for anew.
    pub(super) async fn find_or_pull(
        &self,
        wanted: &str,
        platform: Option<&Platform>,
    ) -> Result<Image, EngineError> {
        let images = &self.engine.shared.images;
        let fits = |image: &Image| {
            platform.is_none_or(|platform| image.config.platform.satisfies(platform))
        };
        if !self.request.pull
            && let Ok(image) = self.engine.resolve_image(wanted)
            && fits(&image)
        {
            return Ok(image);
        }
        let reference = images.parse_reference(wanted).map_err(image_error)?;
        let sent = self.credentials_for(&reference);
        let pull = PullRequest {
            credentials: self.engine.credentials_at(&reference.host, sent).await?,
            reference,
            platform: platform.cloned(),
        };
        let (sender, progress) = ProgressSender::channel();
        let (told, mut told_here) = mpsc::channel::<Line>(64);
        let quiet = self.request.quiet;
        let pass_on = async {
            while let Some(line) = told_here.recv().await {
                if !quiet {
                    drop(self.lines.send(line).await);
                }
            }
        };
        let title = Progress {
            id: Some(pull.reference.reference().to_string()),
            status: format!("Pulling from {}", pull.reference.repository),
            ..Progress::default()
        };
        let forwarded = async {
            forward(progress, &told, Some(title)).await;
            drop(told);
        };
        let (pulled, (), ()) =
            tokio::join!(Box::pin(images.pull(pull, sender)), forwarded, pass_on);
        pulled.map_err(image_error)?;
        self.engine.image_event("pull", wanted, wanted);
        self.engine.resolve_image(wanted)
    }

    fn credentials_for(&self, reference: &ImageReference) -> RegistryAuth {
        let mut known = self.request.credentials.iter();
        let found = known.find(|(server, _)| image_host(server) == reference.host);
        found.map(|(_, login)| login.clone()).unwrap_or_default()
    }
}

fn stage_on(image: ImageId, description: ImageDescription, has_steps: bool) -> Stage {
    Stage {
        name: None,
        image,
        description,
        arguments: BTreeMap::new(),
        is_cache_broken: false,
        has_steps,
    }
}

/// `TARGETPLATFORM` and the like, for ARGs that name them.
pub(super) fn platform_arguments(platform: Option<&Platform>) -> Vec<(&'static str, String)> {
    let host = Platform::host();
    let target = platform.unwrap_or(&host);
    let whole = |platform: &Platform| {
        let variant = platform.variant.iter().map(|variant| format!("/{variant}"));
        let variant: String = variant.collect();
        format!("{}/{}{variant}", platform.os, platform.architecture)
    };
    vec![
        ("TARGETPLATFORM", whole(target)),
        ("TARGETOS", target.os.clone()),
        ("TARGETARCH", target.architecture.clone()),
        ("TARGETVARIANT", target.variant.clone().unwrap_or_default()),
        ("BUILDPLATFORM", whole(&host)),
        ("BUILDOS", host.os.clone()),
        ("BUILDARCH", host.architecture.clone()),
    ]
}
