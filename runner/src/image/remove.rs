//! Giving names and taking them away; the image goes with its last name.
//!
//! The rules, and the texts of refusals, are docker's (`daemon/images/image_delete.go`).

use std::collections::BTreeSet;

use hythe_oci::{Digest, ImageId, ImageReference, ManifestDigest};
use jiff::Timestamp;

use super::catalog::{Catalog, NameRecord};
use super::view::plain;
use super::{ImageError, ImageStore, Inner};
use crate::spec::ContainerId;

/// What `remove` did, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// The name, in docker's familiar form.
    Untagged(String),
    /// An image, then layers that nothing else needed.
    Deleted(Digest),
}

/// A container that stands on an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub image: ImageId,
    pub container: ContainerId,
    pub is_running: bool,
}

/// How `remove` may go.
#[derive(Debug, Clone, Default)]
pub struct RemoveRequest {
    /// A name, a digest reference, an id or the beginning of one.
    pub target: String,
    pub force: bool,
    /// Leave the unnamed steps that led to it.
    pub keep_parents: bool,
    /// All containers that stand on images.
    pub uses: Vec<Use>,
}

impl ImageStore {
    /// Gives `reference` to the image; another image loses it.
    pub async fn tag(&self, id: &ImageId, reference: &ImageReference) -> Result<(), ImageError> {
        if reference.digest.is_some() {
            return Err(ImageError::TagWithDigest);
        }
        let reference = reference.clone().with_default_tag();
        let change = |catalog: &mut Catalog| {
            let Some(image) = catalog.images.get_mut(id) else {
                return Err(ImageError::NotFound(id.to_string()));
            };
            image.tagged_at = Some(Timestamp::now());
            let manifest = manifest_for(catalog, id, &reference)?;
            let name = NameRecord {
                image: id.clone(),
                manifest,
            };
            catalog.names.insert(reference, name);
            Ok(())
        };
        self.0.catalog.update(change).await
    }

    /// `docker rmi`: takes the name away; with the last name the image goes, and every layer and
    /// blob that nothing else needs.
    pub async fn remove(&self, request: RemoveRequest) -> Result<Vec<Removed>, ImageError> {
        let id = self.resolve_id(&request.target)?;
        let reference = self
            .parse_reference(&request.target)
            .ok()
            .map(|parsed| plain(&parsed));
        let change = |catalog: &mut Catalog| {
            let mut removal = Removal {
                removed: Vec::new(),
                id: &id,
                request: &request,
            };
            let by_name = reference.filter(|reference| catalog.names.contains_key(reference));
            match by_name {
                Some(reference) => removal.by_name(catalog, &reference)?,
                None => removal.by_id(catalog)?,
            }
            Ok(removal.removed)
        };
        let mut removed = self.0.catalog.update(change).await?;
        if removed
            .iter()
            .any(|removed| matches!(removed, Removed::Deleted(_)))
        {
            let collected = self.blocking(Inner::collect).await?;
            let layers = collected.layers.into_iter();
            removed.extend(layers.map(|diff_id| Removed::Deleted(diff_id.0)));
        }
        Ok(removed)
    }
}

/// The manifest that a new name stands for: of the same repository if the image came from there.
fn manifest_for(
    catalog: &Catalog,
    id: &ImageId,
    reference: &ImageReference,
) -> Result<ManifestDigest, ImageError> {
    let same_repository = |name: &ImageReference| {
        name.host == reference.host && name.repository == reference.repository
    };
    let names = catalog
        .names
        .iter()
        .filter(|(_, record)| record.image == *id);
    let (near, far): (Vec<_>, Vec<_>) = names.partition(|(name, _)| same_repository(name));
    let named = near
        .into_iter()
        .chain(far)
        .next()
        .map(|(_, record)| record.manifest.clone());
    let known = || catalog.images.get(id)?.manifests.keys().next().cloned();
    named
        .or_else(known)
        .ok_or_else(|| ImageError::NotFound(id.to_string()))
}

/// One removal against the next catalog; an error leaves the current one as it is.
struct Removal<'a> {
    removed: Vec<Removed>,
    id: &'a ImageId,
    request: &'a RemoveRequest,
}

impl Removal<'_> {
    fn by_name(&mut self, catalog: &mut Catalog, name: &ImageReference) -> Result<(), ImageError> {
        let force = self.request.force;
        if !force && is_single(&catalog.names_of(self.id)) {
            self.check_unused_name()?;
        }
        self.untag(catalog, name);
        let same_repository = |other: &&ImageReference| {
            other.host == name.host && other.repository == name.repository
        };
        let names = catalog.names_of(self.id);
        let mut near = names.iter().filter(same_repository);
        // Digests of a repository that lost its last tag say nothing to anybody.
        if near.clone().all(|other| other.tag.is_none()) {
            near.by_ref().for_each(|other| self.untag(catalog, other));
        }
        if !catalog.names_of(self.id).is_empty() {
            return Ok(());
        }
        // Untagged by force while a container stands on it, or while others were made on it: it
        // stays without a name, as with docker.
        if self.check_unused(force).is_err() || catalog.has_children(self.id) {
            return Ok(());
        }
        self.delete(catalog);
        Ok(())
    }

    fn by_id(&mut self, catalog: &mut Catalog) -> Result<(), ImageError> {
        let names = catalog.names_of(self.id);
        if catalog.has_children(self.id) {
            return Err(self.conflict("cannot be forced", "image has dependent child images"));
        }
        self.check_unused(self.request.force)?;
        if !is_single(&names) && !self.request.force {
            return Err(self.conflict(
                "must be forced",
                "image is referenced in multiple repositories",
            ));
        }
        for name in &names {
            self.untag(catalog, name);
        }
        self.delete(catalog);
        Ok(())
    }

    fn untag(&mut self, catalog: &mut Catalog, name: &ImageReference) {
        catalog.names.remove(name);
        self.removed.push(Removed::Untagged(name.familiar()));
    }

    /// With what it alone was made on and nobody gave a name.
    fn delete(&mut self, catalog: &mut Catalog) {
        let mut next = Some(self.id.clone());
        while let Some(id) = next {
            next = catalog.parent(&id).cloned();
            next = next.filter(|_| !self.request.keep_parents);
            catalog.images.remove(&id);
            self.removed.push(Removed::Deleted(id.0));
            next = next.filter(|parent| {
                let used = self.request.uses.iter().any(|used| used.image == *parent);
                !used && !catalog.has_children(parent) && catalog.names_of(parent).is_empty()
            });
        }
    }

    fn uses(&self) -> impl Iterator<Item = &Use> {
        self.request
            .uses
            .iter()
            .filter(|used| used.image == *self.id)
    }

    /// A container keeps its image's only name, unless forced.
    fn check_unused_name(&self) -> Result<(), ImageError> {
        let Some(used) = self.uses().next() else {
            return Ok(());
        };
        Err(ImageError::InUse(format!(
            "conflict: unable to remove repository reference {:?} (must force) - container {} is using its referenced image {}",
            self.request.target,
            used.container.short(),
            short(self.id),
        )))
    }

    /// A running container keeps its image whatever is said; a stopped one unless forced.
    fn check_unused(&self, force: bool) -> Result<(), ImageError> {
        if let Some(used) = self.uses().find(|used| used.is_running) {
            let reason = format!(
                "image is being used by running container {}",
                used.container.short()
            );
            return Err(self.conflict("cannot be forced", &reason));
        }
        match self.uses().next() {
            Some(used) if !force => {
                let container = used.container.short();
                let reason = format!("image is being used by stopped container {container}");
                Err(self.conflict("must be forced", &reason))
            }
            _ => Ok(()),
        }
    }

    fn conflict(&self, how: &str, reason: &str) -> ImageError {
        let id = short(self.id);
        ImageError::InUse(format!(
            "conflict: unable to delete {id} ({how}) - {reason}"
        ))
    }
}

fn short(id: &ImageId) -> &str {
    &id.0.hex()[..12]
}

/// At most one tag, all names in one repository.
fn is_single(names: &[ImageReference]) -> bool {
    let repositories: BTreeSet<_> = names
        .iter()
        .map(|name| (&name.host, &name.repository))
        .collect();
    repositories.len() <= 1 && names.iter().filter(|name| name.tag.is_some()).count() <= 1
}
