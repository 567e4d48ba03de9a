//! Limits hold, measured from outside.

use std::path::{Path, PathBuf};
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
fn a_part_of_a_cpu_is_neither_more_nor_less() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    // The second is so little that even a busy machine gives more: only the limit holds it back.
    for (cpus, quota_s) in [("0.5", 0.05), ("0.05", 0.005)] {
        agent
            .docker(&["run", "-d", "--name", "busy", "--cpus", cpus, &image])
            .args(["sh", "-c", "while :; do :; done"])
            .finish()
            .ok();
        let group = CpuGroup::of(agent.init_pid("busy"));

        // By the kernel's own periods of 100 ms, not by a clock that runs while nobody does.
        let begin = Sample::take(&group);
        let end = eventually("it is held back for many periods", LONG, || {
            let now = Sample::take(&group);
            (now.throttled.0 - begin.throttled.1 >= 20.0).then_some(now)
        });
        let used = end.used_s - begin.used_s;
        let most = (end.periods.1 - begin.periods.0 + 2.0) * quota_s * 1.05;
        let least = (end.throttled.0 - begin.throttled.1 - 2.0) * quota_s * 0.95;
        assert!(used <= most, "{used} s of {most} s: {begin:?} {end:?}");
        assert!(used >= least, "{used} s of {least} s: {begin:?} {end:?}");
        agent.docker(&["rm", "-f", "busy"]).finish().ok();
    }
}

/// Twenty periods are two seconds where the machine has nothing else to do.
const LONG: Duration = Duration::from_mins(2);

/// The directories of a process's control group.
struct CpuGroup {
    cpu: PathBuf,
    usage: PathBuf,
}

impl CpuGroup {
    fn of(pid: i32) -> Self {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it lives");
        let path = |controller: &str| {
            text.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':');
                let controllers = fields.nth(1)?;
                let path = fields.next()?.trim_start_matches('/');
                let root = Path::new("/sys/fs/cgroup");
                let has = controllers.split(',').any(|it| it == controller);
                has.then(|| root.join(controller).join(path))
            })
        };
        if let (Some(cpu), Some(cpuacct)) = (path("cpu"), path("cpuacct")) {
            return Self {
                cpu: cpu.join("cpu.stat"),
                usage: cpuacct.join("cpuacct.usage"),
            };
        }
        let stat = path("").expect("a group of v2").join("cpu.stat");
        Self {
            cpu: stat.clone(),
            usage: stat,
        }
    }

    fn number(&self, key: &str) -> f64 {
        let text = std::fs::read_to_string(&self.cpu).expect("the group is there");
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.expect("the key").trim().parse().expect("a number")
    }

    fn used_s(&self) -> f64 {
        if self.usage == self.cpu {
            return self.number("usage_usec ") / 1e6;
        }
        let text = std::fs::read_to_string(&self.usage).expect("the group is there");
        text.trim().parse::<f64>().expect("nanoseconds") / 1e9
    }
}

/// What a group has used, and the counts of its periods just before and just after.
#[derive(Debug)]
struct Sample {
    used_s: f64,
    periods: (f64, f64),
    throttled: (f64, f64),
}

impl Sample {
    fn take(group: &CpuGroup) -> Self {
        let counts = || (group.number("nr_periods "), group.number("nr_throttled "));
        let before = counts();
        let used_s = group.used_s();
        let after = counts();
        Self {
            used_s,
            periods: (before.0, after.0),
            throttled: (before.1, after.1),
        }
    }
}
