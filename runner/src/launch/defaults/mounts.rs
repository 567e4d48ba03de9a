//! The file systems every container sees.

use std::path::PathBuf;
use std::sync::OnceLock;

use oci_spec::runtime::Mount;

/// Hidden: they tell about the host, or change it.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// `/proc`, `/dev`, `/dev/pts`, `/sys`, `/sys/fs/cgroup`, `/dev/mqueue`, `/dev/shm`.
///
/// `shm_size_bytes` is Docker's 64 MiB unless asked otherwise; `privileged` makes `/sys` and
/// the cgroup file system writable.
pub fn mounts(shm_size_bytes: u64, privileged: bool) -> Vec<Mount> {
    let access = if privileged { "rw" } else { "ro" };
    let shm_size = format!("size={shm_size_bytes}");
    vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount(
            "/dev",
            "tmpfs",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
        mount(
            "/sys",
            "sysfs",
            "sysfs",
            &["nosuid", "noexec", "nodev", access],
        ),
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &[access, "nosuid", "noexec", "nodev"],
        ),
        mount(
            "/dev/mqueue",
            "mqueue",
            "mqueue",
            &["nosuid", "noexec", "nodev"],
        ),
        mount(
            "/dev/shm",
            "tmpfs",
            "shm",
            &["nosuid", "noexec", "nodev", "mode=1777", &shm_size],
        ),
    ]
}

/// Paths of `/proc` and `/sys` that are hidden.
pub fn masked_paths() -> Vec<String> {
    let mut paths: Vec<String> = MASKED.iter().map(ToString::to_string).collect();
    paths.extend_from_slice(throttle_paths());
    paths
}

/// One directory per processor tells how hot the host runs; looked for once.
fn throttle_paths() -> &'static [String] {
    static FOUND: OnceLock<Vec<String>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let processors = std::fs::read_dir("/sys/devices/system/cpu");
        let paths = processors.into_iter().flatten().flatten();
        paths
            .map(|entry| entry.path().join("thermal_throttle"))
            .filter(|path| path.is_dir())
            .map(|path| path.to_string_lossy().into_owned())
            .collect()
    })
}

/// Paths of `/proc` that cannot be written to.
pub fn read_only_paths() -> Vec<String> {
    READ_ONLY.iter().map(ToString::to_string).collect()
}

fn mount(target: &str, fs_type: &str, source: &str, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount.set_destination(PathBuf::from(target));
    mount.set_typ(Some(fs_type.to_owned()));
    mount.set_source(Some(PathBuf::from(source)));
    mount.set_options(Some(options.iter().map(ToString::to_string).collect()));
    mount
}
