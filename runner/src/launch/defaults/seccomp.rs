//! Docker's default seccomp profile, and profiles in its format.

use oci_spec::runtime::{
    Arch, Capabilities, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompFilterFlag, LinuxSeccompOperator, LinuxSyscall,
};
use serde::Deserialize;

use super::seccomp_calls::{
    ALWAYS, CLONE_NAMESPACE_FLAGS, CONDITIONAL, Condition, PERSONALITIES, SOCKET_FAMILIES,
    SOCKET_FAMILIES_BELOW,
};
use crate::launch::capability::short_name;
use crate::sys::host;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeccompProfileError {
    #[error("Decoding seccomp profile failed: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("Loading seccomp profile failed: {0}")]
    Content(String),
}

/// A profile as Docker's JSON has it: rules that depend on machine and capabilities.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Profile {
    default_action: Option<LinuxSeccompAction>,
    default_errno_ret: Option<u32>,
    architectures: Vec<Arch>,
    arch_map: Vec<ArchMapEntry>,
    flags: Vec<LinuxSeccompFilterFlag>,
    listener_path: Option<String>,
    syscalls: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMapEntry {
    architecture: Arch,
    #[serde(default)]
    sub_architectures: Option<Vec<Arch>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    name: Option<String>,
    names: Vec<String>,
    action: Option<LinuxSeccompAction>,
    errno_ret: Option<u32>,
    args: Option<Vec<LinuxSeccompArg>>,
    includes: Option<Filter>,
    excludes: Option<Filter>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    caps: Vec<String>,
    arches: Vec<String>,
    min_kernel: Option<String>,
}

/// The default profile, for a container with these capabilities.
pub fn seccomp(capabilities: &Capabilities) -> LinuxSeccomp {
    let names = capability_names(capabilities);
    let mut rules = vec![allow(ALWAYS)];
    for (calls, condition) in CONDITIONAL {
        let holds = match condition {
            Condition::Capability(name) => names.iter().any(|it| it == name),
            Condition::Architecture(machines) => machines.contains(&machine()),
        };
        if holds {
            rules.push(allow(calls));
        }
    }
    let below = argument(SOCKET_FAMILIES_BELOW, LinuxSeccompOperator::ScmpCmpLt);
    rules.push(allow_when("socket", below));
    for family in SOCKET_FAMILIES {
        rules.push(allow_when("socket", equals(family)));
    }
    for personality in PERSONALITIES {
        rules.push(allow_when("personality", equals(personality)));
    }
    if !names.iter().any(|name| name == "CAP_SYS_ADMIN") {
        let masked = LinuxSeccompOperator::ScmpCmpMaskedEq;
        rules.push(allow_when("clone", argument(CLONE_NAMESPACE_FLAGS, masked)));
        // Its flags are behind a pointer, where no filter can look: callers fall back to clone.
        let mut clone3 = rule("clone3", LinuxSeccompAction::ScmpActErrno);
        clone3.set_errno_ret(Some(ENOSYS));
        rules.push(clone3);
    }
    let mut profile = LinuxSeccomp::default();
    profile.set_default_action(LinuxSeccompAction::ScmpActErrno);
    profile.set_default_errno_ret(Some(EPERM));
    profile.set_architectures(Some(native_architectures()));
    profile.set_syscalls(Some(rules));
    profile
}

/// A profile in Docker's JSON format (`--security-opt seccomp=FILE`; the client sends the
/// content), for a container with these capabilities.
pub fn seccomp_from_profile(
    profile: &str,
    capabilities: &Capabilities,
) -> Result<LinuxSeccomp, SeccompProfileError> {
    let profile: Profile = serde_json::from_str(profile)?;
    if !profile.architectures.is_empty() && !profile.arch_map.is_empty() {
        return Err(SeccompProfileError::Content(
            "use either 'architectures' or 'archMap'".to_owned(),
        ));
    }
    let names = capability_names(capabilities);
    let mut rules = Vec::new();
    for rule in profile.syscalls {
        if applies(&rule, &names)? {
            rules.push(resolve(rule)?);
        }
    }
    let mut architectures = profile.architectures;
    let native = native_architectures();
    for entry in profile.arch_map {
        if native.first() == Some(&entry.architecture) {
            architectures.push(entry.architecture);
            architectures.extend(entry.sub_architectures.unwrap_or_default());
        }
    }
    let mut resolved = LinuxSeccomp::default();
    resolved.set_default_action(profile.default_action.ok_or_else(|| {
        SeccompProfileError::Content("the profile has no defaultAction".to_owned())
    })?);
    resolved.set_default_errno_ret(profile.default_errno_ret);
    resolved.set_architectures(Some(architectures));
    if !profile.flags.is_empty() {
        resolved.set_flags(Some(profile.flags));
    }
    resolved.set_listener_path(profile.listener_path.map(Into::into));
    resolved.set_syscalls(Some(rules));
    Ok(resolved)
}

fn applies(rule: &Rule, capabilities: &[String]) -> Result<bool, SeccompProfileError> {
    let machine = machine();
    if let Some(excluded) = &rule.excludes {
        let by_kernel = match &excluded.min_kernel {
            Some(version) => kernel_is_at_least(version)?,
            None => false,
        };
        if by_kernel
            || excluded.arches.iter().any(|it| it == machine)
            || excluded.caps.iter().any(|it| capabilities.contains(it))
        {
            return Ok(false);
        }
    }
    let Some(included) = &rule.includes else {
        return Ok(true);
    };
    let by_kernel = match &included.min_kernel {
        Some(version) => kernel_is_at_least(version)?,
        None => true,
    };
    Ok(by_kernel
        && (included.arches.is_empty() || included.arches.iter().any(|it| it == machine))
        && included.caps.iter().all(|it| capabilities.contains(it)))
}

fn resolve(rule: Rule) -> Result<LinuxSyscall, SeccompProfileError> {
    let names = match (rule.name, rule.names) {
        (Some(_), names) if !names.is_empty() => {
            return Err(SeccompProfileError::Content(
                "use either 'name' or 'names'".to_owned(),
            ));
        }
        (Some(name), _) => vec![name],
        (None, names) => names,
    };
    let mut resolved = LinuxSyscall::default();
    resolved.set_names(names);
    resolved.set_action(
        rule.action
            .ok_or_else(|| SeccompProfileError::Content("a rule has no action".to_owned()))?,
    );
    resolved.set_errno_ret(rule.errno_ret);
    resolved.set_args(rule.args.filter(|args| !args.is_empty()));
    Ok(resolved)
}

fn kernel_is_at_least(version: &str) -> Result<bool, SeccompProfileError> {
    let wrong = || SeccompProfileError::Content(format!("invalid kernel version: {version}"));
    let (major, minor) = version.split_once('.').ok_or_else(wrong)?;
    let wanted: (u32, u32) = (
        major.parse().map_err(|_| wrong())?,
        minor.parse().map_err(|_| wrong())?,
    );
    Ok(host::kernel_version() >= wanted)
}

/// This machine by the name that profiles use.
fn machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "x86",
        other => other,
    }
}

/// The machine's own instruction set, then those it runs besides.
fn native_architectures() -> Vec<Arch> {
    match std::env::consts::ARCH {
        "x86_64" => vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32],
        "aarch64" => vec![Arch::ScmpArchAarch64, Arch::ScmpArchArm],
        "riscv64" => vec![Arch::ScmpArchRiscv64],
        _ => vec![Arch::ScmpArchNative],
    }
}

fn capability_names(capabilities: &Capabilities) -> Vec<String> {
    capabilities
        .iter()
        .map(|capability| format!("CAP_{}", short_name(*capability)))
        .collect()
}

fn rule(calls: &str, action: LinuxSeccompAction) -> LinuxSyscall {
    let mut rule = LinuxSyscall::default();
    rule.set_names(calls.split_whitespace().map(str::to_owned).collect());
    rule.set_action(action);
    rule
}

fn allow(calls: &str) -> LinuxSyscall {
    rule(calls, LinuxSeccompAction::ScmpActAllow)
}

fn allow_when(call: &str, argument: LinuxSeccompArg) -> LinuxSyscall {
    let mut rule = allow(call);
    rule.set_args(Some(vec![argument]));
    rule
}

fn equals(value: u64) -> LinuxSeccompArg {
    argument(value, LinuxSeccompOperator::ScmpCmpEq)
}

/// A condition on the first argument; with a mask, the bits of `value` must all be zero.
fn argument(value: u64, operator: LinuxSeccompOperator) -> LinuxSeccompArg {
    // The builder knows a default for each field and so never fails.
    LinuxSeccompArgBuilder::default()
        .index(0_usize)
        .value(value)
        .value_two(0_u64)
        .op(operator)
        .build()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::Capability;
    use proptest::prelude::*;

    fn rules_for(profile: &LinuxSeccomp, call: &str) -> Vec<LinuxSyscall> {
        let rules = profile.syscalls().as_ref().unwrap();
        let names_it = |rule: &&LinuxSyscall| rule.names().iter().any(|name| name == call);
        rules.iter().filter(names_it).cloned().collect()
    }

    #[test]
    fn capabilities_open_their_calls() {
        let none = seccomp(&Capabilities::new());
        assert!(rules_for(&none, "mount").is_empty());
        assert!(rules_for(&none, "bpf").is_empty());
        assert_eq!(
            rules_for(&none, "clone")[0].args().as_ref().unwrap().len(),
            1
        );
        assert_eq!(rules_for(&none, "clone3")[0].errno_ret(), Some(ENOSYS));
        let admin = seccomp(&[Capability::SysAdmin].into());
        assert_eq!(rules_for(&admin, "mount").len(), 1);
        assert_eq!(rules_for(&admin, "clone3").len(), 1);
        assert!(rules_for(&admin, "clone")[0].args().is_none());
    }

    #[test]
    fn dockers_format_is_resolved() {
        let text = r#"{"defaultAction":"SCMP_ACT_ERRNO",
            "archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]},
                       {"architecture":"SCMP_ARCH_AARCH64","subArchitectures":null}],
            "syscalls":[
              {"names":["read","write"],"action":"SCMP_ACT_ALLOW","args":null},
              {"name":"chroot","action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_CHROOT"]}},
              {"names":["reboot"],"action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_CHOWN"]}},
              {"names":["old"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"99.1"}}]}"#;
        let resolved = seccomp_from_profile(text, &[Capability::Chown].into()).unwrap();
        assert_eq!(rules_for(&resolved, "write").len(), 1);
        for call in ["chroot", "reboot", "old"] {
            assert!(rules_for(&resolved, call).is_empty(), "{call}");
        }
        assert!(!resolved.architectures().as_ref().unwrap().is_empty());
    }

    #[test]
    fn bad_profiles_are_refused() {
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"defaultAction":"NOPE"}"#,
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["a"]}]}"#,
            r#"{"defaultAction":"SCMP_ACT_ERRNO",
                "syscalls":[{"name":"a","names":["b"],"action":"SCMP_ACT_ALLOW"}]}"#,
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
                {"name":"a","action":"SCMP_ACT_ALLOW","includes":{"minKernel":"x"}}]}"#,
        ] {
            assert!(
                seccomp_from_profile(bad, &Capabilities::new()).is_err(),
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_profile_text_panics(text in ".{0,200}") {
            let _result = seccomp_from_profile(&text, &Capabilities::new());
        }
    }
}
