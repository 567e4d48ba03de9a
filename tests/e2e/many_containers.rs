//! Twenty clients start two hundred containers at once and remove them: nothing is left, neither
//! on the machine nor in the agent. The figures are in the test's output.

use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use hythe_tests::{Agent, CommandExt as _, Host, Leftovers, SHORT, Server, eventually, shims};
use serde_json::{Value, json};

use crate::push_busybox;

const CLIENTS: usize = 20;
const EACH: usize = 10;

/// What the agent itself holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    descriptors: usize,
    threads: usize,
    resident_kib: usize,
}

impl Held {
    fn by(agent: &Agent<'_>) -> Self {
        let process = format!("/proc/{}", agent.process_id());
        let count = |what: &str| {
            let entries = std::fs::read_dir(format!("{process}/{what}"));
            entries.expect("the agent runs").count()
        };
        let status = std::fs::read_to_string(format!("{process}/status")).expect("it runs");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|text| text.trim().strip_suffix(" kB"));
        Self {
            descriptors: count("fd"),
            threads: count("task"),
            resident_kib: resident.expect("a size").parse().expect("a number"),
        }
    }
}

#[test]
fn two_hundred_containers_leave_nothing() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    agent.docker(&["pull", "--quiet", &image]).finish().ok();
    // Once small, so that what the agent makes for good is there.
    come_and_go(&agent, &image, 1);
    let before = Leftovers::list(&agent, &[]);
    let fresh = Held::by(&agent);
    let started = Instant::now();
    let (ids, full) = come_and_go(&agent, &image, EACH);
    let took = started.elapsed();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    Leftovers::wait_until_same(&agent, &ids, &before);
    // Threads that waited for the disk end when nothing more comes for a while.
    let threads = fresh.threads.max(full.threads);
    eventually("the agent has let go of all it held", SHORT, || {
        let held = Held::by(&agent);
        (held.descriptors <= fresh.descriptors && held.threads <= threads).then_some(())
    });
    let after = Held::by(&agent);
    println!(
        "{} containers by {CLIENTS} clients in {took:?}; the agent before, with all of them, and \
         after: {fresh:?}, {full:?}, {after:?}; left on the machine: nothing",
        ids.len(),
    );
    assert!(
        after.resident_kib < fresh.resident_kib + 16 * 1024,
        "{fresh:?} {after:?}"
    );
}

/// Starts containers from all clients, looks at the agent while they all run, and removes them.
fn come_and_go(agent: &Agent<'_>, image: &str, each: usize) -> (Vec<String>, Held) {
    let socket = agent.socket();
    let all_run = Barrier::new(CLIENTS + 1);
    let looked = Barrier::new(CLIENTS + 1);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let ids: Vec<String> = (0..each).map(|_| start(&socket, image)).collect();
                    all_run.wait();
                    looked.wait();
                    for id in &ids {
                        let path = format!("/containers/{id}?force=1&v=1");
                        assert_eq!(ask(&socket, "DELETE", &path, &Value::Null).0, "204");
                    }
                    ids
                })
            })
            .collect();
        all_run.wait();
        let held = Held::by(agent);
        let n_shims = shims(&agent.data()).len();
        let running = agent.docker(&["ps", "-q"]).finish().lines().len();
        looked.wait();
        let ids = clients.into_iter().map(thread::ScopedJoinHandle::join);
        let ids: Result<Vec<Vec<String>>, _> = ids.collect();
        let ids = ids.expect("every client came through").concat();
        assert_eq!((n_shims, running), (ids.len(), ids.len()));
        (ids, held)
    })
}

fn start(socket: &Path, image: &str) -> String {
    let body = json!({"Image": image, "Cmd": ["sleep", "1000"], "StopSignal": "SIGKILL"});
    let (status, answer) = ask(socket, "POST", "/containers/create", &body);
    assert_eq!(status, "201", "{answer}");
    let id = answer["Id"].as_str().expect("an id").to_owned();
    let path = format!("/containers/{id}/start");
    let (status, answer) = ask(socket, "POST", &path, &Value::Null);
    assert_eq!(status, "204", "{answer}");
    id
}

fn ask(socket: &Path, method: &str, path: &str, body: &Value) -> (String, Value) {
    let run = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "120",
            "--request",
            method,
        ])
        .args(["--write-out", "\n%{http_code}"])
        .args(["--header", "Content-Type: application/json"])
        .args(["--data", &body.to_string()])
        .arg("--unix-socket")
        .arg(socket)
        .arg(format!("http://localhost{path}"))
        .finish()
        .ok();
    let text = run.text();
    let (answer, status) = text.rsplit_once('\n').unwrap_or(("", &text));
    let answer = serde_json::from_str(answer).unwrap_or(Value::Null);
    (status.to_owned(), answer)
}
