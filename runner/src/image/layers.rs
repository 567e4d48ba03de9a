//! Unpacked layers: each kept once, named by its `DiffId`, whole or not there.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hythe_oci::{DiffId, Digest};
use serde::{Deserialize, Serialize};

use super::layout::{DIFF, LAYER_RECORD, Layout, digests_in, disk};
use super::unpack::{self, Limits, UnpackError};
use super::{ImageError, LayerError};
use crate::sys::dir::Directory;

/// What is known of an unpacked layer; lies beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LayerRecord {
    /// Of all its files.
    pub(super) size_bytes: u64,
    pub(super) n_entries: u64,
}

#[derive(Debug, Clone)]
pub(super) struct LayerStore {
    layout: Layout,
    limits: Limits,
}

/// A layer to unpack.
#[derive(Debug, Clone)]
pub(super) struct Unpack {
    /// The packed bytes, already verified.
    pub(super) blob: Digest,
    pub(super) diff_id: DiffId,
    /// Set when nobody wants it any more.
    pub(super) cancelled: Arc<AtomicBool>,
}

impl LayerStore {
    pub(super) fn new(layout: Layout, limits: Limits) -> Self {
        Self { layout, limits }
    }

    /// The record of a layer; `None` if it is not here.
    pub(super) fn record(&self, diff_id: &DiffId) -> Result<Option<LayerRecord>, ImageError> {
        let path = self.layout.layer(diff_id).join(LAYER_RECORD);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(disk("read", &path)(error)),
        };
        match serde_json::from_slice(&bytes) {
            Ok(record) => Ok(Some(record)),
            Err(error) => Err(disk("read", &path)(error.into())),
        }
    }

    pub(super) fn contains(&self, diff_id: &DiffId) -> bool {
        self.layout.layer(diff_id).join(LAYER_RECORD).exists()
    }

    /// Where a layer's files are.
    pub(super) fn diff_dir(&self, diff_id: &DiffId) -> PathBuf {
        self.layout.layer_diff(diff_id)
    }

    /// Every layer that is here.
    pub(super) fn diff_ids(&self) -> Result<Vec<DiffId>, ImageError> {
        let digests = digests_in(&self.layout.layers())?;
        Ok(digests.into_iter().map(DiffId).collect())
    }

    /// Unpacks a verified blob, checks its `DiffId` and makes the layer visible. Blocking.
    ///
    /// `progress` hears how many packed bytes were read.
    pub(super) fn unpack(
        &self,
        layer: &Unpack,
        progress: impl Fn(u64) + Send,
    ) -> Result<(), LayerError> {
        let blob =
            File::open(self.layout.blob(&layer.blob)).map_err(LayerError::disk("open the blob"))?;
        let packed = Packed {
            blob,
            n_read: 0,
            progress,
            cancelled: Arc::clone(&layer.cancelled),
        };
        let building = self.layout.new_unpacking();
        let built = self.build(packed, layer, &building);
        if built.is_err() {
            // The first error is the one to tell; what stays is cleared at the next start.
            drop(remove_tree(&building));
        }
        built
    }

    fn build<P: Fn(u64) + Send>(
        &self,
        packed: Packed<P>,
        layer: &Unpack,
        building: &Path,
    ) -> Result<(), LayerError> {
        let diff = building.join(DIFF);
        make_root(building, &diff).map_err(LayerError::disk("create the layer's directory"))?;
        let algorithm = layer.diff_id.0.algorithm();
        let (unpacked, found) = unpack::unpack_packed(packed, algorithm, &diff, self.limits)
            .map_err(LayerError::Unpack)?;
        if found != layer.diff_id.0 {
            return Err(LayerError::DiffIdMismatch {
                expected: layer.diff_id.0.clone(),
                found,
            });
        }
        if unpacked.skipped_xattrs > 0 {
            tracing::debug!(
                layer = %layer.blob,
                n_skipped = unpacked.skipped_xattrs,
                "extended attributes that this file system cannot hold were left out"
            );
        }
        let record = LayerRecord {
            size_bytes: unpacked.size_bytes,
            n_entries: unpacked.n_entries,
        };
        self.publish(building, &layer.diff_id, record)
    }

    /// Gives a finished directory its name. Somebody else's copy of the same layer is as good.
    pub(super) fn publish(
        &self,
        building: &Path,
        diff_id: &DiffId,
        record: LayerRecord,
    ) -> Result<(), LayerError> {
        let bytes = serde_json::to_vec(&record).map_err(io::Error::from);
        bytes
            .and_then(|bytes| fs::write(building.join(LAYER_RECORD), bytes))
            .map_err(LayerError::disk("write the layer's record"))?;
        match fs::rename(building, self.layout.layer(diff_id)) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) =>
            {
                remove_tree(building).map_err(LayerError::disk("remove a second copy"))
            }
            renamed => renamed.map_err(LayerError::disk("name the layer")),
        }
    }

    /// Takes a layer away; its files are gone at once for everybody who looks, and are deleted when
    /// the returned path is.
    pub(super) fn detach(&self, diff_id: &DiffId) -> Result<PathBuf, ImageError> {
        let layer = self.layout.layer(diff_id);
        let removing = self.layout.new_removing();
        fs::rename(&layer, &removing).map_err(disk("remove", &layer))?;
        Ok(removing)
    }
}

/// The root of every layer and snapshot: what the image's `/` looks like.
pub(super) fn make_root(parent: &Path, root: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    fs::DirBuilder::new().mode(0o700).create(parent)?;
    fs::create_dir(root)?;
    // Whatever the umask left.
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))
}

/// Removes a tree of which only the last name matters; links in it are not followed.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let name = std::ffi::CString::new(name.as_bytes())?;
    Directory::open(parent)?.remove_tree(&name)
}

/// A blob being read.
struct Packed<P> {
    blob: File,
    n_read: u64,
    progress: P,
    cancelled: Arc<AtomicBool>,
}

impl<P: Fn(u64)> Read for Packed<P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(io::Error::other(UnpackError::Cancelled));
        }
        let n_bytes = self.blob.read(buffer)?;
        self.n_read += n_bytes as u64;
        (self.progress)(self.n_read);
        Ok(n_bytes)
    }
}
