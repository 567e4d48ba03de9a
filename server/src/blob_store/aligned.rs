//! Memory at addresses that direct writes may begin at.

use bytes::Bytes;

use super::spare::Spare;

/// What memory, sizes and offsets of direct writes are multiples of (open(2),
/// `O_DIRECT`): a page, which no file system's blocks or disk's sectors are
/// larger than in practice.
pub(super) const ALIGNMENT: usize = 4096;

/// How much a buffer holds.
pub(super) const BUFFER_BYTES: usize = 1024 * 1024;

/// For the next uploads.
static SPARE: Spare = Spare::new(BUFFER_BYTES + ALIGNMENT, 4);

/// A buffer that is filled from its beginning. Its memory goes back to the spare
/// ones.
#[derive(Debug)]
pub(crate) struct Aligned {
    memory: Box<[u8]>,
    /// Where in `memory` the buffer begins.
    start: usize,
    size: usize,
}

impl Aligned {
    pub(crate) fn new() -> Self {
        let memory = SPARE.take();
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        Self {
            memory,
            start,
            size: 0,
        }
    }

    /// Takes as much of `bytes` as there is room for; returns how many.
    pub(crate) fn fill(&mut self, bytes: &[u8]) -> usize {
        let room = self.room();
        let n_bytes = bytes.len().min(room.len());
        copy(&mut room[..n_bytes], &bytes[..n_bytes]);
        self.filled(n_bytes);
        n_bytes
    }

    /// Where more can be put; what was is to be counted as [`Aligned::filled`].
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.memory[self.start + self.size..self.start + BUFFER_BYTES]
    }

    /// Counts what was put into the first bytes of the room.
    pub(crate) fn filled(&mut self, n_bytes: usize) {
        self.size = BUFFER_BYTES.min(self.size + n_bytes);
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.size == BUFFER_BYTES
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.size == 0
    }

    pub(super) const fn clear(&mut self) {
        self.size = 0;
    }

    /// Whether bytes are what a full buffer was frozen to, or as good as that.
    pub(super) fn is_full_one(bytes: &[u8]) -> bool {
        bytes.len() == BUFFER_BYTES && bytes.as_ptr().align_offset(ALIGNMENT) == 0
    }

    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }

    #[cfg(test)]
    pub(super) const fn misalign(&mut self) {
        self.start += 1;
    }
}

/// Copies in steps that are too short for glibc to take `rep movsb`, which on some
/// processors (Zen 3 and 4: glibc's bug 30994) is fifteen times slower where the
/// source begins a few bytes before the target within their pages. The pieces of
/// one body stay where they are to each other, so that a whole push would be slow.
fn copy(to: &mut [u8], from: &[u8]) {
    const STEP: usize = 1024;
    for (to, from) in to.chunks_mut(STEP).zip(from.chunks(STEP)) {
        to.copy_from_slice(from);
    }
}

impl AsRef<[u8]> for Aligned {
    fn as_ref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.size]
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        SPARE.give_back(std::mem::take(&mut self.memory));
    }
}
