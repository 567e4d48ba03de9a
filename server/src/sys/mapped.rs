//! Parts of files as bytes that need not be read to be sent.
//!
//! A mapped part is ordinary memory to whoever looks at it. A socket can ask
//! [`file_of`] which file it shows and have the kernel send that (sendfile(2));
//! then not one page of it is ever mapped in, and nothing is copied here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use memmap2::{Mmap, MmapOptions};

/// Less is not worth a mapping of its own.
pub(crate) const MIN_BYTES: usize = 64 * 1024;

/// Every part that is mapped now, by its first address.
static PARTS: RwLock<BTreeMap<usize, Part>> = RwLock::new(BTreeMap::new());

/// Where the bytes at an address come from.
#[derive(Clone, Debug)]
struct Part {
    size: usize,
    file: Arc<File>,
    /// Of the first byte, in the file.
    offset: u64,
}

/// Takes the part off the list before its addresses can be another's.
struct Listed {
    memory: Mmap,
}

impl AsRef<[u8]> for Listed {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut parts = PARTS.write().unwrap_or_else(PoisonError::into_inner);
        parts.remove(&self.memory.as_ptr().addr());
    }
}

/// The bytes `range` of a file that nobody writes to or shortens any more, as
/// it is with the segments of blobs; reading beyond its end ends the process.
pub(crate) fn map(file: &Arc<File>, range: &Range<u64>) -> io::Result<Bytes> {
    let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let size = usize::try_from(range.end - range.start).map_err(too_large)?;
    let mut options = MmapOptions::new();
    options.offset(range.start).len(size);
    #[expect(
        unsafe_code,
        reason = "only the caller knows that nobody writes to the file"
    )]
    // SAFETY: the caller says that the file stays as it is while it is mapped.
    let memory = unsafe { options.map(&**file) }?;
    let part = Part {
        size,
        file: Arc::clone(file),
        offset: range.start,
    };
    let mut parts = PARTS.write().unwrap_or_else(PoisonError::into_inner);
    parts.insert(memory.as_ptr().addr(), part);
    drop(parts);
    Ok(Bytes::from_owner(Listed { memory }))
}

/// The file that `bytes` are mapped from, and where in it they begin. However few they are: what
/// is written from memory instead is mapped in, and stays so until the whole part goes.
pub(crate) fn file_of(bytes: &[u8]) -> Option<(Arc<File>, u64)> {
    if bytes.is_empty() {
        return None;
    }
    let address = bytes.as_ptr().addr();
    let parts = PARTS.read().unwrap_or_else(PoisonError::into_inner);
    let (start, part) = parts.range(..=address).next_back()?;
    let within = address - start;
    let is_inside = within < part.size && bytes.len() <= part.size - within;
    is_inside.then(|| (Arc::clone(&part.file), part.offset + within as u64))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(size: usize) -> (Vec<u8>, Arc<File>) {
        let content: Vec<u8> = (0..=250).cycle().take(size).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        (content, Arc::new(file))
    }

    #[test]
    fn a_mapped_part_is_its_bytes_and_knows_its_file() {
        let (content, file) = file(5 * MIN_BYTES);
        for start in [0, 1, 4096, 70_001] {
            let mut part = map(&file, &(start..content.len() as u64)).unwrap();
            let start = usize::try_from(start).unwrap();
            assert!(part == content[start..]);
            let (_, offset) = file_of(&part).unwrap();
            assert_eq!(offset, start as u64);
            // As it is sent bit by bit.
            drop(part.split_to(4099));
            let first = part.split_to(2 * MIN_BYTES);
            assert_eq!(file_of(&first).unwrap().1, start as u64 + 4099);
            assert_eq!(
                file_of(&part).unwrap().1,
                (start + 4099 + 2 * MIN_BYTES) as u64
            );
        }
    }

    #[test]
    fn other_memory_is_no_file() {
        let (content, file) = file(3 * MIN_BYTES);
        let part = map(&file, &(0..content.len() as u64)).unwrap();
        assert!(file_of(&content).is_none());
        assert!(file_of(&part[..0]).is_none());
        assert_eq!(
            file_of(&part[part.len() - 1..]).unwrap().1,
            3 * MIN_BYTES as u64 - 1
        );
        let address = part.as_ptr().addr();
        drop(part);
        assert!(!PARTS.read().unwrap().contains_key(&address));
    }
}
