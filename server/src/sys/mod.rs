//! What takes unsafe code, which is in this folder alone.

pub(crate) mod mapped;
pub(crate) mod receive_low;
