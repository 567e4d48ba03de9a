//! The tally: every flag that docker's own help lists for a container command is tried somewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hythe_tests::{CommandExt as _, docker_is_recent};

use super::options;

/// Flags of `run` that are tried outside the tables of `options`, and the file with the test.
const TRIED_ELSEWHERE: &[(&str, &str)] = &[
    ("annotation", "flags"),
    ("blkio-weight-device", "flags"),
    ("cgroup-parent", "flags"),
    ("cidfile", "options"),
    ("cpu-shares", "flags"),
    ("detach", "life"),
    ("detach-keys", "commands"),
    ("device-cgroup-rule", "flags"),
    ("device-read-bps", "flags"),
    ("device-read-iops", "flags"),
    ("device-write-bps", "flags"),
    ("device-write-iops", "flags"),
    ("disable-content-trust", "flags"),
    ("env-file", "options"),
    ("health-retries", "flags"),
    ("health-start-interval", "flags"),
    ("health-start-period", "flags"),
    ("health-timeout", "flags"),
    ("interactive", "commands"),
    ("ip6", "networks/names"),
    ("label-file", "options"),
    ("network-alias", "flags"),
    ("no-healthcheck", "life"),
    ("publish-all", "flags"),
    ("quiet", "flags"),
    ("sig-proxy", "flags"),
    ("stop-timeout", "flags"),
    ("tty", "commands"),
    ("use-api-socket", "flags"),
];

/// Flags of the other commands, and the file with the test.
#[rustfmt::skip]
const OF_OTHER_COMMANDS: &[(&str, &[(&str, &str)])] = &[
    ("attach", &[("detach-keys", "commands"), ("no-stdin", "stdio"), ("sig-proxy", "flags")]),
    ("commit", &[("author", "others"), ("change", "others"), ("message", "others"), ("pause", "others")]),
    ("cp", &[("archive", "copy"), ("follow-link", "copy"), ("quiet", "copy")]),
    ("diff", &[]),
    (
        "exec",
        &[
            ("detach", "commands"), ("detach-keys", "others"), ("env", "commands"),
            ("env-file", "others"), ("interactive", "stdio"), ("privileged", "commands"),
            ("tty", "commands"), ("user", "commands"), ("workdir", "commands"),
        ],
    ),
    ("export", &[("output", "others")]),
    ("inspect", &[("format", "mod"), ("size", "commands")]),
    ("kill", &[("signal", "commands")]),
    (
        "logs",
        &[
            ("details", "others"), ("follow", "commands"), ("since", "commands"),
            ("tail", "commands"), ("timestamps", "commands"), ("until", "commands"),
        ],
    ),
    (
        "ls",
        &[
            ("all", "commands"), ("filter", "commands"), ("format", "commands"),
            ("last", "commands"), ("latest", "commands"), ("no-trunc", "commands"),
            ("quiet", "commands"), ("size", "commands"),
        ],
    ),
    ("pause", &[]),
    ("port", &[]),
    ("prune", &[("filter", "commands"), ("force", "commands")]),
    ("rename", &[]),
    ("restart", &[("signal", "others"), ("timeout", "others")]),
    ("rm", &[("force", "copy"), ("link", "others"), ("volumes", "options")]),
    (
        "start",
        &[
            ("attach", "commands"), ("checkpoint", "others"), ("checkpoint-dir", "others"),
            ("detach-keys", "others"), ("interactive", "commands"),
        ],
    ),
    (
        "stats",
        &[
            ("all", "commands"), ("format", "commands"), ("no-stream", "commands"),
            ("no-trunc", "commands"),
        ],
    ),
    ("stop", &[("signal", "life"), ("timeout", "commands")]),
    ("top", &[]),
    ("unpause", &[]),
    (
        "update",
        &[
            ("blkio-weight", "flags"), ("cpu-period", "others"), ("cpu-quota", "others"),
            ("cpu-rt-period", "others"), ("cpu-rt-runtime", "others"), ("cpu-shares", "others"),
            ("cpus", "commands"), ("cpuset-cpus", "commands"), ("cpuset-mems", "others"),
            ("memory", "commands"), ("memory-reservation", "others"),
            ("memory-swap", "commands"), ("pids-limit", "commands"), ("restart", "commands"),
        ],
    ),
    ("wait", &[]),
];

/// The long flags of a command's help, with their short forms.
fn flags_of(command: &str) -> BTreeMap<String, Option<String>> {
    let help = std::process::Command::new("docker")
        .args(["container", command, "--help"])
        .finish()
        .ok()
        .text();
    let flags = help.lines().filter_map(|line| {
        let line = line.trim_start();
        let (short, long) = match line.split_once(", --") {
            Some((short, long)) if short.len() == 2 => (Some(short.to_owned()), long),
            _ => (None, line.strip_prefix("--")?),
        };
        let long = long.split_whitespace().next()?;
        Some((long.to_owned(), short))
    });
    flags.filter(|(long, _)| long != "help").collect()
}

/// The source of a test by its short name.
fn source(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e");
    [root.join("docker_cli"), root]
        .iter()
        .find_map(|folder| fs::read_to_string(folder.join(format!("{name}.rs"))).ok())
        .expect("a test of that name")
}

/// Whether `text` has the flag as a word of a command line.
fn tries(text: &str, long: &str, short: Option<&str>) -> bool {
    let letter = short.and_then(|short| short.chars().nth(1));
    let is_flag = |word: &str| {
        // `-dit` is three flags.
        let letters = word.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
        let in_cluster = letters
            .zip(letter)
            .is_some_and(|(letters, letter)| letters.contains(letter));
        word.strip_prefix("--") == Some(long) || in_cluster
    };
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .any(is_flag)
}

#[test]
fn every_flag_of_run_is_tried() {
    let elsewhere: BTreeMap<_, _> = TRIED_ELSEWHERE.iter().copied().collect();
    for (long, short) in flags_of("run") {
        let known = match elsewhere.get(long.as_str()) {
            Some(name) => tries(&source(name), &long, short.as_deref()),
            None => options::lines().any(|line| tries(line, &long, short.as_deref())),
        };
        assert!(known, "nothing tries `docker run --{long}`");
    }
}

#[test]
fn every_flag_of_the_other_container_commands_is_tried() {
    // Older ones have other names for some.
    if !docker_is_recent("each flag of its help") {
        return;
    }
    for (command, flags) in OF_OTHER_COMMANDS {
        let listed: BTreeMap<_, _> = flags.iter().copied().collect();
        for (long, short) in flags_of(command) {
            let name = listed.get(long.as_str());
            let known = name.is_some_and(|name| tries(&source(name), &long, short.as_deref()));
            assert!(known, "nothing tries `docker {command} --{long}`");
        }
    }
}
