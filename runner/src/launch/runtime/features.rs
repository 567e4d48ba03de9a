//! What this runtime can do, in the words of the specification's `features`.

use serde_json::{Value, json};

use super::record::SPEC_VERSION;
use crate::launch::Cgroup;
use crate::launch::capability::{BY_NUMBER, short_name};
use crate::launch::cgroup::CgroupVersion;

const HOOKS: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

/// Words of mount(8) that are not a file system's own.
const MOUNT_OPTIONS: [&str; 46] = [
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "exec",
    "idmap",
    "loud",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "relatime",
    "remount",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rsuid",
    "runbindable",
    "rw",
    "shared",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "tmpcopyup",
    "unbindable",
];

const NAMESPACES: [&str; 8] = [
    "cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts",
];

pub fn features() -> Value {
    let version = Cgroup::version().ok();
    let capabilities = BY_NUMBER.map(|it| format!("CAP_{}", short_name(it)));
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": SPEC_VERSION,
        "hooks": HOOKS,
        "mountOptions": MOUNT_OPTIONS.as_slice(),
        "linux": {
            "namespaces": NAMESPACES,
            "capabilities": capabilities.as_slice(),
            "cgroup": {
                "v1": version == Some(CgroupVersion::V1),
                "v2": version == Some(CgroupVersion::V2),
                "systemd": false,
                "systemdUser": false,
                "rdma": false,
            },
            "seccomp": seccomp(),
            "apparmor": {"enabled": true},
            "selinux": {"enabled": false},
            "intelRdt": {"enabled": false},
            "mountExtensions": {"idmap": {"enabled": true}},
        },
        "annotations": {"org.hythe.version": env!("CARGO_PKG_VERSION")},
    })
}

fn seccomp() -> Value {
    let named = |prefix: &str, names: &[&str]| -> Vec<String> {
        names.iter().map(|name| format!("{prefix}{name}")).collect()
    };
    let actions = [
        "ALLOW",
        "ERRNO",
        "KILL",
        "KILL_PROCESS",
        "KILL_THREAD",
        "LOG",
        "NOTIFY",
        "TRACE",
        "TRAP",
    ];
    let operators = ["EQ", "GE", "GT", "LE", "LT", "MASKED_EQ", "NE"];
    let architectures = [
        "AARCH64", "ARM", "PPC64LE", "RISCV64", "S390", "S390X", "X32", "X86", "X86_64",
    ];
    let flags = ["LOG", "SPEC_ALLOW", "TSYNC", "WAIT_KILLABLE_RECV"];
    json!({
        "enabled": true,
        "actions": named("SCMP_ACT_", &actions),
        "operators": named("SCMP_CMP_", &operators),
        "archs": named("SCMP_ARCH_", &architectures),
        "knownFlags": named("SECCOMP_FILTER_FLAG_", &flags),
        "supportedFlags": named("SECCOMP_FILTER_FLAG_", &flags),
    })
}
