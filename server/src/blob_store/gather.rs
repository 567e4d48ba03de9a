//! Pieces of a body, gathered into what a writer is best handed at a time.
//!
//! A piece is copied as soon as it has come: it is still in the processor's
//! cache then, and the memory that the socket was read into is free to be read
//! into again. What is gathered can be hashed and written to the disk where it
//! is. What comes as a full buffer is a batch already.

use bytes::{Buf as _, Bytes};

use super::aligned::Aligned;

/// Up to here pieces are kept as they came: most configs and manifests are one.
const FEW_BYTES: usize = 64 * 1024;

/// What has come since the last batch.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    few: Vec<Bytes>,
    few_bytes: usize,
    many: Option<Aligned>,
}

impl Gather {
    /// Takes the first bytes of a piece; the batch, when they fill one. To be
    /// called until nothing of the piece is left.
    pub(crate) fn take_from(&mut self, piece: &mut Bytes) -> Option<Vec<Bytes>> {
        let is_empty = self.many.is_none() && self.few.is_empty();
        if is_empty && Aligned::is_full_one(piece) {
            return Some(vec![std::mem::take(piece)]);
        }
        if self.many.is_none() && self.few_bytes + piece.len() <= FEW_BYTES {
            self.few_bytes += piece.len();
            self.few.push(std::mem::take(piece));
            return None;
        }
        let few = std::mem::take(&mut self.few);
        self.few_bytes = 0;
        let many = self.many.get_or_insert_with(|| {
            let mut many = Aligned::new();
            for bytes in few {
                many.fill(&bytes);
            }
            many
        });
        piece.advance(many.fill(piece));
        if !many.is_full() {
            return None;
        }
        self.many.take().map(|full| vec![full.freeze()])
    }

    /// What is left when no piece comes any more; may be nothing.
    pub(crate) fn rest(self) -> Vec<Bytes> {
        match self.many {
            Some(many) => vec![many.freeze()],
            None => self.few,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::aligned::BUFFER_BYTES;
    use super::*;

    #[test]
    fn pieces_of_any_size_come_out_as_they_went_in() {
        for sizes in [
            &[][..],
            &[0],
            &[1, 2, 3],
            &[FEW_BYTES, 1],
            &[FEW_BYTES - 1, 1, 1, FEW_BYTES],
            &[BUFFER_BYTES],
            &[BUFFER_BYTES - 1, 1, 1],
            &[7, 3 * BUFFER_BYTES + 17, 5, BUFFER_BYTES],
        ] {
            let whole: Vec<u8> = (0..=250).cycle().take(sizes.iter().sum()).collect();
            let mut left = Bytes::from(whole.clone());
            let mut gather = Gather::default();
            let mut batches = Vec::new();
            for size in sizes {
                let mut piece = left.split_to(*size);
                while !piece.is_empty() {
                    batches.extend(gather.take_from(&mut piece));
                }
            }
            let is_full = |batch: &Vec<Bytes>| batch.concat().len() == BUFFER_BYTES;
            assert!(batches.iter().all(is_full), "{sizes:?}");
            batches.push(gather.rest());
            assert!(batches.concat().concat() == whole, "{sizes:?}");
        }
    }
}
