//! The device rules of a bundle as a program for cgroup v2, where no file takes them.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::sys::device_filter::Instruction;

// linux/bpf.h: the context holds access type and kind, major and minor number.
const ACCESS_MAKE: i32 = 1;
const ACCESS_READ: i32 = 2;
const ACCESS_WRITE: i32 = 4;
const ACCESS_ALL: i32 = ACCESS_MAKE | ACCESS_READ | ACCESS_WRITE;
const KIND_BLOCK: i32 = 1;
const KIND_CHARACTER: i32 = 2;

const LOAD_WORD: u8 = 0x61;
const AND_WORD: u8 = 0x54;
const SHIFT_RIGHT_WORD: u8 = 0x74;
const MOVE_WORD: u8 = 0xbc;
const SET: u8 = 0xb7;
const JUMP_IF_NOT_EQUAL: u8 = 0x55;
const JUMP_IF_EQUAL: u8 = 0x15;
const EXIT: u8 = 0x95;

/// Registers: 0 is the answer, 1 the context (then scratch).
const ANSWER: u8 = 0;
const SCRATCH: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// A program that answers 1 for what the rules allow. The last rule that speaks of a device
/// decides; what no rule speaks of is denied.
pub(super) fn compile(rules: &[LinuxDeviceCgroup]) -> Vec<Instruction> {
    let mut program = vec![
        load(KIND, 0),
        load(ACCESS, 0),
        load(MAJOR, 4),
        load(MINOR, 8),
        on(AND_WORD, KIND, 0xffff),
        on(SHIFT_RIGHT_WORD, ACCESS, 16),
    ];
    for rule in rules.iter().rev() {
        let block = block(rule);
        let always_answers = !block.iter().copied().any(is_jump);
        program.extend(block);
        if always_answers {
            // The kernel refuses a program with instructions that nothing leads to.
            return program;
        }
    }
    program.push(on(SET, ANSWER, 0));
    program.push(on(EXIT, 0, 0));
    program
}

/// One rule: tests that jump behind it when it does not speak of the request, then the answer.
fn block(rule: &LinuxDeviceCgroup) -> Vec<Instruction> {
    let mut tests: Vec<Instruction> = Vec::new();
    match rule.typ().unwrap_or_default() {
        LinuxDeviceType::B => tests.push(on(JUMP_IF_NOT_EQUAL, KIND, KIND_BLOCK)),
        LinuxDeviceType::C | LinuxDeviceType::U => {
            tests.push(on(JUMP_IF_NOT_EQUAL, KIND, KIND_CHARACTER));
        }
        LinuxDeviceType::A | LinuxDeviceType::P => {}
    }
    let access = access_bits(rule.access().as_deref().unwrap_or("rwm"));
    if access != ACCESS_ALL {
        // To allow, a rule has to cover all that is asked; to deny, any part of it.
        let (mask, jump) = if rule.allow() {
            (ACCESS_ALL & !access, JUMP_IF_NOT_EQUAL)
        } else {
            (access, JUMP_IF_EQUAL)
        };
        tests.push(Instruction {
            code: MOVE_WORD,
            registers: SCRATCH | ACCESS << 4,
            offset: 0,
            immediate: 0,
        });
        tests.push(on(AND_WORD, SCRATCH, mask));
        tests.push(on(jump, SCRATCH, 0));
    }
    for (register, number) in [(MAJOR, rule.major()), (MINOR, rule.minor())] {
        if let Some(number) = number
            .and_then(|it| i32::try_from(it).ok())
            .filter(|it| *it >= 0)
        {
            tests.push(on(JUMP_IF_NOT_EQUAL, register, number));
        }
    }
    tests.push(on(SET, ANSWER, i32::from(rule.allow())));
    tests.push(on(EXIT, 0, 0));
    let length = tests.len();
    for (index, test) in tests.iter_mut().enumerate() {
        if is_jump(*test) {
            test.offset = i16::try_from(length - index - 1).unwrap_or(i16::MAX);
        }
    }
    tests
}

fn is_jump(instruction: Instruction) -> bool {
    matches!(instruction.code, JUMP_IF_NOT_EQUAL | JUMP_IF_EQUAL)
}

fn access_bits(access: &str) -> i32 {
    access.chars().fold(0, |bits, letter| {
        bits | match letter {
            'r' => ACCESS_READ,
            'w' => ACCESS_WRITE,
            'm' => ACCESS_MAKE,
            _ => 0,
        }
    })
}

fn load(register: u8, offset: i16) -> Instruction {
    Instruction {
        code: LOAD_WORD,
        registers: register | SCRATCH << 4,
        offset,
        immediate: 0,
    }
}

fn on(code: u8, register: u8, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: register,
        offset: 0,
        immediate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::defaults::device_rules;

    /// Runs a program as the kernel would.
    fn run(program: &[Instruction], kind: i32, access: i32, major: i32, minor: i32) -> i32 {
        let context = [access << 16 | kind, major, minor];
        let mut registers = [0_i32; 6];
        let mut at = 0;
        loop {
            let it = program[at];
            let target = usize::from(it.registers & 15);
            at += 1;
            let jump = match it.code {
                LOAD_WORD => {
                    registers[target] = context[usize::try_from(it.offset / 4).unwrap()];
                    false
                }
                AND_WORD => {
                    registers[target] &= it.immediate;
                    false
                }
                SHIFT_RIGHT_WORD => {
                    registers[target] >>= it.immediate;
                    false
                }
                MOVE_WORD => {
                    registers[target] = registers[usize::from(it.registers >> 4)];
                    false
                }
                SET => {
                    registers[target] = it.immediate;
                    false
                }
                JUMP_IF_EQUAL => registers[target] == it.immediate,
                JUMP_IF_NOT_EQUAL => registers[target] != it.immediate,
                EXIT => return registers[0],
                code => panic!("instruction {code:#x}"),
            };
            if jump {
                at += usize::try_from(it.offset).unwrap();
            }
        }
    }

    #[test]
    fn the_default_rules_decide_as_docker_does() {
        let program = compile(&device_rules(false));
        for (kind, access, major, minor, allowed, what) in [
            (
                KIND_CHARACTER,
                ACCESS_READ | ACCESS_WRITE,
                1,
                3,
                1,
                "use /dev/null",
            ),
            (KIND_CHARACTER, ACCESS_MAKE, 9, 9, 1, "make any node"),
            (KIND_BLOCK, ACCESS_MAKE, 8, 0, 1, "make a disk node"),
            (KIND_BLOCK, ACCESS_READ, 8, 0, 0, "read a disk"),
            (KIND_CHARACTER, ACCESS_READ, 1, 1, 0, "read /dev/mem"),
            (KIND_CHARACTER, ACCESS_READ | ACCESS_MAKE, 1, 1, 0, "both"),
            (KIND_CHARACTER, ACCESS_WRITE, 136, 7, 1, "a terminal"),
        ] {
            assert_eq!(run(&program, kind, access, major, minor), allowed, "{what}");
        }
        let all = compile(&device_rules(true));
        assert_eq!(run(&all, KIND_BLOCK, ACCESS_WRITE, 8, 0), 1);
        assert_eq!(run(&compile(&[]), KIND_BLOCK, ACCESS_WRITE, 8, 0), 0);
    }

    #[test]
    fn every_instruction_can_be_reached() {
        for rules in [device_rules(false), device_rules(true), Vec::new()] {
            let program = compile(&rules);
            let mut reached = vec![false; program.len()];
            let mut pending = vec![0];
            while let Some(at) = pending.pop() {
                if std::mem::replace(&mut reached[at], true) {
                    continue;
                }
                if is_jump(program[at]) {
                    pending.push(at + 1 + usize::try_from(program[at].offset).unwrap());
                }
                if program[at].code != EXIT {
                    pending.push(at + 1);
                }
            }
            assert!(reached.iter().all(|it| *it), "{program:?}");
        }
    }

    #[test]
    fn a_later_denial_takes_a_part_away() {
        let mut deny = device_rules(true)[0].clone();
        deny.set_allow(false);
        deny.set_access(Some("w".to_owned()));
        let program = compile(&[device_rules(true)[0].clone(), deny]);
        assert_eq!(run(&program, KIND_BLOCK, ACCESS_READ, 8, 0), 1);
        assert_eq!(
            run(&program, KIND_BLOCK, ACCESS_READ | ACCESS_WRITE, 8, 0),
            0
        );
    }
}
