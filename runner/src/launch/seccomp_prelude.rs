//! What runs before the compiled filter: calls newer than the profile get `ENOSYS`.
//!
//! A C library that tries a new system call first takes `ENOSYS` as "use the old one", but
//! `EPERM` as an error to report. So what is newer than everything a profile speaks of must
//! look as if the kernel did not have it.

/// System calls that came after the libseccomp we build with, by the number they have on every
/// machine (since 424 all machines count alike).
const NEW_CALLS: [(&str, i32); 20] = [
    ("quotactl_fd", 443),
    ("set_mempolicy_home_node", 450),
    ("cachestat", 451),
    ("fchmodat2", 452),
    ("map_shadow_stack", 453),
    ("futex_wake", 454),
    ("futex_wait", 455),
    ("futex_requeue", 456),
    ("statmount", 457),
    ("listmount", 458),
    ("lsm_get_self_attr", 459),
    ("lsm_set_self_attr", 460),
    ("lsm_list_modules", 461),
    ("mseal", 462),
    ("setxattrat", 463),
    ("getxattrat", 464),
    ("listxattrat", 465),
    ("removexattrat", 466),
    ("open_tree_attr", 467),
    ("file_getattr", 468),
];

// linux/filter.h
const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_GREATER: u16 = 0x25;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

// linux/seccomp.h
const OFFSET_OF_NUMBER: u32 = 0;
const RETURN_ALLOW: u32 = 0x7fff_0000;
const RETURN_ENOSYS: u32 = 0x0005_0026;

/// Numbers of the x32 ABI have this bit; the compiled filter knows them.
const X32_BIT: u32 = 0x4000_0000;

/// The number of a call that the library may not know.
pub(super) fn number_of_new_call(name: &str) -> Option<i32> {
    NEW_CALLS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
}

/// Instructions that answer `ENOSYS` above `newest`, allow `allowed` and fall through to what
/// follows them for all else.
pub(super) fn assemble(newest: i32, allowed: &[i32]) -> Vec<u8> {
    let newest = newest.cast_unsigned();
    // Jumps are relative and at most 255 long; there are far fewer new calls than that.
    let n_allowed = u8::try_from(allowed.len()).unwrap_or(0);
    let allowed = &allowed[..usize::from(n_allowed)];
    let end = n_allowed + 2;
    let mut program = vec![
        instruction(LOAD_WORD, 0, 0, OFFSET_OF_NUMBER),
        instruction(JUMP_IF_AT_LEAST, end + 1, 0, X32_BIT),
        instruction(JUMP_IF_GREATER, n_allowed, 0, newest),
    ];
    for (before, number) in (0_u8..).zip(allowed) {
        let to_allow = n_allowed - before;
        program.push(instruction(
            JUMP_IF_EQUAL,
            to_allow,
            if before + 1 == n_allowed { 2 } else { 0 },
            number.cast_unsigned(),
        ));
    }
    if n_allowed == 0 {
        // Not above the newest: over both answers.
        program[2] = instruction(JUMP_IF_GREATER, 0, 2, newest);
    }
    program.push(instruction(RETURN, 0, 0, RETURN_ENOSYS));
    program.push(instruction(RETURN, 0, 0, RETURN_ALLOW));
    program.concat()
}

fn instruction(code: u16, if_true: u8, if_false: u8, operand: u32) -> Vec<u8> {
    let mut bytes = code.to_ne_bytes().to_vec();
    bytes.extend([if_true, if_false]);
    bytes.extend(operand.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the prelude answers; `None` is the filter behind it.
    fn run(program: &[u8], number: u32) -> Option<u32> {
        let instructions: Vec<&[u8]> = program.chunks(8).collect();
        let mut at = 0;
        while at < instructions.len() {
            let it = instructions[at];
            let code = u16::from_ne_bytes([it[0], it[1]]);
            let operand = u32::from_ne_bytes([it[4], it[5], it[6], it[7]]);
            at += 1;
            let holds = match code {
                LOAD_WORD => continue,
                RETURN => return Some(operand),
                JUMP_IF_EQUAL => number == operand,
                JUMP_IF_GREATER => number > operand,
                JUMP_IF_AT_LEAST => number >= operand,
                other => panic!("instruction {other:#x}"),
            };
            at += usize::from(if holds { it[2] } else { it[3] });
        }
        assert_eq!(at, instructions.len(), "jumps beyond the end");
        None
    }

    #[test]
    fn newer_calls_do_not_exist_and_known_ones_go_on() {
        for allowed in [&[][..], &[451], &[451, 452, 462]] {
            let program = assemble(462, allowed);
            assert_eq!(run(&program, 463), Some(RETURN_ENOSYS), "{allowed:?}");
            assert_eq!(run(&program, 0), None, "{allowed:?}");
            assert_eq!(run(&program, 455), None, "{allowed:?}");
            assert_eq!(run(&program, X32_BIT + 500), None, "{allowed:?}");
            for number in allowed {
                let answer = run(&program, number.cast_unsigned());
                assert_eq!(answer, Some(RETURN_ALLOW), "{allowed:?}");
            }
        }
    }
}
