//! Limits hold, measured from outside.

use std::time::{Duration, Instant};

use hythe_tests::{Agent, CommandExt as _, Host, SHORT, Server, eventually};

use crate::push_busybox;

#[test]
fn a_memory_hog_is_killed_and_the_state_says_so() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);

    let hog = ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"];
    let mut words = vec!["run", "--name", "hog", "-m", "64m", &image];
    words.extend_from_slice(&hog);
    agent.docker(&words).finish().fails_with(137);
    let state = agent
        .docker(&[
            "inspect",
            "-f",
            "{{.State.OOMKilled}} {{.State.ExitCode}}",
            "hog",
        ])
        .finish()
        .ok();
    assert_eq!(state.text(), "true 137");

    let mut words = vec!["run", "--rm", "-m", "400m", &image];
    words.extend_from_slice(&hog);
    agent.docker(&words).finish().ok();
}

#[test]
fn a_fork_bomb_stops_at_its_limit_and_the_agent_answers() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);

    // Init does not fork, so that it outlives what fails around it.
    let bomb = "sh -c 'b() { b | b & }; while :; do b; done' & exec sleep 1000";
    agent
        .docker(&[
            "run",
            "-d",
            "--name",
            "bomb",
            "--pids-limit",
            "20",
            &image,
            "sh",
            "-c",
            bomb,
        ])
        .finish()
        .ok();
    eventually("a fork is refused", SHORT, || {
        let asked = Instant::now();
        let logs = agent.docker(&["logs", "bomb"]).finish().ok();
        assert!(
            asked.elapsed() < Duration::from_secs(10),
            "the agent stays responsive"
        );
        logs.error_text().contains("can't fork").then_some(())
    });
    let stats = agent
        .docker(&["stats", "--no-stream", "--format", "{{.PIDs}}", "bomb"])
        .finish()
        .ok();
    let processes: u32 = stats.text().parse().expect("a number of processes");
    assert!((1..=20).contains(&processes), "{processes} processes");
    agent.docker(&["run", "--rm", &image, "true"]).finish().ok();
    agent.docker(&["rm", "-f", "bomb"]).finish().ok();
}

#[test]
fn half_a_cpu_is_half_a_cpu() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    agent
        .docker(&["run", "-d", "--name", "busy", "--cpus", "0.5", &image])
        .args(["sh", "-c", "while :; do :; done"])
        .finish()
        .ok();
    let pid = agent.init_pid("busy");

    // A busy machine may give less than the limit for a while, never more.
    let mut seen = Vec::new();
    for _ in 0..5 {
        let share = cpu_share(pid, Duration::from_secs(3));
        seen.push(share);
        assert!(share < 0.55, "the limit is exceeded: {seen:?}");
        if share > 0.45 {
            return;
        }
    }
    panic!("never within 10 % of half a CPU: {seen:?}");
}

/// The part of one CPU that a process used during `window`.
fn cpu_share(pid: i32, window: Duration) -> f64 {
    let before = cpu_seconds(pid);
    let start = Instant::now();
    std::thread::sleep(window);
    (cpu_seconds(pid) - before) / start.elapsed().as_secs_f64()
}

/// User and system time of a process so far, `proc_pid_stat(5)`.
fn cpu_seconds(pid: i32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
    let after_name = stat.rsplit_once(')').expect("a name in brackets").1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: f64 = [11, 12]
        .map(|field: usize| fields[field].parse::<f64>().expect("ticks"))
        .iter()
        .sum();
    ticks / 100.0
}
