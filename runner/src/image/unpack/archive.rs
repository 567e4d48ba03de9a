//! A tar archive as a stream of entries: headers joined with their extended headers and long
//! names, data handed out in place.
//!
//! Knows nothing of directories. Memory is bounded whatever the archive says: long names and
//! extended headers may take 1 MiB, as Go's reader (and so docker) has it.

use std::ffi::OsString;
use std::io::BufRead;

use super::UnpackError;
use super::header::{self, BLOCK, Header};
use super::name::lossy;
use super::pax::{self, Extended};
use super::sparse::{self, MapInContent, Sparse};
use crate::sys::dir::{FileTime, Node};

const MAX_SPECIAL_BYTES: u64 = 1 << 20;

/// One entry, its extended headers applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) kind: EntryKind,
    /// Permission, setuid, setgid and sticky bits.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) modified: FileTime,
    pub(super) xattrs: Vec<(OsString, Vec<u8>)>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EntryKind {
    /// `size_bytes` is what the file will have, holes included.
    File {
        size_bytes: u64,
        sparse: Option<Sparse>,
    },
    Directory,
    Symlink {
        target: Vec<u8>,
    },
    HardLink {
        target: Vec<u8>,
    },
    Node(Node),
}

/// Reads an archive.
#[derive(Debug)]
pub(super) struct Archive<R> {
    input: R,
    /// Data of the current entry still to be read, and the padding after it.
    data_left: u64,
    padding_left: u64,
}

/// What stands before an entry and belongs to it.
#[derive(Debug, Default)]
struct Preceding {
    extended: Extended,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<R: BufRead> Archive<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            data_left: 0,
            padding_left: 0,
        }
    }

    /// The next entry; skips what is left of the last one. `None` at the end of the archive.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, UnpackError> {
        let mut preceding = Preceding::default();
        loop {
            self.skip_rest()?;
            let Some(block) = self.block("a header")? else {
                return Ok(None);
            };
            let Some(header) = Header::parse(&block)? else {
                return Ok(None);
            };
            self.expect_data(header.size()?);
            match header.kind() {
                // A global header: comments of git archives and the like; docker skips it too.
                b'g' => {}
                b'x' => preceding.extended = pax::parse(&self.special()?)?,
                b'L' => preceding.long_name = Some(until_nul(self.special()?)),
                b'K' => preceding.long_link = Some(until_nul(self.special()?)),
                kind => return self.entry(header, kind, preceding).map(Some),
            }
        }
    }

    fn entry(
        &mut self,
        header: Header<'_>,
        kind: u8,
        preceding: Preceding,
    ) -> Result<Entry, UnpackError> {
        let Preceding {
            mut extended,
            long_name,
            long_link,
        } = preceding;
        if let Some(size) = extended.size {
            self.expect_data(size);
        }
        let name = (extended.sparse.name.take())
            .or(extended.path.take())
            .or(long_name)
            .unwrap_or_else(|| header.name());
        let link = (extended.link_path.take())
            .or(long_link)
            .unwrap_or_else(|| header.link_name().to_vec());
        let id = |id: Result<u64, UnpackError>| {
            // The largest number means "leave it" to chown(2).
            let id = u32::try_from(id?).ok().filter(|&id| id != u32::MAX);
            id.ok_or_else(|| UnpackError::BadEntry {
                name: lossy(&name),
                reason: "the owner is no user or group id of Linux".to_owned(),
            })
        };
        let uid = id(extended.uid.map_or_else(|| header.uid(), Ok))?;
        let gid = id(extended.gid.map_or_else(|| header.gid(), Ok))?;
        let modified = match extended.modified {
            Some(time) => time,
            None => FileTime {
                seconds: header.modified()?,
                nanoseconds: 0,
            },
        };
        Ok(Entry {
            kind: self.kind(header, kind, (&name, link), &extended)?,
            name,
            mode: header.mode()?,
            uid,
            gid,
            modified,
            xattrs: extended.xattrs,
        })
    }

    fn kind(
        &mut self,
        header: Header<'_>,
        kind: u8,
        (name, link): (&[u8], Vec<u8>),
        extended: &Extended,
    ) -> Result<EntryKind, UnpackError> {
        // The oldest format has no type for directories.
        let is_old_directory = kind == 0 && name.ends_with(b"/");
        if matches!(kind, 0 | b'0' | b'7') && !is_old_directory {
            let sparse = self.pax_sparse(extended)?;
            let size_bytes = sparse.as_ref().map_or(self.data_left, |s| s.real_size);
            return Ok(EntryKind::File { size_bytes, sparse });
        }
        if kind == b'S' {
            let sparse = self.gnu_sparse(header)?;
            return Ok(EntryKind::File {
                size_bytes: sparse.real_size,
                sparse: Some(sparse),
            });
        }
        // The rest has no data, whatever its size field says.
        self.expect_data(0);
        let device = || header.device();
        Ok(match kind {
            0 | b'5' => EntryKind::Directory,
            b'1' => EntryKind::HardLink { target: link },
            b'2' => EntryKind::Symlink { target: link },
            b'3' => device().map(|(major, minor)| EntryKind::Node(Node::Char { major, minor }))?,
            b'4' => device().map(|(major, minor)| EntryKind::Node(Node::Block { major, minor }))?,
            b'6' => EntryKind::Node(Node::Fifo),
            kind => {
                return Err(UnpackError::UnknownType {
                    name: lossy(name),
                    kind: char::from(kind),
                });
            }
        })
    }

    /// The next piece of the current entry's data; empty at its end. `consume` what was used.
    pub(super) fn data(&mut self) -> Result<&[u8], UnpackError> {
        if self.data_left == 0 {
            return Ok(&[]);
        }
        let buffer = self.input.fill_buf().map_err(UnpackError::from_input)?;
        if buffer.is_empty() {
            return Err(UnpackError::Truncated("a file"));
        }
        let n_bytes = usize::try_from(self.data_left).unwrap_or(usize::MAX);
        Ok(&buffer[..buffer.len().min(n_bytes)])
    }

    /// Marks data as used.
    pub(super) fn consume(&mut self, n_bytes: usize) {
        self.input.consume(n_bytes);
        self.data_left = self.data_left.saturating_sub(n_bytes as u64);
    }

    /// Reads what follows the end of the archive, so that the input saw every byte.
    pub(super) fn finish(mut self) -> Result<R, UnpackError> {
        loop {
            let buffer = self.input.fill_buf().map_err(UnpackError::from_input)?;
            match buffer.len() {
                0 => return Ok(self.input),
                n_bytes => self.input.consume(n_bytes),
            }
        }
    }

    fn expect_data(&mut self, size_bytes: u64) {
        self.data_left = size_bytes;
        self.padding_left = size_bytes.wrapping_neg() % BLOCK as u64;
    }

    fn skip_rest(&mut self) -> Result<(), UnpackError> {
        self.data_left = self.data_left.saturating_add(self.padding_left);
        self.padding_left = 0;
        loop {
            match self.data()?.len() {
                0 => return Ok(()),
                n_bytes => self.consume(n_bytes),
            }
        }
    }

    /// One block; `None` if the input ends before it.
    fn block(&mut self, what: &'static str) -> Result<Option<[u8; BLOCK]>, UnpackError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let buffer = self.input.fill_buf().map_err(UnpackError::from_input)?;
            if buffer.is_empty() {
                return match filled {
                    0 => Ok(None),
                    _ => Err(UnpackError::Truncated(what)),
                };
            }
            let n_bytes = buffer.len().min(BLOCK - filled);
            block[filled..filled + n_bytes].copy_from_slice(&buffer[..n_bytes]);
            self.input.consume(n_bytes);
            filled += n_bytes;
        }
        Ok(Some(block))
    }

    /// The data of a header that describes the next one.
    fn special(&mut self) -> Result<Vec<u8>, UnpackError> {
        if self.data_left > MAX_SPECIAL_BYTES {
            return Err(UnpackError::Damaged(format!(
                "an extended header of {} bytes",
                self.data_left
            )));
        }
        let mut bytes = Vec::new();
        loop {
            let data = self.data()?;
            let n_bytes = data.len();
            if n_bytes == 0 {
                return Ok(bytes);
            }
            bytes.extend_from_slice(data);
            self.consume(n_bytes);
        }
    }

    /// The map of a sparse file in a pax archive, if the entry is one.
    fn pax_sparse(&mut self, extended: &Extended) -> Result<Option<Sparse>, UnpackError> {
        let keys = &extended.sparse;
        let Some(real_size) = keys.real_size else {
            return Ok(None);
        };
        let extents = if keys.map_in_content {
            let mut map = MapInContent::default();
            loop {
                let block = match self.data_left.checked_sub(BLOCK as u64) {
                    Some(left) => {
                        self.data_left = left;
                        self.block("the map of a sparse file")?
                    }
                    None => None,
                };
                let block = block.ok_or(UnpackError::Truncated("the map of a sparse file"))?;
                if let Some(extents) = map.feed(&block)? {
                    break extents;
                }
            }
        } else {
            sparse::pairs(&keys.map)?
        };
        Sparse::new(extents, real_size, self.data_left).map(Some)
    }

    fn gnu_sparse(&mut self, header: Header<'_>) -> Result<Sparse, UnpackError> {
        let (real_size, mut extents, mut more) = header.gnu_sparse()?;
        while more {
            let block = self.block("the map of a sparse file")?;
            let block = block.ok_or(UnpackError::Truncated("the map of a sparse file"))?;
            more = header::gnu_sparse_block(&block, &mut extents)?;
        }
        Sparse::new(extents, real_size, self.data_left)
    }
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|&b| b == 0) {
        bytes.truncate(end);
    }
    bytes
}
