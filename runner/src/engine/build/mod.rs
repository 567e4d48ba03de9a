//! `docker build`: a Dockerfile and a context become an image, step by step.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `context` | what the caller sent, spread out in a directory of ours |
//! | `builder` | the stages and what becomes of each instruction |
//! | `stage` | an image in the making: description, arguments, cache |
//! | `run` | RUN, in a container like any other |
//! | `base` | FROM: stages, images, pulls |
//! | `copy`, `source`, `files` | COPY and ADD, what they find, and its way into a layer |
//!
//! Each step is an image with a parent, and the same step on the same image is not done again.
//! Nothing of a build is left when the caller goes away, but the steps that were finished.

mod base;
mod builder;
mod context;
mod copy;
mod files;
mod run;
mod source;
mod stage;

use std::collections::BTreeMap;

use hythe_oci::ImageReference;
use hythe_oci::Platform;
use tokio::sync::mpsc;

use super::image::transfer::{Line, told};
use super::{ByteStream, Engine, EngineError, ProgressStream, RegistryAuth};
use crate::spec::{NetworkMode, Resources};
use builder::Builder;
use context::Context;

/// The label of containers that belong to a build, which end with it.
pub(in crate::engine) const BUILD_LABEL: &str = "io.hythe.build";

/// `POST /build`.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the independent switches of Docker's API"
)]
pub struct BuildRequest {
    /// Path in the context.
    pub dockerfile: String,
    /// `name[:tag]` of the new image.
    pub tags: Vec<String>,
    /// Say nothing but the id.
    pub quiet: bool,
    pub no_cache: bool,
    /// Look for a newer base image even if there is one here.
    pub pull: bool,
    /// Remove the containers of steps that went well.
    pub remove: bool,
    /// Remove the container of the step that failed as well.
    pub force_remove: bool,
    /// `None` is a variable that the caller named and does not have.
    pub arguments: BTreeMap<String, Option<String>>,
    pub labels: BTreeMap<String, String>,
    /// The stage to end with.
    pub target: String,
    /// Such as `linux/arm64`; empty is this machine's.
    pub platform: String,
    /// Of RUN's containers.
    pub network: NetworkMode,
    pub extra_hosts: Vec<String>,
    pub resources: Resources,
    pub shm_size_bytes: Option<u64>,
    pub cgroup_parent: String,
    /// By registry host.
    pub credentials: BTreeMap<String, RegistryAuth>,
}

impl Engine {
    /// What can be refused before the first step is an error, later ones come in the stream.
    /// Dropping the stream ends the build.
    pub async fn build_image(
        &self,
        request: BuildRequest,
        body: ByteStream,
    ) -> Result<ProgressStream, EngineError> {
        let names = request.tags.iter().map(|tag| self.new_name(tag, None));
        let names = names.collect::<Result<Vec<_>, _>>()?;
        let names: Vec<ImageReference> = names.into_iter().flatten().collect();
        let platform = match request.platform.as_str() {
            "" => None,
            text => Some(Platform::parse(text).ok_or_else(|| {
                EngineError::InvalidParameter(format!("unknown platform {text:?}"))
            })?),
        };
        let context = Context::receive(self, body, &request.dockerfile).await?;
        let (lines, receiver) = mpsc::channel::<Line>(64);
        let builder = Builder::new(self.clone(), request, platform, (context, lines.clone()))?;
        // Not aborted with the stream: what it made has to be taken away by itself.
        let task = tokio::spawn(async move {
            builder.run_until_dropped(names).await;
        });
        told(receiver, task).await
    }

    /// Takes away what builds left that ended with an earlier agent.
    pub(in crate::engine) async fn clear_builds(&self) -> Result<(), EngineError> {
        let path = self.shared.paths.builds();
        if path.exists() {
            crate::sys::tree::remove(&path).await?;
        }
        for container in self.shared.containers.all() {
            if !container.read(|record| record.config.labels.contains_key(BUILD_LABEL)) {
                continue;
            }
            let reference = crate::spec::ContainerRef::new(container.id().as_str());
            let options = super::container::RemoveOptions {
                force: true,
                volumes: true,
                link: false,
            };
            if let Err(error) = self.remove_container(&reference, options).await {
                tracing::warn!(container.id = %container.id(), %error, "left by a build");
            }
        }
        Ok(())
    }
}
