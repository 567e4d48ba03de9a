//! The file systems every container sees.

use oci_spec::runtime::Mount;

/// `/proc`, `/dev`, `/dev/pts`, `/sys`, `/sys/fs/cgroup`, `/dev/mqueue`, `/dev/shm`.
///
/// `shm_size_bytes` is Docker's 64 MiB unless asked otherwise; `privileged` makes `/sys` and
/// the cgroup file system writable.
pub fn mounts(shm_size_bytes: u64, privileged: bool) -> Vec<Mount> {
    let _ = (shm_size_bytes, privileged);
    todo!()
}

/// Paths of `/proc` and `/sys` that are hidden.
pub fn masked_paths() -> Vec<String> {
    todo!()
}

/// Paths of `/proc` that cannot be written to.
pub fn read_only_paths() -> Vec<String> {
    todo!()
}
