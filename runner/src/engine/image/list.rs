//! Which images there are: filters, and what each shares with others.

use std::collections::BTreeMap;

use hythe_oci::ImageReference;

use super::view::{familiar, image_view};
use super::{ImageView, ListImages, ManifestView, image_error};
use crate::engine::{Engine, EngineError};
use crate::image::{Image, Use};

impl Engine {
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
                && filters.any("reference", |pattern| {
                    let mut names = image.tags.iter().chain(&image.digests);
                    names.any(|name| is_like(name, pattern))
                })
        };
        // A list by name shows the names that match, not all that an image has.
        let is_shown =
            |name: &ImageReference| filters.any("reference", |pattern| is_like(name, pattern));
        let shared = request.shared_size.then(|| shared_sizes(self, &images));
        let views = images.iter().filter(|image| matches(image)).map(|image| {
            let mut view = image_view(image);
            view.tags = familiar(image.tags.iter().filter(|name| is_shown(name)));
            view.digests = familiar(image.digests.iter().filter(|name| is_shown(name)));
            let users = uses.iter().filter(|other| other.image == image.id).count();
            view.n_containers = i64::try_from(users).ok();
            if request.manifests {
                view.manifests = Some(self.manifest_views(image, &uses)?);
            }
            view.shared_size_bytes = shared
                .as_ref()
                .and_then(|sizes| sizes.get(&view.id).copied());
            Ok(view)
        });
        views.collect()
    }

    /// The manifests of an image, and who uses it.
    pub(super) fn manifest_views(
        &self,
        image: &Image,
        uses: &[Use],
    ) -> Result<Vec<ManifestView>, EngineError> {
        let manifests = self.shared.images.manifests(&image.id);
        let uses = uses.iter().filter(|other| other.image == image.id);
        let containers: Vec<String> = uses.map(|other| other.container.to_string()).collect();
        let bytes = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let views = manifests
            .map_err(image_error)?
            .into_iter()
            .map(|manifest| ManifestView {
                digest: manifest.digest.to_string(),
                media_type: manifest.media_type,
                size_bytes: bytes(manifest.size_bytes),
                content_bytes: bytes(manifest.content_bytes),
                containers: containers.clone(),
            });
        Ok(views.collect())
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
fn is_like(name: &ImageReference, pattern: &str) -> bool {
    wildcard(pattern, &name.familiar()) || wildcard(pattern, &name.familiar_name())
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
