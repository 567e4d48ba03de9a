//! Records on disk: one JSON file per record, replaced whole.
//!
//! `engine` and `network` keep their state through this; below is only `sys`. A record is
//! written to a temporary name, fsynced, renamed and the directory fsynced, so that a reader finds
//! the old or the new one whatever happens; the two syncs are left out where nothing is to
//! survive the machine. Nothing here knows what a record means.

mod records;

pub use records::{Records, SplitRecords, StoreError, Survives};
