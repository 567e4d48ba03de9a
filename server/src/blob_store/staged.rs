//! A staging file, written past the page cache where the file system can.
//!
//! What is pushed is hashed in memory and not read again, so a copy of it in
//! the page cache costs as much processor time as the hash and pushes out what
//! is being pulled. Without that copy nothing is left to be flushed at the end,
//! when a client waits for the fsync. open(2) has the rules of `O_DIRECT`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use bytes::Bytes;
use rustix::fs::OFlags;

/// What memory and offsets are multiples of: a page, which no file system's
/// blocks or disk's sectors are larger than in practice.
const ALIGNMENT: usize = 4096;

/// How much is written at a time.
const BUFFER_BYTES: usize = 1024 * 1024;

/// One segment before it has its name.
#[derive(Debug)]
pub(super) struct Staged {
    file: File,
    /// What gathers for the next direct write; `None` where there are none.
    gathering: Option<Aligned>,
}

impl Staged {
    /// Makes the file, which must not be there. Blocking.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        match options
            .clone()
            .custom_flags(OFlags::DIRECT.bits().cast_signed())
            .open(path)
        {
            Ok(file) => Ok(Self {
                file,
                gathering: Some(Aligned::new()),
            }),
            // The file system has no such thing.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                // Some make the file before they look at the flag.
                let file = options.create_new(false).create(true).open(path)?;
                Ok(Self {
                    file,
                    gathering: None,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Appends. Blocking.
    pub(super) fn write(&mut self, batch: &[Bytes]) -> io::Result<()> {
        for bytes in batch {
            let mut left: &[u8] = bytes;
            while let Some(gathering) = self.gathering.as_mut().filter(|_| !left.is_empty()) {
                left = &left[gathering.fill(left)..];
                if !gathering.is_full() {
                    continue;
                }
                if write_direct(&mut self.file, gathering.bytes())? {
                    gathering.size = 0;
                } else {
                    // Stricter than the rules above: as any other file from here on.
                    self.leave_direct()?;
                }
            }
            self.file.write_all(left)?;
        }
        Ok(())
    }

    /// Returns once every byte is on the disk. Blocking.
    pub(super) fn sync(mut self) -> io::Result<()> {
        self.leave_direct()?;
        self.file.sync_all()
    }

    /// Writes what gathered, which may be of any size, through the page cache.
    fn leave_direct(&mut self) -> io::Result<()> {
        if let Some(gathering) = self.gathering.take() {
            rustix::fs::fcntl_setfl(&self.file, OFlags::empty())?;
            self.file.write_all(gathering.bytes())?;
        }
        Ok(())
    }
}

/// False when the file system refuses the size or the address, having written nothing.
fn write_direct(file: &mut File, mut bytes: &[u8]) -> io::Result<bool> {
    let all = bytes.len();
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n_bytes) => bytes = &bytes[n_bytes..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput && bytes.len() == all => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// A buffer at an address that direct writes may begin at.
#[derive(Debug)]
struct Aligned {
    memory: Box<[u8]>,
    /// Where in `memory` the buffer begins.
    start: usize,
    size: usize,
}

impl Aligned {
    fn new() -> Self {
        let memory = vec![0; BUFFER_BYTES + ALIGNMENT].into_boxed_slice();
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        Self {
            memory,
            start,
            size: 0,
        }
    }

    /// Takes as much of `bytes` as there is room for; returns how many.
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let n_bytes = bytes.len().min(BUFFER_BYTES - self.size);
        let end = self.start + self.size;
        self.memory[end..end + n_bytes].copy_from_slice(&bytes[..n_bytes]);
        self.size += n_bytes;
        n_bytes
    }

    const fn is_full(&self) -> bool {
        self.size == BUFFER_BYTES
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.size]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path, sizes: &[usize]) {
        let path = folder.join("staged");
        let mut staged = Staged::create(&path).unwrap();
        let mut expected = Vec::new();
        for size in sizes {
            let piece: Vec<u8> = (0..=250)
                .cycle()
                .skip(expected.len() % 251)
                .take(*size)
                .collect();
            expected.extend_from_slice(&piece);
            let (one, two) = piece.split_at(size / 3);
            let batch = [Bytes::copy_from_slice(one), Bytes::copy_from_slice(two)];
            staged.write(&batch).unwrap();
        }
        staged.sync().unwrap();
        assert!(std::fs::read(&path).unwrap() == expected, "{sizes:?}");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn pieces_of_any_size_come_out_as_they_went_in() {
        let folder = tempfile::tempdir().unwrap();
        for sizes in [
            &[][..],
            &[0],
            &[1],
            &[ALIGNMENT],
            &[BUFFER_BYTES],
            &[BUFFER_BYTES - 1, 1, 1],
            &[BUFFER_BYTES + 1, 3 * BUFFER_BYTES + 17, 5],
            &[1, 2 * BUFFER_BYTES],
        ] {
            written(folder.path(), sizes);
        }
    }

    #[test]
    fn a_file_that_is_there_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("staged");
        std::fs::write(&path, "mine").unwrap();
        let error = Staged::create(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn a_file_system_that_wants_more_gets_ordinary_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("staged");
        let mut staged = Staged::create(&path).unwrap();
        // No address of this buffer is one that a direct write may begin at.
        let gathering = staged.gathering.as_mut().unwrap();
        gathering.start += 1;
        let content: Vec<u8> = (0..=250).cycle().take(BUFFER_BYTES + 9).collect();
        staged.write(&[Bytes::copy_from_slice(&content)]).unwrap();
        assert!(staged.gathering.is_none());
        staged.sync().unwrap();
        assert!(std::fs::read(&path).unwrap() == content);
    }
}
