//! Where the data of a sparse file belongs: maps of GNU tar's formats (tar manual, "Storing
//! Sparse Files"; header layout in "Basic Tar Format").

use super::UnpackError;
use super::pax::number;

/// A run of data; what lies between runs is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// A file with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sparse {
    pub(super) extents: Vec<Extent>,
    pub(super) real_size: u64,
}

/// More runs than this in one file are no file of an image (a map takes memory).
pub(super) const MAX_EXTENTS: usize = 1 << 20;

fn damaged(what: &str) -> UnpackError {
    UnpackError::Damaged(format!("sparse file: {what}"))
}

impl Sparse {
    /// Checks that runs are in order, do not overlap, lie within the file and hold exactly the
    /// bytes that the archive has for it.
    pub(super) fn new(
        extents: Vec<Extent>,
        real_size: u64,
        stored_bytes: u64,
    ) -> Result<Self, UnpackError> {
        let mut end = 0_u64;
        let mut total = 0_u64;
        for extent in &extents {
            if extent.offset < end {
                return Err(damaged("runs overlap"));
            }
            end = extent
                .offset
                .checked_add(extent.length)
                .ok_or_else(|| damaged("a run ends nowhere"))?;
            total = total.saturating_add(extent.length);
        }
        if end > real_size {
            return Err(damaged("a run lies behind the end"));
        }
        if total != stored_bytes {
            return Err(damaged("the runs do not add up to the stored bytes"));
        }
        Ok(Self { extents, real_size })
    }
}

/// Pairs of offset and length.
pub(super) fn pairs(numbers: &[u64]) -> Result<Vec<Extent>, UnpackError> {
    if numbers.len() / 2 > MAX_EXTENTS {
        return Err(damaged("too many runs"));
    }
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(damaged("an offset without a length"));
    }
    let extent = |&[offset, length]: &[u64; 2]| Extent { offset, length };
    Ok(pairs.iter().map(extent).collect())
}

/// Reads the map of pax format 1.0 from the first blocks of the content: decimal lines, the number
/// of pairs and then the pairs.
#[derive(Debug, Default)]
pub(super) struct MapInContent {
    line: Vec<u8>,
    n_pairs: Option<usize>,
    numbers: Vec<u64>,
}

impl MapInContent {
    /// Takes one more block; returns the pairs when they are complete. The rest of the block is
    /// padding.
    pub(super) fn feed(&mut self, block: &[u8]) -> Result<Option<Vec<Extent>>, UnpackError> {
        for &byte in block {
            if byte != b'\n' {
                // u64::MAX has 20 digits.
                if self.line.len() == 20 {
                    return Err(damaged("the map is none"));
                }
                self.line.push(byte);
                continue;
            }
            let value = number(&self.line)?;
            self.line.clear();
            if self.n_pairs.is_some() {
                self.numbers.push(value);
            } else {
                let n_pairs = usize::try_from(value).ok().filter(|&n| n <= MAX_EXTENTS);
                self.n_pairs = Some(n_pairs.ok_or_else(|| damaged("too many runs"))?);
            }
            if self
                .n_pairs
                .is_some_and(|n_pairs| self.numbers.len() == 2 * n_pairs)
            {
                return pairs(&self.numbers).map(Some);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn runs_must_make_sense() {
        let extents = |list: &[(u64, u64)]| {
            let extent = |&(offset, length): &(u64, u64)| Extent { offset, length };
            list.iter().map(extent).collect::<Vec<_>>()
        };
        assert!(Sparse::new(extents(&[(0, 4), (8, 2)]), 10, 6).is_ok());
        assert!(Sparse::new(extents(&[(0, 4), (10, 0)]), 10, 4).is_ok());
        assert!(Sparse::new(extents(&[]), 10, 0).is_ok());
        for (list, real_size, stored) in [
            (&[(0, 4), (3, 2)][..], 10, 6),
            (&[(8, 2), (0, 4)], 10, 6),
            (&[(0, 11)], 10, 11),
            (&[(u64::MAX, 2)], u64::MAX, 2),
            (&[(0, 4)], 10, 5),
            (&[(11, 0)], 10, 0),
        ] {
            assert!(
                Sparse::new(extents(list), real_size, stored).is_err(),
                "{list:?}"
            );
        }
    }

    #[test]
    fn the_map_in_the_content_is_read_when_it_is_whole() {
        let extent = Extent {
            offset: 512,
            length: 7,
        };
        let feed = |bytes: &[u8]| MapInContent::default().feed(bytes);
        assert_eq!(feed(b"1\n512\n7\n\0\0").unwrap().unwrap(), [extent]);
        assert_eq!(feed(b"0\n\0").unwrap().unwrap(), []);
        let mut map = MapInContent::default();
        assert_eq!(map.feed(b"1\n51").unwrap(), None);
        assert_eq!(map.feed(b"2\n7").unwrap(), None);
        assert_eq!(map.feed(b"\n").unwrap().unwrap(), [extent]);
        for bytes in [&b"x\n"[..], b"1\n-5\n7\n", b"99999999\n", &[b'1'; 600]] {
            assert!(feed(bytes).is_err());
        }
        assert!(pairs(&[1, 2, 3]).is_err());
    }

    proptest! {
        #[test]
        fn any_map_is_read_or_refused(bytes in "[0-9\n]{0,100}") {
            drop(MapInContent::default().feed(bytes.as_bytes()));
        }
    }
}
