//! Which capabilities a container has, capabilities(7).

use oci_spec::runtime::{Capabilities, Capability};

/// The set of `--privileged`.
pub const ALL_CAPABILITIES: [Capability; 1] = [Capability::Chown];

/// A name that no kernel knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid capability: unknown capability: \"{0}\"")]
pub struct CapabilityNameError(pub String);

/// Docker's default set with `--cap-add` and `--cap-drop` applied; names with or without
/// `CAP_`, in any case, or `ALL`.
///
/// Use it for bounding, effective and permitted; inheritable and ambient stay empty.
pub fn capabilities(add: &[String], drop: &[String]) -> Result<Capabilities, CapabilityNameError> {
    let _ = (add, drop);
    todo!()
}
