//! Memory that is used again. Fresh memory costs a page fault for every 4 KiB, as
//! much as filling it.

use std::sync::{Mutex, PoisonError};

/// Memory of one size that nobody uses now, of all requests.
#[derive(Debug)]
pub(super) struct Spare {
    size: usize,
    /// How many are kept.
    most: usize,
    kept: Mutex<Vec<Box<[u8]>>>,
}

impl Spare {
    pub(super) const fn new(size: usize, most: usize) -> Self {
        Self {
            size,
            most,
            kept: Mutex::new(Vec::new()),
        }
    }

    /// Some that was used before, or fresh one.
    pub(super) fn take(&self) -> Box<[u8]> {
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        kept.unwrap_or_else(|| vec![0; self.size].into_boxed_slice())
    }

    pub(super) fn give_back(&self, memory: Box<[u8]>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < self.most {
            kept.push(memory);
        }
    }

    #[cfg(test)]
    pub(super) fn n_kept(&self) -> usize {
        self.kept.lock().unwrap().len()
    }
}
