//! A file's content, from the archive to the disk, holes left as holes.

use std::fs::File;
use std::io::{self, BufRead};
use std::os::unix::fs::FileExt as _;

use super::UnpackError;
use super::archive::Archive;
use super::sparse::Sparse;

/// Writing a file fails on our side or on the archive's.
pub(super) enum FillError {
    Archive(UnpackError),
    File(io::Error),
}

/// Writes the data of the current entry, leaving holes where the map has them.
pub(super) fn fill<R: BufRead>(
    file: &File,
    archive: &mut Archive<R>,
    sparse: Option<&Sparse>,
) -> Result<(), FillError> {
    let Some(sparse) = sparse else {
        return copy_run(file, archive, 0, u64::MAX);
    };
    for extent in &sparse.extents {
        copy_run(file, archive, extent.offset, extent.length)?;
    }
    file.set_len(sparse.real_size).map_err(FillError::File)
}

/// Copies up to `length` bytes of the current entry's data to `offset`.
fn copy_run<R: BufRead>(
    file: &File,
    archive: &mut Archive<R>,
    mut offset: u64,
    mut length: u64,
) -> Result<(), FillError> {
    while length > 0 {
        let data = archive.data().map_err(FillError::Archive)?;
        let n_bytes = data
            .len()
            .min(usize::try_from(length).unwrap_or(usize::MAX));
        if n_bytes == 0 {
            break;
        }
        file.write_all_at(&data[..n_bytes], offset)
            .map_err(FillError::File)?;
        archive.consume(n_bytes);
        offset += n_bytes as u64;
        length -= n_bytes as u64;
    }
    Ok(())
}
