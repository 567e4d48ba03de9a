//! `docker commit` and `docker import`: a container's changes, or somebody's tar, as an image.

use std::io::{self, Read};

use hythe_oci::{ImageId, ImageReference, Platform, compression};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::compose::NewImage;
use super::config::container_config_json;
use super::pack::{Marks, Packer};
use super::{ImageError, ImageStore};
use crate::spec::{ContainerConfig, ContainerId};
use crate::sys::dir::Directory;

/// What to make of a container's changes. Whoever calls this has paused it, or does not mind.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    pub container: ContainerId,
    /// What the image's containers run; the whole, not only what changed.
    pub config: ContainerConfig,
    pub author: String,
    pub comment: String,
    /// The history's line, such as the command that made the changes.
    pub created_by: String,
    pub name: Option<ImageReference>,
}

/// What to make of a tar.
#[derive(Debug, Clone)]
pub struct ImportRequest {
    pub config: ContainerConfig,
    pub comment: String,
    pub platform: Option<Platform>,
    pub name: Option<ImageReference>,
}

impl ImageStore {
    /// Makes an image of the container's image and what the container wrote since.
    pub async fn commit(&self, request: CommitRequest) -> Result<ImageId, ImageError> {
        let snapshot = self.snapshot(&request.container)?;
        let base = self.get(&snapshot.image)?;
        let catalog = self.0.catalog.current();
        let record = catalog.images.get(&base.id);
        let manifest = record.and_then(|record| record.manifests.keys().next());
        let manifest = manifest.ok_or_else(|| ImageError::NotFound(base.id.to_string()))?;
        let kept = base.diff_ids.iter().map(|diff_id| diff_id.0.clone());
        let _pinned = self
            .0
            .pins
            .pin(kept.chain([base.id.0.clone(), manifest.0.clone()]));
        let mut layers = self.0.layer_descriptors(manifest)?;
        let _blobs = self
            .0
            .pins
            .pin(layers.iter().map(|layer| layer.digest.clone()));

        let layer = self
            .blocking(move |inner| {
                inner.pack_layer(|writer| {
                    let mut packer = Packer::new(writer, Marks::Whiteouts);
                    let upper = Directory::open(&snapshot.upper)?;
                    packer.add_content(upper, std::path::Path::new(""))?;
                    packer.finish().map(drop)
                })
            })
            .await?;
        layers.push(layer.descriptor.clone());
        let mut diff_ids = base.diff_ids;
        diff_ids.push(layer.diff_id.clone());

        let document = self.0.content.read_document(&base.id.0)?;
        let mut document = parse_object(&base.id, &document)?;
        let now = Timestamp::now().to_string();
        document.insert("created".to_owned(), json!(now));
        document.insert("author".to_owned(), json!(request.author));
        document.insert("config".to_owned(), container_config_json(&request.config));
        document.insert(
            "rootfs".to_owned(),
            json!({"type": "layers", "diff_ids": diff_ids}),
        );
        let step = json!({
            "created": now,
            "created_by": request.created_by,
            "author": request.author,
            "comment": request.comment,
        });
        match document.entry("history").or_insert(Value::Null) {
            Value::Array(steps) => steps.push(step),
            none => *none = json!([step]),
        }
        let new = NewImage {
            config: Value::Object(document).to_string().into_bytes(),
            layers,
            diff_ids,
            names: request.name.into_iter().collect(),
            manifest: None,
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
        let now = Timestamp::now().to_string();
        let document = json!({
            "architecture": platform.architecture,
            "os": platform.os,
            "variant": platform.variant,
            "created": now,
            "comment": request.comment,
            "config": container_config_json(&request.config),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
            "history": [{"created": now, "comment": request.comment}],
        });
        let new = NewImage {
            config: document.to_string().into_bytes(),
            layers: vec![layer.descriptor.clone()],
            diff_ids: vec![layer.diff_id.clone()],
            names: request.name.into_iter().collect(),
            manifest: None,
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
