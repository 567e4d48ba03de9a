//! One 512-byte header block (POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual,
//! "Basic Tar Format").
//!
//! Read here rather than with the `tar` crate's iterator because that one reads long names and
//! extended headers of any size into memory, and the archives come from strangers.

use super::UnpackError;
use super::sparse::{Extent, MAX_EXTENTS};

pub(super) const BLOCK: usize = 512;

/// A header block whose checksum is right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header<'a>(&'a [u8; BLOCK]);

fn damaged(what: &str) -> UnpackError {
    UnpackError::Damaged(what.to_owned())
}

/// A field up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    &field[..end]
}

/// A number: octal digits between blanks, or, marked by the top bit, binary big-endian.
fn number(field: &[u8], what: &str) -> Result<i64, UnpackError> {
    let first = field[0];
    if first & 0x80 != 0 {
        // Two's complement over the whole field but for the marking bit.
        let negative = first & 0x40 != 0;
        let mut value = if negative { -1_i128 } else { 0 };
        for (i, &byte) in field.iter().enumerate() {
            let byte = if i == 0 && !negative {
                byte & 0x7f
            } else {
                byte
            };
            value = (value << 8) | i128::from(byte);
        }
        return i64::try_from(value).map_err(|_| damaged(what));
    }
    let mut value = 0_i64;
    let is_digit = |b: &u8| !matches!(b, b' ' | 0);
    let start = field.iter().position(is_digit).unwrap_or(field.len());
    let end = field
        .iter()
        .rposition(is_digit)
        .map_or(start, |last| last + 1);
    for &byte in &field[start..end] {
        if !(b'0'..=b'7').contains(&byte) {
            return Err(damaged(what));
        }
        value = value
            .checked_mul(8)
            .and_then(|value| value.checked_add(i64::from(byte - b'0')))
            .ok_or_else(|| damaged(what))?;
    }
    Ok(value)
}

fn unsigned(field: &[u8], what: &str) -> Result<u64, UnpackError> {
    u64::try_from(number(field, what)?).map_err(|_| damaged(what))
}

impl<'a> Header<'a> {
    /// `None` for a block of zeros: the end of the archive.
    pub(super) fn parse(block: &'a [u8; BLOCK]) -> Result<Option<Self>, UnpackError> {
        if block.iter().all(|&b| b == 0) {
            return Ok(None);
        }
        let said = number(&block[148..156], "the checksum of a header is no number")?;
        let outside = block[..148].iter().chain(&block[156..]);
        // Blanks stand in the place of the checksum itself; ancient writers summed signed bytes.
        let sum = |value: fn(u8) -> i64| outside.clone().map(|&b| value(b)).sum::<i64>() + 8 * 32;
        if said != sum(i64::from) && said != sum(|b| i64::from(b.cast_signed())) {
            return Err(damaged("the checksum of a header is wrong"));
        }
        Ok(Some(Self(block)))
    }

    fn is_posix(self) -> bool {
        &self.0[257..263] == b"ustar\0"
    }

    fn is_gnu(self) -> bool {
        &self.0[257..265] == b"ustar  \0"
    }

    pub(super) fn kind(self) -> u8 {
        self.0[156]
    }

    /// The name, with the prefix that POSIX archives keep apart.
    pub(super) fn name(self) -> Vec<u8> {
        let prefix = if self.is_posix() {
            text(&self.0[345..500])
        } else {
            b""
        };
        let name = text(&self.0[..100]);
        if prefix.is_empty() {
            name.to_vec()
        } else {
            [prefix, name].join(&b'/')
        }
    }

    pub(super) fn link_name(self) -> &'a [u8] {
        text(&self.0[157..257])
    }

    /// Permission bits; writers put the file type above them, which is no news.
    pub(super) fn mode(self) -> Result<u32, UnpackError> {
        let mode = unsigned(&self.0[100..108], "a mode is no number")?;
        u32::try_from(mode & 0o7777).map_err(|_| damaged("a mode is no number"))
    }

    pub(super) fn uid(self) -> Result<u64, UnpackError> {
        unsigned(&self.0[108..116], "a user id is no number")
    }

    pub(super) fn gid(self) -> Result<u64, UnpackError> {
        unsigned(&self.0[116..124], "a group id is no number")
    }

    pub(super) fn size(self) -> Result<u64, UnpackError> {
        unsigned(&self.0[124..136], "a size is no number")
    }

    /// Seconds since the epoch.
    pub(super) fn modified(self) -> Result<i64, UnpackError> {
        number(&self.0[136..148], "a time is no number")
    }

    pub(super) fn device(self) -> Result<(u64, u64), UnpackError> {
        let what = "a device number is no number";
        Ok((
            unsigned(&self.0[329..337], what)?,
            unsigned(&self.0[337..345], what)?,
        ))
    }

    /// The part of a GNU sparse map that stands in the header: real size, runs, and whether
    /// blocks with more runs follow.
    pub(super) fn gnu_sparse(self) -> Result<(u64, Vec<Extent>, bool), UnpackError> {
        if !self.is_gnu() {
            return Err(damaged("a sparse file in an archive that is not GNU's"));
        }
        let real_size = unsigned(&self.0[483..495], "a real size is no number")?;
        let mut extents = Vec::new();
        push_extents(&mut extents, &self.0[386..482])?;
        Ok((real_size, extents, self.0[482] != 0))
    }
}

/// A block of a GNU sparse map behind the header; returns whether one more follows.
pub(super) fn gnu_sparse_block(
    block: &[u8; BLOCK],
    extents: &mut Vec<Extent>,
) -> Result<bool, UnpackError> {
    push_extents(extents, &block[..504])?;
    if extents.len() > MAX_EXTENTS {
        return Err(damaged("a sparse file with too many runs"));
    }
    Ok(block[504] != 0)
}

fn push_extents(extents: &mut Vec<Extent>, fields: &[u8]) -> Result<(), UnpackError> {
    let what = "a sparse run is no number";
    for field in fields.chunks_exact(24).take_while(|field| field[0] != 0) {
        extents.push(Extent {
            offset: unsigned(&field[..12], what)?,
            length: unsigned(&field[12..], what)?,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_in_every_notation() {
        for (field, expected) in [
            (&b"0000644\0"[..], 0o644),
            (b"   644 \0", 0o644),
            (b"\0\0\0\0\0\0\0\0", 0),
            (b"        ", 0),
            (b"\x80\0\0\0\x80\0\0\0", 1 << 31),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", 1 << 33),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", -2),
        ] {
            assert_eq!(number(field, "x").unwrap(), expected, "{field:?}");
        }
        for field in [
            &b"0000648\0"[..],
            b"-000001\0",
            b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"7777777777777777777777777777",
        ] {
            assert!(number(field, "x").is_err(), "{field:?}");
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let mut header = tar::Header::new_gnu();
        header.set_path("x").unwrap();
        header.set_size(5);
        header.set_cksum();
        let mut block = *header.as_bytes();
        assert!(Header::parse(&block).unwrap().is_some());
        block[0] ^= 1;
        assert!(Header::parse(&block).is_err());
        assert!(Header::parse(&[0; BLOCK]).unwrap().is_none());
    }

    proptest! {
        #[test]
        fn any_block_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), BLOCK)) {
            let block = <&[u8; BLOCK]>::try_from(bytes.as_slice()).unwrap();
            let header = Header(block);
            drop((header.name(), header.mode(), header.uid(), header.gid(), header.size()));
            drop((header.modified(), header.device(), header.gnu_sparse()));
            drop(Header::parse(block));
        }
    }
}
