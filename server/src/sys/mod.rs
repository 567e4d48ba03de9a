//! What takes unsafe code, which is in this folder alone.

pub(crate) mod mapped;
