//! Blobs by digest: verified before they are visible, never changed afterwards.
//!
//! Callers on this floor only. A blob arrives through an `Ingest` (downloads, archives) or whole
//! (manifests, configs). Who may go and who must stay is `gc`'s business.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use hythe_oci::{Digest, DigestHasher};

use super::ImageError;
use super::layout::{Layout, digests_in, disk};

/// The largest manifest or config that is read into memory; registries refuse larger manifests.
const MAX_DOCUMENT_BYTES: u64 = 8 << 20;

/// Read size while hashing what an earlier try left.
const BUFFER_BYTES: usize = 1 << 20;

#[derive(Debug, Clone)]
pub(super) struct ContentStore {
    layout: Layout,
}

impl ContentStore {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout }
    }

    /// Bytes of the blob; `None` if it is not here.
    pub(super) fn size_bytes(&self, digest: &Digest) -> Result<Option<u64>, ImageError> {
        let path = self.layout.blob(digest);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(disk("look at", &path)(error)),
        }
    }

    pub(super) fn contains(&self, digest: &Digest) -> Result<bool, ImageError> {
        Ok(self.size_bytes(digest)?.is_some())
    }

    pub(super) fn open(&self, digest: &Digest) -> Result<File, ImageError> {
        let path = self.layout.blob(digest);
        File::open(&path).map_err(disk("open", &path))
    }

    /// A manifest or config. Checked again: it is small, and everything hangs on it.
    pub(super) fn read_document(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        let path = self.layout.blob(digest);
        let mut bytes = Vec::new();
        let file = self.open(digest)?.take(MAX_DOCUMENT_BYTES);
        { file }
            .read_to_end(&mut bytes)
            .map_err(disk("read", &path))?;
        if Digest::of_with(digest.algorithm(), &bytes) == *digest {
            Ok(bytes)
        } else {
            let damaged = io::Error::new(io::ErrorKind::InvalidData, "the content is damaged");
            Err(disk("read", &path)(damaged))
        }
    }

    /// Keeps a manifest or config whose digest the caller has checked or computed.
    pub(super) fn put_document(&self, digest: &Digest, bytes: &[u8]) -> Result<(), ImageError> {
        if self.contains(digest)? {
            return Ok(());
        }
        let temporary = self.layout.new_ingest();
        let blob = self.layout.blob(digest);
        fs::write(&temporary, bytes).map_err(disk("write", &temporary))?;
        fs::rename(&temporary, &blob).map_err(disk("create", &blob))
    }

    /// Starts or takes up the download of a blob. Blocking; waits while another task of this
    /// process still has its last write of the same blob under way.
    pub(super) fn ingest(&self, digest: &Digest, size_bytes: u64) -> io::Result<Ingest> {
        let mut file = lock_file(&self.layout.ingest(digest))?;
        if file.metadata()?.len() > size_bytes {
            file.set_len(0)?;
        }
        let mut hasher = DigestHasher::new(digest.algorithm());
        let offset_bytes = hash_rest(&mut file, &mut hasher)?;
        Ok(Ingest {
            file,
            hasher,
            offset_bytes,
        })
    }

    /// Makes another's file a blob of ours, without a copy; false when it cannot be linked, or is
    /// not what `digest` names. Neither of the two ever writes to it. Blocking.
    pub(super) fn link(&self, file: &Path, digest: &Digest, size_bytes: u64) -> io::Result<bool> {
        let linked = self.layout.new_ingest();
        if fs::hard_link(file, &linked).is_err() {
            // On another file system, or gone by now.
            return Ok(false);
        }
        let is_right = File::open(&linked).and_then(|mut file| {
            let mut hasher = DigestHasher::new(digest.algorithm());
            let n_bytes = hash_rest(&mut file, &mut hasher)?;
            Ok(n_bytes == size_bytes && hasher.finish() == *digest)
        });
        match is_right {
            Ok(true) => fs::rename(&linked, self.layout.blob(digest)).map(|()| true),
            Ok(false) => fs::remove_file(&linked).map(|()| false),
            Err(error) => fs::remove_file(&linked).and(Err(error)),
        }
    }

    /// Gives a blob its name; the caller has checked that `ingest` holds what `digest` names.
    pub(super) fn publish(&self, digest: &Digest) -> io::Result<()> {
        fs::rename(self.layout.ingest(digest), self.layout.blob(digest))
    }

    /// Forgets a download whose bytes were wrong.
    pub(super) fn discard(&self, digest: &Digest) -> io::Result<()> {
        fs::remove_file(self.layout.ingest(digest))
    }

    /// Every blob that is here.
    pub(super) fn digests(&self) -> Result<Vec<Digest>, ImageError> {
        digests_in(&self.layout.blobs())
    }

    /// Removes a blob; returns its size.
    pub(super) fn remove(&self, digest: &Digest) -> Result<u64, ImageError> {
        let size_bytes = self.size_bytes(digest)?.unwrap_or_default();
        let path = self.layout.blob(digest);
        match fs::remove_file(&path) {
            Ok(()) => Ok(size_bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(disk("remove", &path)(error)),
        }
    }
}

/// A blob on its way in: what earlier tries left, and the hash of it. Dropped, it stays for the
/// next try to go on from.
#[derive(Debug)]
pub(super) struct Ingest {
    /// Stands at the end.
    pub(super) file: File,
    pub(super) hasher: DigestHasher,
    pub(super) offset_bytes: u64,
}

/// Hashes a file from where it stands to its end; returns how many bytes that were.
fn hash_rest(file: &mut File, hasher: &mut DigestHasher) -> io::Result<u64> {
    let mut n_all = 0;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let n_bytes = file.read(&mut buffer)?;
        if n_bytes == 0 {
            return Ok(n_all);
        }
        hasher.update(&buffer[..n_bytes]);
        n_all += n_bytes as u64;
    }
}

/// Opens a file for the caller alone. Whoever held it before may have renamed it into a blob, which
/// must not be touched, or removed it: then the name is opened again.
fn lock_file(path: &Path) -> io::Result<File> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        file.lock()?;
        let locked = file.metadata()?.ino();
        match fs::metadata(path) {
            Ok(named) if named.ino() == locked => return Ok(file),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
}
