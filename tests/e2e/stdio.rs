//! Standard input and output carry bytes, terminals have sizes, logs keep what was said.

use hythe_tests::{Agent, CommandExt as _, Host, SHORT, Server, eventually};

use crate::push_busybox;

#[test]
fn ten_megabytes_go_through_cat_unchanged() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let bytes: Vec<u8> = (0..10 << 20).map(|_| rand::random()).collect();

    let run = agent
        .docker(&["run", "--rm", "-i", &image, "cat"])
        .finish_with_input(&bytes)
        .ok();
    assert!(
        run.stdout == bytes,
        "{} bytes came back of {}",
        run.stdout.len(),
        bytes.len()
    );

    agent
        .docker(&["run", "-d", "--name", "idle", &image, "sleep", "1000"])
        .finish()
        .ok();
    let exec = agent
        .docker(&["exec", "-i", "idle", "cat"])
        .finish_with_input(&bytes)
        .ok();
    assert!(
        exec.stdout == bytes,
        "{} bytes came back of {}",
        exec.stdout.len(),
        bytes.len()
    );
}

#[test]
fn output_and_errors_stay_apart_and_the_log_has_both() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let long = "x".repeat(40_000);
    let script = format!("echo out; echo err >&2; echo {long}; printf unfinished");

    agent.docker(&["pull", &image]).finish().ok();
    let run = agent
        .docker(&["run", "--name", "talk", &image, "sh", "-c", &script])
        .finish()
        .ok();
    assert_eq!(run.text(), format!("out\n{long}\nunfinished"));
    assert_eq!(run.error_text(), "err");

    let logs = agent.docker(&["logs", "talk"]).finish().ok();
    assert_eq!(logs.stdout, run.stdout);
    assert_eq!(logs.stderr, run.stderr);
    let tail = agent.docker(&["logs", "--tail", "1", "talk"]).finish().ok();
    assert_eq!(tail.text(), "unfinished");
    let stamped = agent
        .docker(&["logs", "-t", "--tail", "1", "talk"])
        .finish()
        .ok()
        .text();
    let (time, rest) = stamped.split_once(' ').expect("a time, a space, the line");
    assert!(
        time.len() == 30 && time.ends_with('Z'),
        "RFC 3339 with nine digits: {time}"
    );
    assert_eq!(rest, "unfinished");
}

#[test]
fn logs_follow_until_the_container_ends() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let script = "for i in $(seq 1 200); do echo line $i; done; read _; echo last";
    agent
        .docker(&[
            "run", "-d", "-i", "--name", "talk", &image, "sh", "-c", script,
        ])
        .finish()
        .ok();

    let mut follow = agent.docker(&["logs", "-f", "talk"]);
    let follow = std::thread::spawn(move || follow.finish());
    eventually("the first lines are logged", SHORT, || {
        let lines = agent.docker(&["logs", "talk"]).finish().ok().lines();
        (lines.len() == 200).then_some(())
    });
    agent
        .docker(&["attach", "--no-stdin=false", "talk"])
        .finish_with_input(b"\n")
        .ok();
    let lines = follow.join().expect("the follower ends").ok().lines();
    let mut expected: Vec<String> = (1..=200).map(|i| format!("line {i}")).collect();
    expected.push("last".into());
    assert_eq!(lines, expected);
}

#[test]
fn a_terminal_has_the_size_of_the_clients() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);

    agent.docker(&["pull", &image]).finish().ok();
    // Older clients say how large the terminal is only after the program has begun.
    let script = "test -t 0 && tty; trap : WINCH; until stty size | grep -v '^0 0'; do sleep 0.1; \
                  done; echo ready; read line; exit 5";
    let mut run = agent.docker_on_terminal(&["run", "--rm", "-it", &image, "sh", "-c", script]);
    run.type_after("ready", b"\n");
    let run = run.finish();
    assert_eq!(run.code, 5, "{run:?}");
    assert!(
        run.text().contains("/dev/console") || run.text().contains("/dev/pts/0"),
        "{run:?}"
    );
    assert!(run.text().contains("33 101"), "{run:?}");

    // ctrl-p ctrl-q leaves the container running.
    let mut left = agent.docker_on_terminal(&["run", "-it", "--name", "kept", &image, "sh"]);
    left.type_after("#", b"\x10\x11");
    let left = left.finish();
    assert_eq!(left.code, 0, "{left:?}");
    let state = agent
        .docker(&["inspect", "-f", "{{.State.Status}}", "kept"])
        .finish()
        .ok();
    assert_eq!(state.text(), "running");
}
