//! Resource limits of a program, setrlimit(2).

use oci_spec::runtime::{PosixRlimitType, Process};

use crate::launch::StartFailure;
use crate::launch::error::Step;
use crate::sys::credentials::{self, Limit};

/// Sets what the specification asks for, as far as this process may.
pub(super) fn apply(spec: &Process) -> Result<(), StartFailure> {
    for wanted in spec.rlimits().iter().flatten() {
        let resource = resource_number(wanted.typ());
        let mut limit = Limit {
            soft: wanted.soft(),
            hard: wanted.hard(),
        };
        if credentials::set_limit(resource, limit).is_ok() {
            continue;
        }
        // Above our own hard limit and without the right to raise it: as much as there is. The
        // caller was warned when the bundle was written.
        let own = credentials::limit(resource).step(|| format!("cannot read {}", wanted.typ()))?;
        limit.hard = limit.hard.min(own.hard);
        limit.soft = limit.soft.min(limit.hard);
        credentials::set_limit(resource, limit).step(|| format!("cannot set {}", wanted.typ()))?;
    }
    Ok(())
}

/// `RLIMIT_*`, getrlimit(2); the same on every machine this runs on.
pub(in crate::launch) fn resource_number(kind: PosixRlimitType) -> u32 {
    use PosixRlimitType as R;
    match kind {
        R::RlimitCpu => 0,
        R::RlimitFsize => 1,
        R::RlimitData => 2,
        R::RlimitStack => 3,
        R::RlimitCore => 4,
        R::RlimitRss => 5,
        R::RlimitNproc => 6,
        R::RlimitNofile => 7,
        R::RlimitMemlock => 8,
        R::RlimitAs => 9,
        R::RlimitLocks => 10,
        R::RlimitSigpending => 11,
        R::RlimitMsgqueue => 12,
        R::RlimitNice => 13,
        R::RlimitRtprio => 14,
        R::RlimitRttime => 15,
    }
}
