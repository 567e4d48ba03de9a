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

use super::aligned::{ALIGNMENT, Aligned};

/// One segment before it has its name.
#[derive(Debug)]
pub(super) struct Staged {
    file: File,
    /// How it is written past the page cache; `None` where it is not.
    direct: Option<Direct>,
}

/// What no direct write could take yet.
#[derive(Debug, Default)]
struct Direct {
    /// Not there before it is needed.
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
                direct: Some(Direct::default()),
            }),
            // The file system has no such thing.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                // Some make the file before they look at the flag.
                let file = options.create_new(false).create(true).open(path)?;
                Ok(Self { file, direct: None })
            }
            Err(error) => Err(error),
        }
    }

    /// Appends. Blocking.
    pub(super) fn write(&mut self, batch: &[Bytes]) -> io::Result<()> {
        for bytes in batch {
            let mut left: &[u8] = bytes;
            while !left.is_empty() {
                left = self.write_some(left)?;
            }
        }
        Ok(())
    }

    /// Takes the first of some bytes; returns the others.
    fn write_some<'a>(&mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        let Some(direct) = &mut self.direct else {
            self.file.write_all(bytes)?;
            return Ok(&[]);
        };
        let (blocks, rest) = direct.as_they_are(bytes);
        if !blocks.is_empty() {
            if write_direct(&mut self.file, blocks)? {
                return Ok(rest);
            }
            self.leave_direct()?;
            return Ok(bytes);
        }
        let gathering = direct.gathering.get_or_insert_with(Aligned::new);
        let rest = &bytes[gathering.fill(bytes)..];
        if gathering.is_full() {
            if write_direct(&mut self.file, gathering.as_ref())? {
                gathering.clear();
            } else {
                self.leave_direct()?;
            }
        }
        Ok(rest)
    }

    /// Returns once every byte is on the disk. Blocking.
    pub(super) fn sync(mut self) -> io::Result<()> {
        self.leave_direct()?;
        self.file.sync_all()
    }

    /// Writes what gathered, which may be of any size, through the page cache.
    fn leave_direct(&mut self) -> io::Result<()> {
        if let Some(direct) = self.direct.take() {
            rustix::fs::fcntl_setfl(&self.file, OFlags::empty())?;
            if let Some(gathering) = direct.gathering {
                self.file.write_all(gathering.as_ref())?;
            }
        }
        Ok(())
    }
}

impl Direct {
    /// Splits what can be written where it is from the rest.
    fn as_they_are<'a>(&self, bytes: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        let behind_others = self.gathering.as_ref().is_some_and(|all| !all.is_empty());
        let is_aligned = bytes.as_ptr().align_offset(ALIGNMENT) == 0;
        let whole = bytes.len() - bytes.len() % ALIGNMENT;
        bytes.split_at(if is_aligned && !behind_others {
            whole
        } else {
            0
        })
    }
}

/// False when the file system refuses the size or the address, having written
/// nothing: it is stricter than [`ALIGNMENT`], and the file is written as any
/// other from there on.
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

#[cfg(test)]
mod tests {
    use super::super::aligned::BUFFER_BYTES;
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
    fn blocks_are_written_where_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("staged");
        let mut staged = Staged::create(&path).unwrap();
        let content: Vec<u8> = (0..=250).cycle().take(BUFFER_BYTES).collect();
        let mut aligned = Aligned::new();
        aligned.fill(&content);
        let aligned = aligned.freeze();
        let batch = [aligned.clone(), aligned.slice(..=2 * ALIGNMENT), aligned];
        staged.write(&batch[..1]).unwrap();
        let direct = staged.direct.as_ref().unwrap();
        assert!(direct.gathering.is_none(), "nothing was copied");
        staged.write(&batch[1..]).unwrap();
        staged.sync().unwrap();
        assert!(std::fs::read(&path).unwrap() == batch.concat());
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
        let direct = staged.direct.as_mut().unwrap();
        direct.gathering.insert(Aligned::new()).misalign();
        let content: Vec<u8> = (0..=250).cycle().take(BUFFER_BYTES + 9).collect();
        staged.write(&[Bytes::copy_from_slice(&content)]).unwrap();
        assert!(staged.direct.is_none());
        staged.sync().unwrap();
        assert!(std::fs::read(&path).unwrap() == content);
    }
}
