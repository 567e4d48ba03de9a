//! What a container gets when nobody asked for anything else: Docker's defaults, as data.

mod capabilities;
mod devices;
mod mounts;
mod seccomp;
mod seccomp_calls;

pub use capabilities::{ALL_CAPABILITIES, CapabilityNameError, capabilities};
pub use devices::{all_host_devices, device, device_rules, devices};
pub use mounts::{masked_paths, mounts, read_only_paths};
pub use seccomp::{SeccompProfileError, seccomp, seccomp_from_profile};

use oci_spec::runtime::LinuxNamespaceType;

/// The namespaces a container has of its own; the cgroup namespace only with cgroup v2.
pub const NAMESPACES: [LinuxNamespaceType; 6] = [
    LinuxNamespaceType::Mount,
    LinuxNamespaceType::Pid,
    LinuxNamespaceType::Network,
    LinuxNamespaceType::Ipc,
    LinuxNamespaceType::Uts,
    LinuxNamespaceType::Cgroup,
];
