//! Where everything of this floor lies on disk.
//!
//! ```text
//! ROOT/
//!   catalog/catalog.json       names and images; replaced whole, last of all
//!   blobs/ALGORITHM/HEX        verified content as registries have it: manifests, configs, layers
//!   ingest/ALGORITHM-HEX       a download under way; kept so that the next one goes on from there
//!   layers/ALGORITHM/HEX/      an unpacked layer, named by its DiffId
//!     diff/                    one lower directory of an overlay
//!     layer.json               its sizes
//!   unpacking/UUID/            a layer on its way; renamed into layers/ when it is whole
//!   snapshots/CONTAINER/
//!     upper/  work/            what a container writes
//!   snapshot-records/CONTAINER.json
//!   empty/                     the lower directory of an image without layers: overlayfs wants one
//!   removing/UUID/             trees on their way out: renamed here first, so that no half is seen
//! ```
//!
//! `ingest`, `unpacking` and `removing` may hold the wreck of a crash; `ImageStore::open` clears the
//! last two and what is old in the first. All are on one file system, because of the renames.

use std::io;
use std::path::{Path, PathBuf};

use hythe_oci::{DiffId, Digest};
use uuid::Uuid;

use super::ImageError;
use crate::spec::ContainerId;
use crate::sys::dir::Directory;
use crate::sys::durable;

#[derive(Debug, Clone)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Makes the directories that are missing.
    pub(super) fn create(root: &Path) -> Result<Self, ImageError> {
        let layout = Self {
            root: root.to_owned(),
        };
        for dir in [
            "blobs/sha256",
            "blobs/sha512",
            "ingest",
            "layers/sha256",
            "layers/sha512",
            "unpacking",
            "snapshots",
            "removing",
            "empty",
        ] {
            let dir = layout.root.join(dir);
            durable::create_private_dir(&dir).map_err(disk("create", &dir))?;
        }
        // Layers come and go by tens of thousands of files.
        let unpacking = layout.unpacking();
        let spread = Directory::open(&unpacking).and_then(|dir| dir.spread_trees());
        if let Err(error) = spread {
            tracing::debug!(%error, "the file system takes no hint where layers go");
        }
        Ok(layout)
    }

    pub(super) fn catalog(&self) -> PathBuf {
        self.root.join("catalog")
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        by_digest(&self.blobs(), digest)
    }

    pub(super) fn ingests(&self) -> PathBuf {
        self.root.join("ingest")
    }

    pub(super) fn ingest(&self, digest: &Digest) -> PathBuf {
        let name = format!("{}-{}", digest.algorithm(), digest.hex());
        self.ingests().join(name)
    }

    /// A name under which content without a known digest arrives.
    pub(super) fn new_ingest(&self) -> PathBuf {
        self.ingests().join(Uuid::now_v7().to_string())
    }

    pub(super) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(super) fn layer(&self, diff_id: &DiffId) -> PathBuf {
        by_digest(&self.layers(), &diff_id.0)
    }

    /// The lower directory of an overlay.
    pub(super) fn layer_diff(&self, diff_id: &DiffId) -> PathBuf {
        self.layer(diff_id).join(DIFF)
    }

    pub(super) fn unpacking(&self) -> PathBuf {
        self.root.join("unpacking")
    }

    pub(super) fn new_unpacking(&self) -> PathBuf {
        self.unpacking().join(Uuid::now_v7().to_string())
    }

    pub(super) fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    pub(super) fn snapshot(&self, container: &ContainerId) -> PathBuf {
        self.snapshots().join(container.as_str())
    }

    pub(super) fn snapshot_records(&self) -> PathBuf {
        self.root.join("snapshot-records")
    }

    pub(super) fn empty(&self) -> PathBuf {
        self.root.join("empty")
    }

    pub(super) fn removing(&self) -> PathBuf {
        self.root.join("removing")
    }

    pub(super) fn new_removing(&self) -> PathBuf {
        self.removing().join(Uuid::now_v7().to_string())
    }
}

/// Names inside a layer's directory.
pub(super) const DIFF: &str = "diff";
pub(super) const LAYER_RECORD: &str = "layer.json";

fn by_digest(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join(digest.algorithm().as_str()).join(digest.hex())
}

/// The digests that name the entries of `dir/ALGORITHM/`; what has another name is not ours.
pub(super) fn digests_in(dir: &Path) -> Result<Vec<Digest>, ImageError> {
    let mut found = Vec::new();
    for algorithm in ["sha256", "sha512"] {
        let dir = dir.join(algorithm);
        for entry in std::fs::read_dir(&dir).map_err(disk("list", &dir))? {
            let name = entry.map_err(disk("list", &dir))?.file_name();
            if let Ok(digest) = format!("{algorithm}:{}", name.display()).parse() {
                found.push(digest);
            }
        }
    }
    Ok(found)
}

/// Names what failed, for `map_err`.
pub(super) fn disk(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> ImageError + use<> {
    let path = path.to_owned();
    move |source| ImageError::Disk {
        doing,
        path: path.clone(),
        source,
    }
}
