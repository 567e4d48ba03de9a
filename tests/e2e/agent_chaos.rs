//! The agent dies by `kill -9` in the middle of whatever its clients ask, at times with a shim:
//! after every restart what `ps -a` says is what the kernel says.
//!
//! `HYTHE_CRASH_ROUNDS` says how often it dies. The figures are in the test's output.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hythe_tests::{Agent, CommandExt as _, Host, Leftovers, SHORT, Server, shims};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::push_busybox;

const CLIENTS: usize = 3;
const NAMES: usize = 8;

#[derive(Debug, Default)]
struct Figures {
    /// Answers, by the hundreds of their status.
    answers: [AtomicUsize; 6],
    unanswered: AtomicUsize,
    shims_killed: usize,
    running: usize,
    listed: usize,
}

/// A container as the list and the inspection show it.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    state: String,
    pid: i32,
}

#[test]
fn what_ps_says_is_what_the_kernel_says() {
    let rounds: usize = std::env::var("HYTHE_CRASH_ROUNDS")
        .map_or(8, |text| text.parse().expect("a number of rounds"));
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let mut agent = Agent::start(&host);
    agent.docker(&["pull", "--quiet", &image]).finish().ok();
    agent.docker(&["run", "--rm", &image, "true"]).finish().ok();
    let before = Leftovers::list(&agent, &[]);
    let socket = agent.socket();
    let mut figures = Figures::default();
    let mut ever = BTreeSet::new();
    let started = Instant::now();
    for round in 0..rounds {
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| ask_until_it_dies(&socket, &image, &figures));
            }
            // Not a wait for something: the moment of death is meant to be any.
            thread::sleep(Duration::from_millis(rand::random_range(50..900)));
            agent.kill_dash_nine();
        });
        if rand::random_ratio(1, 3)
            && let Some(shim) = shims(&agent.data()).into_keys().next()
        {
            // It may end by itself in this very moment.
            figures.shims_killed += usize::from(kill(Pid::from_raw(shim), Signal::SIGKILL).is_ok());
        }
        agent.restart();
        let shown = agree(&agent, &mut ever, round);
        figures.listed += shown.len();
        figures.running += shown.values().filter(|shown| shown.pid != 0).count();
    }
    let all = agent.docker(&["ps", "-aq"]).finish().ok().lines();
    if !all.is_empty() {
        let ids = all.iter().map(String::as_str);
        let words: Vec<&str> = ["rm", "-f", "-v"].into_iter().chain(ids).collect();
        agent.docker(&words).finish().ok();
    }
    agent.docker(&["volume", "prune", "-f"]).finish().ok();
    let ids: Vec<&str> = ever.iter().map(String::as_str).collect();
    Leftovers::wait_until_same(&agent, &ids, &before);
    let answers = |class: usize| figures.answers[class].load(Ordering::Relaxed);
    println!(
        "{rounds} rounds in {:?}: {} requests done, {} refused, {} failed, {} cut off by a death; \
         {} shims killed; {} containers in all; after the restarts {} of {} listed ran, and the \
         kernel agreed each time",
        started.elapsed(),
        answers(2) + answers(3),
        answers(4),
        answers(5),
        figures.unanswered.load(Ordering::Relaxed),
        figures.shims_killed,
        ever.len(),
        figures.running,
        figures.listed,
    );
    assert!(answers(2) > rounds, "hardly anything was done: {figures:?}");
}

/// Asks for one thing after the other until nobody answers.
fn ask_until_it_dies(socket: &Path, image: &str, figures: &Figures) {
    loop {
        let (method, path, body) = something(image);
        let run = Command::new("curl")
            .args(["--silent", "--max-time", "30", "--request", method])
            .args(["--output", "/dev/null", "--write-out", "%{http_code}"])
            .args(["--header", "Content-Type: application/json"])
            .args(["--data", &body.to_string()])
            .arg("--unix-socket")
            .arg(socket)
            .arg(format!("http://localhost{path}"))
            .finish();
        let status: usize = run.text().parse().unwrap_or(0);
        if run.code != 0 || status == 0 {
            figures.unanswered.fetch_add(1, Ordering::Relaxed);
            return;
        }
        figures.answers[(status / 100).min(5)].fetch_add(1, Ordering::Relaxed);
    }
}

/// Any request that changes something.
fn something(image: &str) -> (&'static str, String, Value) {
    let name = format!("n{}", rand::random_range(0..NAMES));
    let pick = |from: &[&'static str]| from[rand::random_range(0..from.len())];
    let at = |verb: &str| format!("/containers/{name}/{verb}");
    match rand::random_range(0..12) {
        0..=2 => {
            let script = pick(&[
                "exec sleep 1000",
                "exit 3",
                "sleep 0.2",
                "echo a; exec sleep 1000",
            ]);
            let restart = pick(&["no", "no", "always", "on-failure"]);
            let body = json!({
                "Image": image, "Cmd": ["sh", "-c", script], "StopSignal": "SIGKILL",
                "HostConfig": {
                    "NetworkMode": pick(&["bridge", "none"]),
                    "RestartPolicy": {"Name": restart},
                    "AutoRemove": restart == "no" && rand::random_ratio(1, 4),
                    "Binds": [pick(&["kept:/data", "other:/data"])],
                },
            });
            ("POST", format!("/containers/create?name={name}"), body)
        }
        3..=5 => ("POST", at("start"), Value::Null),
        6 => ("POST", at("stop?t=1"), Value::Null),
        7 => ("POST", at("restart?t=0"), Value::Null),
        8 => ("POST", at(pick(&["pause", "unpause"])), Value::Null),
        9 => ("POST", at("kill"), Value::Null),
        10 => ("POST", at("update"), json!({"CpuShares": 500})),
        _ => (
            "DELETE",
            format!("/containers/{name}?force=1&v=1"),
            Value::Null,
        ),
    }
}

/// Waits until the two agree: a restart policy may be at work.
#[track_caller]
fn agree(agent: &Agent<'_>, ever: &mut BTreeSet<String>, round: usize) -> BTreeMap<String, Shown> {
    let start = Instant::now();
    loop {
        let shown = listed(agent);
        ever.extend(shown.keys().cloned());
        let differences = differences(agent, &shown, ever);
        if differences.is_empty() {
            return shown;
        }
        assert!(
            start.elapsed() < SHORT,
            "round {round}: {differences:#?}\n{shown:#?}\n{:#?}",
            shims(&agent.data())
        );
        thread::sleep(Duration::from_millis(100));
    }
}

fn listed(agent: &Agent<'_>) -> BTreeMap<String, Shown> {
    let list = agent.api("/containers/json?all=1", &[]).json();
    let list = list.as_array().expect("a list");
    let shown = list.iter().filter_map(|entry| {
        let id = entry["Id"].as_str().expect("an id");
        let inspected = agent.api(&format!("/containers/{id}/json"), &[]);
        // One that removes itself may be gone by now.
        let inspected = (inspected.status == 200).then(|| inspected.json())?;
        let state = &inspected["State"];
        let shown = Shown {
            state: state["Status"].as_str().expect("a state").to_owned(),
            pid: i32::try_from(state["Pid"].as_i64().expect("a number")).expect("a process id"),
        };
        Some((id.to_owned(), shown))
    });
    shown.collect()
}

fn differences(
    agent: &Agent<'_>,
    shown: &BTreeMap<String, Shown>,
    ever: &BTreeSet<String>,
) -> Vec<String> {
    let mut found = Vec::new();
    let shims = shims(&agent.data());
    let populated = populated(ever);
    for (id, Shown { state, pid }) in shown {
        let live = matches!(state.as_str(), "running" | "paused");
        let mut say = |what: &str| found.push(format!("{id}, {state}, {pid}: {what}"));
        if live != (*pid != 0) {
            say("state and process id");
        }
        if !live && populated.contains(id) {
            say("its processes live");
        }
        if !live && state != "restarting" && shims.values().any(|other| other == id) {
            say("its shim lives");
        }
        if live && parent(*pid).is_none_or(|parent| shims.get(&parent) != Some(id)) {
            say("its init is no child of its shim");
        }
        if live && is_frozen(*pid) != (state == "paused") {
            say("the freezer says otherwise");
        }
    }
    for id in shims.values().filter(|id| !shown.contains_key(*id)) {
        found.push(format!("{id}: a shim of a container that is not listed"));
    }
    for id in populated.iter().filter(|id| !shown.contains_key(*id)) {
        found.push(format!("{id}: processes of a container that is not listed"));
    }
    found
}

/// Which of the containers have a process in their control groups.
fn populated(ids: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc").expect("/proc").filter_map(Result::ok) {
        let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        found.extend(
            ids.iter()
                .filter(|id| groups.contains(id.as_str()))
                .cloned(),
        );
    }
    found
}

fn parent(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}

/// By the freezer of cgroup v1, or by the group's own switch in v2.
fn is_frozen(pid: i32) -> bool {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    groups.lines().any(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            return false;
        };
        let read = |file: String| fs::read_to_string(file).unwrap_or_default();
        match controllers {
            "freezer" => {
                let state = read(format!("/sys/fs/cgroup/freezer{path}/freezer.state"));
                state.trim() == "FROZEN"
            }
            "" => read(format!("/sys/fs/cgroup{path}/cgroup.freeze")).trim() == "1",
            _ => false,
        }
    })
}
