//! A full disk, no inodes, no descriptors, no processes: errors in words, and an agent that goes
//! on as soon as there is room again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use hythe_tests::{Agent, CommandExt as _, Connection, Finished, Host, SHORT, Server, eventually};
use tempfile::TempDir;

use crate::push_busybox;

/// A small file system in memory.
#[derive(Debug)]
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new(options: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "small"])
            .arg(directory.path())
            .finish()
            .ok();
        Self(directory)
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: after a failure containers may still be on it.
        Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .finish();
    }
}

/// Runs `scenario` with an agent that has its data on a small disk.
#[track_caller]
fn on_small_disk(options: &str, scenario: impl FnOnce(&mut Agent<'_>, &str, &Path)) {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let disk = SmallDisk::new(options);
    let mut agent = Agent::start_on(&host, disk.data());
    agent.docker(&["pull", "--quiet", &image]).finish().ok();
    scenario(&mut agent, &image, disk.0.path());
    drop(agent);
}

/// An agent in want: it answers, refuses in words, lets go of things, and starts anew; with
/// `relieve` all is well again.
#[track_caller]
fn lives_through_want(agent: &mut Agent<'_>, image: &str, relieve: impl FnOnce()) {
    let docker = |agent: &Agent<'_>, words: &[&str]| -> Finished { agent.docker(words).finish() };
    let names = |agent: &Agent<'_>| {
        docker(agent, &["ps", "-a", "--format", "{{.Names}}"])
            .ok()
            .lines()
    };
    docker(agent, &["run", "--name", "late", image, "true"])
        .fails_saying("No space left on device");
    docker(agent, &["volume", "create", "late"]).fails_saying("No space left on device");
    assert_eq!(names(agent), ["idle", "talking"], "nothing is left of it");
    docker(agent, &["exec", "idle", "true"]).ok();
    docker(agent, &["inspect", "idle"]).ok();
    agent.restart();
    assert_eq!(names(agent), ["idle", "talking"]);
    let running = docker(agent, &["ps", "-q"]).ok().lines().len();
    assert_eq!(running, 2, "they outlive a restart in want");
    // What gives room has to work without any.
    docker(agent, &["stop", "-t", "0", "talking"]).ok();
    docker(agent, &["rm", "-f", "talking"]).ok();
    assert_eq!(names(agent), ["idle"]);
    relieve();
    docker(agent, &["run", "--rm", image, "true"]).ok();
    docker(agent, &["restart", "-t", "0", "idle"]).ok();
    docker(agent, &["rm", "-f", "idle"]).ok();
}

fn two_containers(agent: &Agent<'_>, image: &str) {
    agent
        .docker(&["run", "-d", "--name", "talking", image, "sh", "-c"])
        .arg("while :; do echo words and words and words; sleep 0.05; done")
        .finish()
        .ok();
    agent
        .docker(&["run", "-d", "--name", "idle", image, "sleep", "1000"])
        .finish()
        .ok();
}

#[test]
fn a_full_disk() {
    on_small_disk("size=24m", |agent, image, disk| {
        two_containers(agent, image);
        // A container fills it up, and is told.
        let fill =
            "dd if=/dev/zero of=/fill bs=1M 2>&1; dd if=/dev/zero of=/rest bs=1 2>&1; sleep 0";
        let filled = agent.docker(&["exec", "idle", "sh", "-c", fill]).finish();
        assert!(
            filled.text().contains("No space left on device"),
            "{filled:?}"
        );
        // And what the log of the other one took meanwhile.
        let filler = disk.join("filler");
        let fill_rest = || drop(fs::write(&filler, vec![0; 8 << 20]));
        fill_rest();
        let image = image.to_owned();
        lives_through_want(agent, &image, || {
            fs::remove_file(&filler).expect("the filler is there");
        });
    });
}

#[test]
fn no_inodes_left() {
    on_small_disk("size=64m,nr_inodes=3000", |agent, image, disk| {
        two_containers(agent, image);
        let folder = disk.join("many");
        fs::create_dir(&folder).expect("one more");
        let mut names = (0..).map(|n| folder.join(format!("{n}")));
        while names
            .next()
            .is_some_and(|name| fs::File::create(name).is_ok())
        {}
        let image = image.to_owned();
        lives_through_want(agent, &image, || {
            fs::remove_dir_all(&folder).expect("the files are there");
        });
    });
}

/// Says how many descriptors the agent may have from now on.
fn limit_descriptors(agent: &Agent<'_>, limit: &str) {
    Command::new("prlimit")
        .args(["--pid", &agent.process_id().to_string()])
        .arg(format!("--nofile={limit}:"))
        .finish()
        .ok();
}

#[test]
fn no_descriptors_left() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let mut agent = Agent::start(&host);
    two_containers(&agent, &image);
    let open = || Connection::open_socket(&agent.socket()).expect("it listens");
    let ask = |connection: &mut Connection<_>, method: &str, path: &str, body: &str| {
        let headers = ["content-type: application/json"];
        connection
            .ask(method, path, &headers, body.as_bytes())
            .expect("an answer")
    };
    let mut known = open();
    assert_eq!(ask(&mut known, "GET", "/_ping", "").status, 200);
    // It keeps those it has, and gets none besides the three that every program has.
    limit_descriptors(&agent, "3");
    let mut late = open();
    let all = ask(&mut known, "GET", "/containers/json", "");
    assert_eq!(all.status, 200, "{all:?}");
    let body = format!(r#"{{"Image": "{image}", "Cmd": ["true"]}}"#);
    let refused = ask(&mut known, "POST", "/containers/create", &body);
    assert_eq!(refused.status, 500, "{refused:?}");
    assert!(
        refused.text().contains("Too many open files"),
        "{refused:?}"
    );
    let body = r#"{"Cmd": ["true"], "AttachStdout": true}"#;
    let made = ask(&mut known, "POST", "/containers/idle/exec", body);
    assert_eq!(made.status, 201, "a command may be tried: {made:?}");
    let exec = made.json()["Id"].as_str().expect("an id").to_owned();
    let start = format!("/exec/{exec}/start");
    let refused = ask(&mut known, "POST", &start, r#"{"Detach": true}"#);
    assert_eq!(refused.status, 500, "{refused:?}");
    let still = ask(&mut known, "GET", "/containers/talking/json", "");
    assert_eq!(still.json()["State"]["Running"], true, "{still:?}");

    limit_descriptors(&agent, "1024");
    assert_eq!(ask(&mut late, "GET", "/_ping", "").status, 200, "it waited");
    agent.docker(&["run", "--rm", &image, "true"]).finish().ok();
    agent.docker(&["exec", "idle", "true"]).finish().ok();
    let names = agent
        .docker(&["ps", "-a", "--format", "{{.Names}}"])
        .finish()
        .ok();
    assert_eq!(names.lines(), ["idle", "talking"], "nothing is left of it");
    assert!(!agent.log().contains("panicked"), "{}", agent.log());
    agent.restart();
    agent.docker(&["rm", "-f", "idle", "talking"]).finish().ok();
}

#[test]
fn an_agent_that_cannot_look_leaves_its_containers_alone() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let mut agent = Agent::start(&host);
    two_containers(&agent, &image);
    let pids = ["idle", "talking"].map(|name| agent.init_pid(name));
    agent.kill_dash_nine();
    // From too few descriptors for anything to nearly enough.
    let log = agent.data().with_extension("poor.log");
    for limit in 8..=44 {
        let poor = host
            .command("prlimit")
            .arg(format!("--nofile={limit}:{limit}"))
            .arg(hythe_tests::hythe_binary())
            .args(["agent", "--socket"])
            .arg(agent.socket())
            .arg("--data")
            .arg(agent.data())
            .stderr(fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("prlimit starts");
        let mut poor = KilledOnDrop(poor);
        eventually("it gives up, answers, or says why not", SHORT, || {
            let ended = poor.0.try_wait().expect("it can be asked").is_some();
            let said = fs::read_to_string(&log).expect("a log");
            // It has none left for anybody, and waits for some: there are tests of that above.
            let waits = ["cannot accept a connection", "cannot watch a connection"]
                .iter()
                .any(|words| said.contains(words));
            let answers = || {
                let mut connection = Connection::open_socket(&agent.socket())?;
                connection.ask("GET", "/_ping", &[], b"")
            };
            (ended || waits || answers().is_ok()).then_some(())
        });
        drop(poor);
        for pid in pids {
            let init = nix::unistd::Pid::from_raw(pid);
            let lives = nix::sys::signal::kill(init, None).is_ok();
            assert!(lives, "killed by an agent with {limit} descriptors");
        }
    }
    agent.restart();
    assert_eq!(["idle", "talking"].map(|name| agent.init_pid(name)), pids);
    agent.docker(&["rm", "-f", "idle", "talking"]).finish().ok();
}

/// A process that does not outlive its test.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        // One that has ended is no error.
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

/// A control group that counts processes and threads.
#[derive(Debug)]
struct ProcessGroup(PathBuf);

impl ProcessGroup {
    fn new() -> Self {
        let name = format!("hythe-test-{:08x}", rand::random::<u32>());
        let legacy = Path::new("/sys/fs/cgroup/pids");
        let root = if legacy.exists() {
            legacy
        } else {
            let all = Path::new("/sys/fs/cgroup");
            fs::write(all.join("cgroup.subtree_control"), "+pids").expect("the controller");
            all
        };
        let path = root.join(name);
        fs::create_dir(&path).expect("a group");
        Self(path)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).expect("a file of the group");
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        let gone = || fs::remove_dir(&self.0).ok();
        if std::thread::panicking() {
            gone();
        } else {
            eventually("the group is empty", SHORT, gone);
        }
    }
}

#[test]
fn no_processes_left() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let group = ProcessGroup::new();
    let agent = Agent::start(&host);
    group.write("cgroup.procs", &agent.process_id().to_string());
    two_containers(&agent, &image);
    let docker = |words: &[&str]| agent.docker(words).finish();
    // Not one process or thread more, neither of the agent nor of its shims.
    group.write("pids.max", "1");
    // Beside the first and one for each processor it keeps one or two; others end when they have
    // nothing to do.
    let status = format!("/proc/{}/status", agent.process_id());
    let n_threads = || {
        let text = fs::read_to_string(&status).expect("the agent lives");
        let line = text.lines().find_map(|line| line.strip_prefix("Threads:"));
        line.and_then(|count| count.trim().parse::<usize>().ok())
            .expect("a number")
    };
    let always = 3 + std::thread::available_parallelism().map_or(1, usize::from);
    eventually("idle threads have ended", SHORT, || {
        (n_threads() <= always).then_some(())
    });
    for _ in 0..2 {
        docker(&["run", "--name", "late", &image, "true"])
            .fails_saying("Resource temporarily unavailable");
        docker(&["rm", "late"]).ok();
    }
    docker(&["exec", "idle", "true"]).fails_saying("resource temporarily unavailable");
    let names = docker(&["ps", "-a", "--format", "{{.Names}}"]).ok();
    assert_eq!(names.lines(), ["idle", "talking"]);
    docker(&["logs", "--tail", "1", "talking"]).ok();
    docker(&["volume", "create", "kept"]).ok();
    docker(&["stop", "-t", "0", "talking"]).ok();
    docker(&["rm", "-f", "talking"]).ok();

    group.write("pids.max", "max");
    docker(&["run", "--rm", &image, "true"]).ok();
    docker(&["exec", "idle", "true"]).ok();
    docker(&["restart", "-t", "0", "idle"]).ok();
    let names = docker(&["ps", "-a", "--format", "{{.Names}}"]).ok();
    assert_eq!(names.lines(), ["idle"]);
    docker(&["rm", "-f", "idle"]).ok();
    assert!(!agent.log().contains("panicked"), "{}", agent.log());
    drop(agent);
    drop(group);
}
