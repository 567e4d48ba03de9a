//! `docker commit` and `docker import`: a container's changes, or somebody's tar, as an image.

use std::io::{self, Read};

use hythe_oci::{Descriptor, DiffId, ImageId, ImageReference, Platform, compression};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::catalog::Built;
use super::compose::{NewImage, NewLayer};
use super::config::container_config_json;
use super::gc::Pinned;
use super::layout::disk;
use super::pack::{Marks, Packer};
use super::{ImageError, ImageStore};
use crate::spec::{ContainerConfig, ContainerId};
use crate::sys::dir::Directory;

/// What a new image says about itself.
#[derive(Debug, Clone, Default)]
pub struct Described {
    /// What the image's containers run; the whole, not only what changed.
    pub config: ContainerConfig,
    /// For the builds of its children.
    pub on_build: Vec<String>,
    pub author: String,
    pub comment: String,
    /// The history's line, such as the command that made the changes.
    pub created_by: String,
    pub name: Option<ImageReference>,
    /// Of a step of a build.
    pub built: Option<Built>,
}

/// What to make of a tar.
#[derive(Debug, Clone, Default)]
pub struct ImportRequest {
    pub described: Described,
    pub platform: Option<Platform>,
}

/// An image's layers and configuration, to be changed.
struct Base {
    layers: Vec<Descriptor>,
    diff_ids: Vec<DiffId>,
    document: Map<String, Value>,
    _pinned: [Pinned; 2],
}

impl ImageStore {
    /// Makes an image of the container's image and what the container wrote since. Whoever calls
    /// this has paused it, or does not mind.
    pub async fn commit(
        &self,
        container: &ContainerId,
        mut described: Described,
    ) -> Result<ImageId, ImageError> {
        let snapshot = self.snapshot(container)?;
        // Its parent also where no build asks for it: docker keeps an image that others stand on.
        described.built.get_or_insert_with(|| Built {
            parent: Some(snapshot.image.clone()),
            key: "commit".to_owned(),
        });
        let base = self.base(&snapshot.image)?;
        let layer = self
            .blocking(move |inner| {
                let upper =
                    Directory::open(&snapshot.upper).map_err(disk("open", &snapshot.upper))?;
                // Docker leaves a layer out that holds nothing.
                let names = upper.names().map_err(disk("read", &snapshot.upper))?;
                if names.is_empty() {
                    return Ok(None);
                }
                let packed = inner.pack_layer(|writer| {
                    let mut packer = Packer::new(writer, Marks::Whiteouts);
                    packer.add_content(upper, std::path::Path::new(""))?;
                    packer.finish().map(drop)
                });
                packed.map(Some)
            })
            .await?;
        self.derive(base, layer.as_ref(), described).await
    }

    /// Makes an image of another one that says something else about itself.
    pub async fn describe(
        &self,
        base: &ImageId,
        described: Described,
    ) -> Result<ImageId, ImageError> {
        self.derive(self.base(base)?, None, described).await
    }

    /// Makes an image without files, for a build to begin with.
    pub async fn scratch(&self, platform: &Platform) -> Result<ImageId, ImageError> {
        let document = json!({
            "architecture": platform.architecture,
            "os": platform.os,
            "variant": platform.variant,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": []},
            "history": [],
        });
        let new = NewImage {
            config: document.to_string().into_bytes(),
            layers: Vec::new(),
            diff_ids: Vec::new(),
            names: Vec::new(),
            manifest: None,
            built: Some(Built {
                parent: None,
                key: "scratch".to_owned(),
            }),
        };
        self.compose(new).await
    }

    /// The image that an earlier build made of this step, if it is still here.
    pub fn find_built(&self, built: &Built) -> Option<ImageId> {
        let catalog = self.0.catalog.current();
        let mut images = catalog.images.iter();
        let found = images.find(|(_, record)| record.built.as_ref() == Some(built));
        found.map(|(id, _)| id.clone())
    }

    fn base(&self, id: &ImageId) -> Result<Base, ImageError> {
        let base = self.get(id)?;
        let manifest = base.manifests.first();
        let manifest = manifest.ok_or_else(|| ImageError::NotFound(base.id.to_string()))?;
        let kept = base.diff_ids.iter().map(|diff_id| diff_id.0.clone());
        let pins = &self.0.pins;
        let image = pins.pin(kept.chain([base.id.0.clone(), manifest.0.clone()]));
        let layers = self.0.layer_descriptors(manifest)?;
        let blobs = pins.pin(layers.iter().map(|layer| layer.digest.clone()));
        let document = self.0.content.read_document(&base.id.0)?;
        Ok(Base {
            document: parse_object(&base.id, &document)?,
            layers,
            diff_ids: base.diff_ids,
            _pinned: [image, blobs],
        })
    }

    async fn derive(
        &self,
        mut base: Base,
        layer: Option<&NewLayer>,
        described: Described,
    ) -> Result<ImageId, ImageError> {
        let now = Timestamp::now().to_string();
        let mut step = json!({
            "created": now,
            "created_by": described.created_by,
        });
        for (key, text) in [
            ("author", &described.author),
            ("comment", &described.comment),
        ] {
            if !text.is_empty() {
                step[key] = json!(text);
            }
        }
        match layer {
            Some(layer) => {
                base.layers.push(layer.descriptor.clone());
                base.diff_ids.push(layer.diff_id.clone());
            }
            None => step["empty_layer"] = json!(true),
        }
        let document = &mut base.document;
        document.insert("created".to_owned(), json!(now));
        document.insert("author".to_owned(), json!(described.author));
        let config = container_config_json(&described.config, &described.on_build);
        document.insert("config".to_owned(), config);
        document.insert(
            "rootfs".to_owned(),
            json!({"type": "layers", "diff_ids": base.diff_ids}),
        );
        match document.entry("history").or_insert(Value::Null) {
            Value::Array(steps) => steps.push(step),
            none => *none = json!([step]),
        }
        let new = NewImage {
            config: Value::Object(base.document).to_string().into_bytes(),
            layers: base.layers,
            diff_ids: base.diff_ids,
            names: described.name.into_iter().collect(),
            manifest: None,
            built: described.built,
        };
        self.compose(new).await
    }

    /// Makes an image of one layer from a tar, compressed or not. Reads `tar` on a thread that may
    /// wait.
    pub async fn import(
        &self,
        tar: impl Read + Send + 'static,
        request: ImportRequest,
    ) -> Result<ImageId, ImageError> {
        let layer = self
            .blocking(move |inner| {
                inner.pack_layer(|writer| {
                    let packed = io::BufReader::with_capacity(1 << 20, tar);
                    io::copy(&mut compression::decoder(packed)?, writer).map(drop)
                })
            })
            .await?;
        let platform = request.platform.unwrap_or_else(Platform::host);
        let described = request.described;
        let now = Timestamp::now().to_string();
        let document = json!({
            "architecture": platform.architecture,
            "os": platform.os,
            "variant": platform.variant,
            "created": now,
            "comment": described.comment,
            "config": container_config_json(&described.config, &described.on_build),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
            "history": [{"created": now, "comment": described.comment}],
        });
        let new = NewImage {
            config: document.to_string().into_bytes(),
            layers: vec![layer.descriptor.clone()],
            diff_ids: vec![layer.diff_id.clone()],
            names: described.name.into_iter().collect(),
            manifest: None,
            built: None,
        };
        self.compose(new).await
    }
}

fn parse_object(id: &ImageId, bytes: &[u8]) -> Result<Map<String, Value>, ImageError> {
    serde_json::from_slice(bytes).map_err(|error| ImageError::BadImage {
        reference: id.to_string(),
        reason: format!("its configuration cannot be read: {error}"),
    })
}
