//! Images, as callers see them; the image floor does the work.
//!
//! `view` has the requests and answers; `list` finds; `transfer` pulls, pushes and logs in;
//! `logins` are the agent's own;
//! `archives` turns containers and tars into images, and images into tars; `platform` checks what
//! was asked for against what is there.

mod archives;
mod distribution;
mod list;
mod logins;
mod platform;
mod search;
pub(in crate::engine) mod transfer;
mod view;

pub use distribution::RemoteImage;
pub use search::SearchImages;
pub use view::{
    CommitContainer, HistoryView, ImageRemoval, ImageView, ImportImage, ListImages, ManifestView,
    Progress, ProgressStream, PrunedImages, PullImage, PushImage, Pushed, RegistryAuth,
    RemoveImage, TransferResult,
};

use std::collections::{BTreeMap, BTreeSet};

use hythe_oci::ImageReference;
use hythe_oci::client::ClientError;

use super::{Engine, EngineError, EventKind, Filters};
use crate::image::{Image, ImageError, RemoveRequest, Removed, Use};
use crate::spec::ContainerState;
use view::image_view;

/// A failure of the image floor in the engine's kinds, all causes in its text.
pub(in crate::engine) fn image_error(error: ImageError) -> EngineError {
    let text = super::error::chain(&error);
    match error {
        ImageError::NotFound(_) | ImageError::NoTag(_) | ImageError::NoMatchingPlatform { .. } => {
            EngineError::NotFound(text)
        }
        ImageError::Ambiguous(_)
        | ImageError::InvalidReference(_)
        | ImageError::TagWithDigest
        | ImageError::BadArchive(_)
        | ImageError::BadImage { .. } => EngineError::InvalidParameter(text),
        ImageError::InUse(_) => EngineError::Conflict(text),
        ImageError::Registry { source, .. } => registry_error(&source),
        ImageError::Layer { .. }
        | ImageError::Disk { .. }
        | ImageError::NoSnapshot(_)
        | ImageError::Records(_)
        | ImageError::Cancelled => EngineError::Internal(text),
    }
}

/// What a registry said, or why it said nothing. That it wants somebody to log in
/// is no 401 of ours: docker would take that for a question, ask its user for a
/// password and wait.
fn registry_error(error: &ClientError) -> EngineError {
    let text = super::error::chain(error);
    match error {
        ClientError::NotFound { .. } => EngineError::NotFound(text),
        _ => EngineError::Internal(text),
    }
}

/// What a registry said to a login.
fn login_error(error: &ClientError) -> EngineError {
    match error {
        ClientError::Unauthorized { .. } => EngineError::Unauthorized(super::error::chain(error)),
        other => registry_error(other),
    }
}

impl Engine {
    pub(super) fn resolve_image(&self, text: &str) -> Result<Image, EngineError> {
        match self.shared.images.resolve(text) {
            // The name as docker shows it, with the tag that was meant.
            Err(ImageError::NotFound(_)) => Err(EngineError::no_such_image(self.meant(text))),
            other => other.map_err(image_error),
        }
    }

    fn meant(&self, text: &str) -> String {
        let parsed = self.shared.images.parse_reference(text);
        parsed.map_or_else(|_| text.to_owned(), |reference| reference.familiar())
    }

    /// Unpacked bytes of an image; zero when it is gone.
    pub(super) fn image_size(&self, id: &str) -> u64 {
        self.shared
            .images
            .resolve(id)
            .map_or(0, |image| image.size_bytes)
    }

    /// Ids of the named images and of all that were built on them.
    pub(super) fn images_built_on<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
    ) -> BTreeSet<String> {
        let images = self.shared.images.list().unwrap_or_default();
        let bases: Vec<Image> = names
            .filter_map(|name| self.shared.images.resolve(name).ok())
            .collect();
        images
            .into_iter()
            .filter(|image| {
                bases
                    .iter()
                    .any(|base| image.diff_ids.starts_with(&base.diff_ids))
            })
            .map(|image| image.id.to_string())
            .collect()
    }

    /// Every container with the image it stands on.
    fn image_uses(&self) -> Vec<Use> {
        let containers = self.shared.containers.all();
        let uses = containers.iter().filter_map(|container| {
            container.read(|record| {
                Some(Use {
                    image: record.image_id.parse().ok()?,
                    container: record.id.clone(),
                    is_running: record.state.live().is_some()
                        || matches!(record.state, ContainerState::Restarting(_)),
                })
            })
        });
        uses.collect()
    }

    /// `manifests` says whether they are asked for as well.
    pub async fn inspect_image(
        &self,
        image: &str,
        manifests: bool,
    ) -> Result<ImageView, EngineError> {
        let image = self.resolve_image(image)?;
        let mut view = image_view(&image);
        if manifests {
            view.manifests = Some(self.manifest_views(&image, &self.image_uses())?);
        }
        Ok(view)
    }

    /// Newest step first.
    pub async fn image_history(&self, image: &str) -> Result<Vec<HistoryView>, EngineError> {
        let image = self.resolve_image(image)?;
        let entries = self.shared.images.history(&image.id).map_err(image_error)?;
        Ok(entries
            .into_iter()
            .map(|entry| HistoryView {
                id: entry
                    .id
                    .map_or_else(|| "<missing>".to_owned(), |id| id.to_string()),
                created_at: entry.created,
                created_by: entry.created_by,
                tags: entry.tags.iter().map(ImageReference::familiar).collect(),
                size_bytes: i64::try_from(entry.size_bytes).unwrap_or(i64::MAX),
                comment: entry.comment,
            })
            .collect())
    }

    /// Gives an image another name.
    pub async fn tag_image(
        &self,
        image: &str,
        repository: &str,
        tag: Option<&str>,
    ) -> Result<(), EngineError> {
        let image = self.resolve_image(image)?;
        let name = match tag.filter(|tag| !tag.is_empty()) {
            Some(tag) => format!("{repository}:{tag}"),
            None => repository.to_owned(),
        };
        let reference = self
            .shared
            .images
            .parse_reference(&name)
            .map_err(image_error)?;
        let engine = self.clone();
        self.carry_out(async move {
            let images = &engine.shared.images;
            images
                .tag(&image.id, &reference)
                .await
                .map_err(image_error)?;
            engine.image_event("tag", &image.id.to_string(), &reference.familiar());
            Ok(())
        })
        .await
    }

    pub async fn remove_image(
        &self,
        image: &str,
        options: RemoveImage,
    ) -> Result<Vec<ImageRemoval>, EngineError> {
        let request = RemoveRequest {
            target: image.to_owned(),
            force: options.force,
            keep_parents: options.keep_parents,
            uses: self.image_uses(),
        };
        // Checked first for docker's text with the tag in it.
        self.resolve_image(image)?;
        let engine = self.clone();
        self.carry_out(async move {
            let removed = engine
                .shared
                .images
                .remove(request)
                .await
                .map_err(image_error)?;
            Ok(engine.tell_removal(removed))
        })
        .await
    }

    fn tell_removal(&self, removed: Vec<Removed>) -> Vec<ImageRemoval> {
        removed
            .into_iter()
            .map(|removed| match removed {
                Removed::Untagged(name) => {
                    self.image_event("untag", &name, &name);
                    ImageRemoval::Untagged(name)
                }
                Removed::Deleted(digest) => {
                    let digest = digest.to_string();
                    self.image_event("delete", &digest, &digest);
                    ImageRemoval::Deleted(digest)
                }
            })
            .collect()
    }

    /// Removes unused images; by default only those without a tag.
    pub async fn prune_images(&self, filters: Filters) -> Result<PrunedImages, EngineError> {
        filters.check_keys(&["dangling", "label", "label!", "until"])?;
        let only_dangling = filters.flag("dangling")?.unwrap_or(true);
        let until = filters.until()?;
        let engine = self.clone();
        self.carry_out(async move {
            let images = &engine.shared.images;
            let before = images.layers_size_bytes().map_err(image_error)?;
            let mut pruned = PrunedImages::default();
            for image in images.list().map_err(image_error)? {
                let uses = engine.image_uses();
                let used = uses.iter().any(|other| other.image == image.id);
                let old = until.is_none_or(|until| image.config.created.is_none_or(|t| t < until));
                let is_step = image.tags.is_empty() && !image.is_dangling();
                let unwanted = !is_step && (image.is_dangling() || !only_dangling);
                if used || !old || !unwanted || !filters.labels_match(&image.config.config.labels) {
                    continue;
                }
                let request = RemoveRequest {
                    target: image.id.to_string(),
                    force: true,
                    keep_parents: false,
                    uses,
                };
                // One that was taken into use in the meantime stays.
                if let Ok(removed) = images.remove(request).await {
                    pruned.removed.extend(engine.tell_removal(removed));
                }
            }
            let after = images.layers_size_bytes().map_err(image_error)?;
            pruned.reclaimed_bytes = before.saturating_sub(after);
            Ok(pruned)
        })
        .await
    }

    pub(super) fn image_event(&self, action: &str, actor: &str, name: &str) {
        let attributes = BTreeMap::from([("name".to_owned(), name.to_owned())]);
        self.shared
            .events
            .report(EventKind::Image, action, actor, attributes);
    }
}
