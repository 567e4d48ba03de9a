//! Device nodes and the rules of the device cgroup.

use std::io;
use std::path::Path;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup};

/// `/dev/null` and the other nodes that every container has; the launcher makes `/dev/fd`,
/// `/dev/ptmx` and the other links itself.
pub fn devices() -> Vec<LinuxDevice> {
    todo!()
}

/// The node `on_host`, to be seen as `in_container`, with the rule that lets it be used.
///
/// `permissions` are some of `r`, `w`, `m`.
pub fn device(
    on_host: &Path,
    in_container: &Path,
    permissions: &str,
) -> io::Result<(LinuxDevice, LinuxDeviceCgroup)> {
    let _ = (on_host, in_container, permissions);
    todo!()
}

/// Every node under the host's `/dev` but terminals, for `--privileged`.
pub fn all_host_devices() -> io::Result<Vec<LinuxDevice>> {
    todo!()
}

/// Deny all, allow making nodes, allow the use of the default ones; or, privileged, allow all.
pub fn device_rules(privileged: bool) -> Vec<LinuxDeviceCgroup> {
    let _ = privileged;
    todo!()
}
