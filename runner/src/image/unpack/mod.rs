//! A layer's tar becomes a directory of an overlay.
//!
//! | file | what it does |
//! | --- | --- |
//! | `archive` | the byte stream as entries (`header`, `pax`, `sparse` read its parts) |
//! | `name` | an entry's name as a place below the layer's root, or a whiteout |
//! | `tree` | entries become files; `fill` writes their content |
//! | `stream` | decompression and hash beside the unpacking |
//!
//! Everything that an archive names is reached through directory descriptors below the target
//! directory: parents are resolved with `RESOLVE_IN_ROOT`, as if the target were `/`, and the last
//! component is never followed. Archives come from strangers; nothing they say is a path of ours.

mod archive;
mod error;
mod fill;
mod header;
mod name;
mod pax;
mod sparse;
mod stream;
#[cfg(test)]
pub(super) mod tests;
mod tree;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use archive::Archive;
use hythe_oci::{Algorithm, Digest, DigestHasher, compression};
use tree::{Purpose, Tree};

use crate::sys::credentials;
use crate::sys::dir::Directory;

pub use error::UnpackError;

/// What one layer may cost, whatever its compressed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the uncompressed archive, and of the files in it (holes count).
    pub layer_bytes: u64,
    /// Entries of the archive.
    pub layer_entries: u64,
}

impl Default for Limits {
    /// Far above what real images hold, far below what hurts a machine for long.
    fn default() -> Self {
        Self {
            layer_bytes: 256 << 30,
            layer_entries: 10_000_000,
        }
    }
}

/// What came out of an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Of all files, each name of a file once, holes included.
    pub size_bytes: u64,
    pub n_entries: u64,
    /// Extended attributes that this file system cannot hold, or that only overlayfs may write.
    pub skipped_xattrs: u64,
}

/// Unpacks an uncompressed archive into an existing, empty directory that nobody else uses, and
/// reads `input` to its end. On an error the directory holds a part; the caller removes it.
///
/// Blocking; needs root, for owners and devices.
pub fn unpack<R: BufRead>(
    input: R,
    target: &Path,
    limits: Limits,
) -> Result<Unpacked, UnpackError> {
    let root = Directory::open(target).map_err(|source| UnpackError::Write {
        doing: "open the target",
        name: target.display().to_string(),
        source,
    })?;
    read_all(input, Tree::new(root, Purpose::Layer, limits))
}

fn read_all<R: BufRead>(input: R, mut tree: Tree) -> Result<Unpacked, UnpackError> {
    let mut archive = Archive::new(input);
    while let Some(entry) = archive.next_entry()? {
        tree.put(&entry, &mut archive)?;
    }
    archive.finish()?;
    tree.finish()
}

/// How files are put among others that are there already (`docker cp`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Merge {
    /// Refuse to replace a directory by something else, or the other way round.
    pub keep_kinds: bool,
    /// Whom everything is to belong to; `None` is whom the archive says.
    pub owner: Option<(u32, u32)>,
    /// What root is in this tree, where that is another.
    pub mapped_root: Option<(u32, u32)>,
}

/// Unpacks an archive, compressed or not, among the files of a tree that others may be using.
/// No link in the tree leads out of `root`, whatever is done to it meanwhile. Blocking.
pub fn unpack_files(
    packed: impl Read + Send,
    root: Directory,
    merge: Merge,
) -> Result<Unpacked, UnpackError> {
    let limits = Limits::default();
    let content = compression::decoder(BufReader::new(packed)).map_err(UnpackError::from_input)?;
    let tree = Tree::new(root, Purpose::Files(merge), limits);
    let Some(root) = merge.mapped_root else {
        return read_all(BufReader::new(content), tree);
    };
    // A file belongs to whoever makes it before it is given away, and root is nobody there.
    let read = credentials::as_owner_of_files(root, || read_all(BufReader::new(content), tree));
    read.map_err(|source| UnpackError::Write {
        doing: "write as the owner of",
        name: "the files of the container".to_owned(),
        source,
    })?
}

/// Unpacks a layer as a registry has it, compressed in any way that layers are; also returns the
/// digest of the uncompressed archive, to be compared before anybody sees the directory.
///
/// Blocking, as `unpack` is; decompresses and hashes on threads of their own.
pub fn unpack_packed(
    packed: impl Read + Send,
    algorithm: Algorithm,
    target: &Path,
    limits: Limits,
) -> Result<(Unpacked, Digest), UnpackError> {
    let hasher = DigestHasher::new(algorithm);
    stream::with_content(packed, hasher, limits.layer_bytes, |content| {
        unpack(content, target, limits)
    })
}
