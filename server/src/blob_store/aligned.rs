//! Memory at addresses that direct writes may begin at.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// What memory, sizes and offsets of direct writes are multiples of (open(2),
/// `O_DIRECT`): a page, which no file system's blocks or disk's sectors are
/// larger than in practice.
pub(super) const ALIGNMENT: usize = 4096;

/// How much a buffer holds.
pub(super) const BUFFER_BYTES: usize = 512 * 1024;

/// Buffers that are kept for the next uploads, of all requests.
const SPARE_BUFFERS: usize = 4;

/// Memory that nobody uses now. Fresh memory costs a page fault for every 4 KiB,
/// as much as filling it.
static SPARE: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A buffer that is filled from its beginning. Its memory goes back to the spare
/// ones.
#[derive(Debug)]
pub(super) struct Aligned {
    memory: Box<[u8]>,
    /// Where in `memory` the buffer begins.
    start: usize,
    size: usize,
}

impl Aligned {
    pub(super) fn new() -> Self {
        let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let memory = spare.unwrap_or_else(|| vec![0; BUFFER_BYTES + ALIGNMENT].into_boxed_slice());
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        Self {
            memory,
            start,
            size: 0,
        }
    }

    /// Takes as much of `bytes` as there is room for; returns how many.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        let n_bytes = bytes.len().min(BUFFER_BYTES - self.size);
        let end = self.start + self.size;
        self.memory[end..end + n_bytes].copy_from_slice(&bytes[..n_bytes]);
        self.size += n_bytes;
        n_bytes
    }

    pub(super) const fn is_full(&self) -> bool {
        self.size == BUFFER_BYTES
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.size == 0
    }

    pub(super) const fn clear(&mut self) {
        self.size = 0;
    }

    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }

    #[cfg(test)]
    pub(super) const fn misalign(&mut self) {
        self.start += 1;
    }
}

impl AsRef<[u8]> for Aligned {
    fn as_ref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.size]
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_BUFFERS {
            spare.push(std::mem::take(&mut self.memory));
        }
    }
}
