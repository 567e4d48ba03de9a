//! Capabilities between their names in a bundle and their numbers in the kernel.

use oci_spec::runtime::{Capabilities, Capability};

use crate::sys::credentials::CapabilitySet;

/// Every capability at its number, linux/capability.h.
pub(super) const BY_NUMBER: [Capability; 41] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::LinuxImmutable,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::SysModule,
    Capability::SysRawio,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysPacct,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysNice,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Mknod,
    Capability::Lease,
    Capability::AuditWrite,
    Capability::AuditControl,
    Capability::Setfcap,
    Capability::MacOverride,
    Capability::MacAdmin,
    Capability::Syslog,
    Capability::WakeAlarm,
    Capability::BlockSuspend,
    Capability::AuditRead,
    Capability::Perfmon,
    Capability::Bpf,
    Capability::CheckpointRestore,
];

/// The set as bits.
pub(super) fn bits(capabilities: Option<&Capabilities>) -> CapabilitySet {
    let mut set = CapabilitySet::default();
    let Some(capabilities) = capabilities else {
        return set;
    };
    for (number, capability) in (0..).zip(BY_NUMBER) {
        if capabilities.contains(&capability) {
            set = set.with(number);
        }
    }
    set
}

/// `NET_ADMIN`, without the prefix.
pub(super) fn short_name(capability: Capability) -> String {
    capability.to_string()
}
