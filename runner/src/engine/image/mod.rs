//! Images, as callers see them; the image floor does the work.
//!
//! `view` has the requests and answers; `transfer` pulls, pushes and logs in; `archives` turns
//! containers and tars into images, and images into tars.

mod archives;
mod search;
pub(in crate::engine) mod transfer;
mod view;

pub use search::SearchImages;
pub use view::{
    CommitContainer, HistoryView, ImageRemoval, ImageView, ImportImage, ListImages, Progress,
    ProgressStream, PrunedImages, PullImage, PushImage, Pushed, RegistryAuth, TransferResult,
};

use std::collections::{BTreeMap, BTreeSet};

use hythe_oci::ImageReference;
use hythe_oci::client::ClientError;

use super::{Engine, EngineError, EventKind, Filters};
use crate::image::{Image, ImageError, RemoveRequest, Removed, Use};
use crate::spec::ContainerState;
use view::image_view;

/// `linux/amd64`, `linux/arm64/v8`.
pub(super) fn platform_text(image: &Image) -> String {
    let platform = &image.config.platform;
    let mut text = format!("{}/{}", platform.os, platform.architecture);
    if let Some(variant) = &platform.variant {
        text.push('/');
        text.push_str(variant);
    }
    text
}

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

/// What a registry said, or why it said nothing.
fn registry_error(error: &ClientError) -> EngineError {
    let text = super::error::chain(error);
    match error {
        ClientError::NotFound { .. } => EngineError::NotFound(text),
        ClientError::Unauthorized { .. } => EngineError::Unauthorized(text),
        _ => EngineError::Internal(text),
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

    /// Newest first.
    pub async fn list_images(&self, request: ListImages) -> Result<Vec<ImageView>, EngineError> {
        let filters = &request.filters;
        filters.check_keys(&[
            "before",
            "dangling",
            "label",
            "label!",
            "reference",
            "since",
            "until",
        ])?;
        let dangling = filters.flag("dangling")?;
        let until = filters.until()?;
        let created = |key: &str| -> Result<_, EngineError> {
            let Some(name) = filters.values(key).next() else {
                return Ok(None);
            };
            Ok(self.resolve_image(name)?.config.created)
        };
        let (before, since) = (created("before")?, created("since")?);
        let uses = self.image_uses();
        let images = self.shared.images.list().map_err(image_error)?;
        let matches = |image: &Image| {
            let time = image.config.created;
            (request.all || !image.tags.is_empty() || image.is_dangling())
                && dangling.is_none_or(|dangling| dangling == image.is_dangling())
                && until.is_none_or(|until| time.is_none_or(|time| time < until))
                && before.is_none_or(|before| time.is_some_and(|time| time < before))
                && since.is_none_or(|since| time.is_some_and(|time| time > since))
                && filters.labels_match(&image.config.config.labels)
                && filters.any("reference", |pattern| named_like(image, pattern))
        };
        let shared = request.shared_size.then(|| shared_sizes(self, &images));
        let views = images.iter().filter(|image| matches(image)).map(|image| {
            let mut view = image_view(image);
            let users = uses.iter().filter(|other| other.image == image.id).count();
            view.n_containers = i64::try_from(users).ok();
            view.shared_size_bytes = shared
                .as_ref()
                .and_then(|sizes| sizes.get(&view.id).copied());
            view
        });
        Ok(views.collect())
    }

    pub async fn inspect_image(&self, image: &str) -> Result<ImageView, EngineError> {
        Ok(image_view(&self.resolve_image(image)?))
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
        force: bool,
    ) -> Result<Vec<ImageRemoval>, EngineError> {
        let request = RemoveRequest {
            target: image.to_owned(),
            force,
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

/// Bytes of layers that other images have as well, by image.
fn shared_sizes(engine: &Engine, images: &[Image]) -> BTreeMap<String, i64> {
    let is_shared = |image: &Image, layer: &hythe_oci::DiffId| {
        images
            .iter()
            .any(|other| other.id != image.id && other.diff_ids.contains(layer))
    };
    let size = |image: &Image| {
        let shared = image
            .diff_ids
            .iter()
            .filter(|layer| is_shared(image, layer));
        let sizes = shared.map(|layer| engine.shared.images.layer_size_bytes(layer).unwrap_or(0));
        i64::try_from(sizes.sum::<u64>()).unwrap_or(i64::MAX)
    };
    images
        .iter()
        .map(|image| (image.id.to_string(), size(image)))
        .collect()
}

/// The `reference` filter: a shell pattern over the name, with or without its tag.
fn named_like(image: &Image, pattern: &str) -> bool {
    image.tags.iter().chain(&image.digests).any(|reference| {
        wildcard(pattern, &reference.familiar()) || wildcard(pattern, &reference.familiar_name())
    })
}

/// `*` stands for anything but a slash, `?` for one such character.
fn wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    // matched[n]: the pattern so far matches the first n characters.
    let mut matched = vec![false; text.len() + 1];
    matched[0] = true;
    for c in pattern {
        let mut next = vec![false; text.len() + 1];
        next[0] = matched[0] && c == '*';
        for n in 1..=text.len() {
            next[n] = match c {
                '*' => matched[n] || (next[n - 1] && text[n - 1] != '/'),
                '?' => matched[n - 1] && text[n - 1] != '/',
                literal => matched[n - 1] && text[n - 1] == literal,
            };
        }
        matched = next;
    }
    matched[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stop_at_slashes() {
        let cases = [
            ("nginx*", "nginx:1", true),
            ("*", "nginx:1", true),
            ("*", "team/app:1", false),
            ("*/app:?", "team/app:1", true),
            ("ngin?", "nginx", true),
            ("nginx", "nginx2", false),
            ("", "", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(wildcard(pattern, text), expected, "{pattern} {text}");
        }
    }
}
