//! Compiles the seccomp part of a specification, once in the daemon; a shim only installs it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::sync::{Arc, Mutex, PoisonError};

use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag,
    LinuxSeccompOperator, LinuxSyscall,
};

use super::LaunchError;
use super::seccomp_prelude::{self, number_of_new_call};
use crate::sys::seccomp::{INSTRUCTION_SIZE, MAX_INSTRUCTIONS};

// linux/seccomp.h
const FLAG_LOG: u32 = 1 << 1;
const FLAG_SPEC_ALLOW: u32 = 1 << 2;
const FLAG_NEW_LISTENER: u32 = 1 << 3;
const FLAG_WAIT_KILLABLE: u32 = 1 << 5;

const EPERM: u32 = 1;

/// A compiled filter as `seccomp.bpf` holds it: flags, then instructions.
pub(super) type Program = Arc<[u8]>;

/// Filters by the profile they came from, as JSON. Most containers share a few.
#[derive(Debug, Default)]
pub(super) struct Compiler(Mutex<HashMap<String, Program>>);

impl Compiler {
    /// As [`Self::compile`], for a profile whose decisions may be somebody else's.
    pub(super) fn compile_for_runtime(profile: &LinuxSeccomp) -> Result<Program, LaunchError> {
        let asks = asks_somebody(profile);
        if asks && profile.listener_path().is_none() {
            return Err(LaunchError::Seccomp(
                "SCMP_ACT_NOTIFY needs a listenerPath".to_owned(),
            ));
        }
        Ok(compile(profile)?.into())
    }

    /// The filter for `profile`, compiled at the first request for it.
    pub(super) fn compile(&self, profile: &LinuxSeccomp) -> Result<Program, LaunchError> {
        if asks_somebody(profile) {
            return Err(LaunchError::Seccomp(
                "SCMP_ACT_NOTIFY is not supported".to_owned(),
            ));
        }
        // Capabilities come in no fixed order, but the rules made of them do.
        let key = serde_json::to_string(profile).map_err(failed)?;
        let known = |cache: &Self| {
            let programs = cache.0.lock().unwrap_or_else(PoisonError::into_inner);
            programs.get(&key).cloned()
        };
        if let Some(program) = known(self) {
            return Ok(program);
        }
        let program: Program = compile(profile)?.into();
        let mut programs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        programs.insert(key, Arc::clone(&program));
        Ok(program)
    }
}

fn compile(profile: &LinuxSeccomp) -> Result<Vec<u8>, LaunchError> {
    let default_errno = profile.default_errno_ret().unwrap_or(EPERM);
    let default = action(profile.default_action(), Some(default_errno))?;
    let mut context = ScmpFilterContext::new(default).map_err(failed)?;
    // A process that may not gain privileges is arranged for elsewhere; with a balanced tree
    // each call takes a few comparisons instead of hundreds.
    context.set_ctl_nnp(false).map_err(failed)?;
    context.set_ctl_optimize(2).map_err(failed)?;
    for arch in profile.architectures().iter().flatten() {
        let arch = architecture(*arch)?;
        if !context.is_arch_present(arch).map_err(failed)? {
            context.add_arch(arch).map_err(failed)?;
        }
    }
    let mut newest_number = 0;
    let mut new_calls = Vec::new();
    for rule in profile.syscalls().iter().flatten() {
        let rule_action = action(rule.action(), rule.errno_ret().or(Some(default_errno)))?;
        for name in rule.names() {
            match ScmpSyscall::from_name(name) {
                Ok(call) => {
                    newest_number = newest_number.max(call.as_raw_syscall());
                    if rule_action != default {
                        add_rule(&mut context, rule, rule_action, call)?;
                    }
                }
                // Newer than the library: its number is the same on all machines.
                Err(_) => {
                    if let Some(number) = number_of_new_call(name) {
                        newest_number = newest_number.max(number);
                        if rule.action() == LinuxSeccompAction::ScmpActAllow
                            && rule.args().is_none()
                        {
                            new_calls.push(number);
                        }
                    }
                }
            }
        }
    }
    let mut bytes = flags(profile)?.to_ne_bytes().to_vec();
    if denies(profile.default_action()) && newest_number > 0 {
        bytes.extend(seccomp_prelude::assemble(newest_number, &new_calls));
    }
    bytes.extend(export(&context)?);
    if bytes.len() / INSTRUCTION_SIZE > MAX_INSTRUCTIONS {
        return Err(LaunchError::Seccomp(
            "the profile is too long for the kernel".to_owned(),
        ));
    }
    Ok(bytes)
}

/// Adds one rule; conditions on the same argument are alternatives, on different ones not.
fn add_rule(
    context: &mut ScmpFilterContext,
    rule: &LinuxSyscall,
    action: ScmpAction,
    call: ScmpSyscall,
) -> Result<(), LaunchError> {
    let arguments = rule.args().as_deref().unwrap_or_default();
    let comparisons: Vec<ScmpArgCompare> =
        arguments.iter().map(comparison).collect::<Result<_, _>>()?;
    let repeated = arguments.iter().enumerate().any(|(position, argument)| {
        arguments[..position]
            .iter()
            .any(|earlier| earlier.index() == argument.index())
    });
    if repeated {
        for comparison in comparisons {
            context
                .add_rule_conditional(action, call, &[comparison])
                .map_err(failed)?;
        }
    } else if comparisons.is_empty() {
        context.add_rule(action, call).map_err(failed)?;
    } else {
        context
            .add_rule_conditional(action, call, &comparisons)
            .map_err(failed)?;
    }
    Ok(())
}

fn comparison(argument: &LinuxSeccompArg) -> Result<ScmpArgCompare, LaunchError> {
    use LinuxSeccompOperator as O;

    let index = u32::try_from(argument.index())
        .ok()
        .filter(|index| *index < 6)
        .ok_or_else(|| LaunchError::Seccomp("a system call has six arguments".to_owned()))?;
    let (operator, value) = match argument.op() {
        O::ScmpCmpNe => (ScmpCompareOp::NotEqual, argument.value()),
        O::ScmpCmpLt => (ScmpCompareOp::Less, argument.value()),
        O::ScmpCmpLe => (ScmpCompareOp::LessOrEqual, argument.value()),
        O::ScmpCmpEq => (ScmpCompareOp::Equal, argument.value()),
        O::ScmpCmpGe => (ScmpCompareOp::GreaterEqual, argument.value()),
        O::ScmpCmpGt => (ScmpCompareOp::Greater, argument.value()),
        O::ScmpCmpMaskedEq => (
            ScmpCompareOp::MaskedEqual(argument.value()),
            argument.value_two().unwrap_or(0),
        ),
    };
    Ok(ScmpArgCompare::new(index, operator, value))
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<ScmpAction, LaunchError> {
    use LinuxSeccompAction as A;

    let number = errno.unwrap_or(EPERM);
    let too_large = |_| LaunchError::Seccomp(format!("{number} is not an error number"));
    Ok(match action {
        A::ScmpActKill | A::ScmpActKillThread => ScmpAction::KillThread,
        A::ScmpActKillProcess => ScmpAction::KillProcess,
        A::ScmpActTrap => ScmpAction::Trap,
        A::ScmpActErrno => ScmpAction::Errno(i32::from(u16::try_from(number).map_err(too_large)?)),
        A::ScmpActTrace => ScmpAction::Trace(u16::try_from(number).map_err(too_large)?),
        A::ScmpActLog => ScmpAction::Log,
        A::ScmpActAllow => ScmpAction::Allow,
        A::ScmpActNotify => ScmpAction::Notify,
    })
}

/// Whether the profile leaves decisions to a process outside.
fn asks_somebody(profile: &LinuxSeccomp) -> bool {
    let notifies = |action| action == LinuxSeccompAction::ScmpActNotify;
    let mut rules = profile.syscalls().iter().flatten();
    notifies(profile.default_action()) || rules.any(|rule| notifies(rule.action()))
}

/// Whether a call that no rule speaks of is refused.
fn denies(default: LinuxSeccompAction) -> bool {
    use LinuxSeccompAction as A;
    matches!(
        default,
        A::ScmpActKill | A::ScmpActKillThread | A::ScmpActKillProcess | A::ScmpActErrno
    )
}

fn flags(profile: &LinuxSeccomp) -> Result<u32, LaunchError> {
    let asks = asks_somebody(profile);
    let mut bits = if asks { FLAG_NEW_LISTENER } else { 0 };
    let Some(flags) = profile.flags() else {
        // Speculation is as safe as outside: what containers had since Linux 5.16.
        return Ok(bits | FLAG_SPEC_ALLOW);
    };
    for flag in flags {
        bits |= match flag {
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => FLAG_LOG,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => FLAG_SPEC_ALLOW,
            // The process has one thread when the filter is installed.
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv if asks => FLAG_WAIT_KILLABLE,
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
                return Err(LaunchError::Seccomp(format!(
                    "{flag} needs SCMP_ACT_NOTIFY"
                )));
            }
        };
    }
    Ok(bits)
}

fn architecture(arch: Arch) -> Result<ScmpArch, LaunchError> {
    Ok(match arch {
        Arch::ScmpArchNative => ScmpArch::Native,
        Arch::ScmpArchX86 => ScmpArch::X86,
        Arch::ScmpArchX86_64 => ScmpArch::X8664,
        Arch::ScmpArchX32 => ScmpArch::X32,
        Arch::ScmpArchArm => ScmpArch::Arm,
        Arch::ScmpArchAarch64 => ScmpArch::Aarch64,
        Arch::ScmpArchPpc64le => ScmpArch::Ppc64Le,
        Arch::ScmpArchRiscv64 => ScmpArch::Riscv64,
        Arch::ScmpArchS390 => ScmpArch::S390,
        Arch::ScmpArchS390x => ScmpArch::S390X,
        other => {
            return Err(LaunchError::Seccomp(format!(
                "architecture {other} is not supported"
            )));
        }
    })
}

/// The instructions as the kernel takes them.
fn export(context: &ScmpFilterContext) -> Result<Vec<u8>, LaunchError> {
    let mut file: File = tempfile_in_memory()?;
    context.export_bpf(&file).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn tempfile_in_memory() -> Result<File, LaunchError> {
    crate::sys::executable::memory_file("seccomp")
        .map(File::from)
        .map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> LaunchError {
    LaunchError::Seccomp(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::defaults;

    #[test]
    fn the_default_profile_compiles_once() {
        let compiler = Compiler::default();
        let capabilities = defaults::capabilities(&[], &[]).unwrap();
        let first = compiler.compile(&defaults::seccomp(&capabilities)).unwrap();
        let second = compiler.compile(&defaults::seccomp(&capabilities)).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!((first.len() - 4) % INSTRUCTION_SIZE, 0);
    }

    // linux/audit.h
    const X86_64: u32 = 0xc000_003e;
    const I386: u32 = 0x4000_0003;

    const ALLOW: u32 = 0x7fff_0000;
    const EPERM_ANSWER: u32 = 0x0005_0001;
    const ENOSYS_ANSWER: u32 = 0x0005_0026;

    /// What the kernel would answer, by the rules of seccomp(2).
    fn answer(program: &[u8], arch: u32, number: u32, arguments: [u64; 2]) -> u32 {
        let mut request = number.to_ne_bytes().to_vec();
        request.extend(arch.to_ne_bytes());
        request.extend(0_u64.to_ne_bytes());
        request.extend(arguments.iter().flat_map(|it| it.to_ne_bytes()));
        request.resize(64, 0);
        let instructions: Vec<&[u8]> = program[4..].chunks(INSTRUCTION_SIZE).collect();
        let word = |bytes: &[u8]| u32::from_ne_bytes(bytes.try_into().unwrap());
        let (mut accumulator, mut at) = (0_u32, 0_usize);
        loop {
            let it = instructions[at];
            let operand = word(&it[4..]);
            at += 1;
            let holds = match u16::from_ne_bytes([it[0], it[1]]) {
                0x20 => {
                    let offset = operand as usize;
                    accumulator = word(&request[offset..offset + 4]);
                    continue;
                }
                0x54 => {
                    accumulator &= operand;
                    continue;
                }
                0x05 => {
                    at += operand as usize;
                    continue;
                }
                0x06 => return operand,
                0x15 => accumulator == operand,
                0x25 => accumulator > operand,
                0x35 => accumulator >= operand,
                other => panic!("instruction {other:#x}"),
            };
            at += usize::from(if holds { it[2] } else { it[3] });
        }
    }

    /// Numbers are those of `x86_64` and i386.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_default_profile_decides_as_dockers_does() {
        let capabilities = defaults::capabilities(&[], &[]).unwrap();
        let program = compile(&defaults::seccomp(&capabilities)).unwrap();
        for (what, arch, number, arguments, expected) in [
            ("read", X86_64, 0, [0, 0], ALLOW),
            ("mount", X86_64, 165, [0, 0], EPERM_ANSWER),
            ("unshare", X86_64, 272, [0, 0], EPERM_ANSWER),
            ("keyctl", X86_64, 250, [0, 0], EPERM_ANSWER),
            ("add_key", X86_64, 248, [0, 0], EPERM_ANSWER),
            ("init_module", X86_64, 175, [0, 0], EPERM_ANSWER),
            ("bpf", X86_64, 321, [0, 0], EPERM_ANSWER),
            ("userfaultfd", X86_64, 323, [0, 0], EPERM_ANSWER),
            ("io_uring_setup", X86_64, 425, [0, 0], EPERM_ANSWER),
            ("ptrace", X86_64, 101, [0, 0], ALLOW),
            ("chroot", X86_64, 161, [0, 0], ALLOW),
            ("fork by clone", X86_64, 56, [0x0120_0011, 0], ALLOW),
            (
                "clone with a user namespace",
                X86_64,
                56,
                [0x1000_0000, 0],
                EPERM_ANSWER,
            ),
            ("clone3", X86_64, 435, [0, 0], ENOSYS_ANSWER),
            ("socket inet", X86_64, 41, [2, 0], ALLOW),
            ("socket vsock", X86_64, 41, [40, 0], EPERM_ANSWER),
            ("socket alg", X86_64, 41, [38, 0], EPERM_ANSWER),
            ("personality linux", X86_64, 135, [0, 0], ALLOW),
            ("personality other", X86_64, 135, [1, 0], EPERM_ANSWER),
            ("cachestat", X86_64, 451, [0, 0], ALLOW),
            ("listmount", X86_64, 458, [0, 0], ALLOW),
            ("lsm_get_self_attr", X86_64, 459, [0, 0], EPERM_ANSWER),
            ("a call of the future", X86_64, 600, [0, 0], ENOSYS_ANSWER),
            ("read of x32", X86_64, 0x4000_0000, [0, 0], ALLOW),
            ("mount of x32", X86_64, 0x4000_00a5, [0, 0], EPERM_ANSWER),
            ("read of i386", I386, 3, [0, 0], ALLOW),
            ("mount of i386", I386, 21, [0, 0], EPERM_ANSWER),
            ("socketcall of i386", I386, 102, [3, 0], ALLOW),
            ("a foreign machine", 0x4000_0028, 3, [0, 0], 0),
        ] {
            let found = answer(&program, arch, number, arguments);
            assert_eq!(found, expected, "{what}: {found:#x}");
        }
        let all = defaults::capabilities(&["ALL".to_owned()], &[]).unwrap();
        let program = compile(&defaults::seccomp(&all)).unwrap();
        assert_eq!(answer(&program, X86_64, 165, [0, 0]), ALLOW);
        assert_eq!(answer(&program, X86_64, 435, [0, 0]), ALLOW);
        assert_eq!(answer(&program, X86_64, 250, [0, 0]), EPERM_ANSWER);
    }

    #[test]
    fn every_action_and_operator_is_known_or_refused() {
        let profile = |action: &str, operator: &str| {
            let text = format!(
                r#"{{"defaultAction":"SCMP_ACT_LOG","syscalls":[{{"names":["read"],
                "action":"{action}","args":[{{"index":0,"value":1,"op":"{operator}"}}]}}]}}"#
            );
            serde_json::from_str::<LinuxSeccomp>(&text).unwrap()
        };
        for action in [
            "KILL",
            "KILL_THREAD",
            "KILL_PROCESS",
            "TRAP",
            "ERRNO",
            "TRACE",
            "ALLOW",
        ] {
            let action = format!("SCMP_ACT_{action}");
            for operator in ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"] {
                let operator = format!("SCMP_CMP_{operator}");
                compile(&profile(&action, &operator)).unwrap();
            }
        }
        let asking = profile("SCMP_ACT_NOTIFY", "SCMP_CMP_EQ");
        let compiler = Compiler::default();
        assert!(compiler.compile(&asking).is_err());
        assert!(Compiler::compile_for_runtime(&asking).is_err());
        compile(&asking).unwrap();
    }
}
