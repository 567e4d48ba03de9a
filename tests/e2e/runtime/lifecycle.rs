//! States and verbs: which follows which, and what a verb in the wrong one does.

use std::fs;

use hythe_tests::{Bundle, CommandExt as _, SHORT, eventually};
use serde_json::{Value, json};

#[test]
fn states_follow_each_other() {
    let mut bundle = Bundle::new("echo started; exec sleep 1000");
    bundle.config["annotations"] = json!({"org.example.key": "value"});
    let pid_file = bundle.path("pid");
    let pid_file = pid_file.to_str().expect("a UTF-8 path");
    bundle.create_with(&["--pid-file", pid_file]).ok();
    let state = bundle.state();
    let pid = bundle.pid();
    assert_eq!(state["status"], "created");
    assert_eq!(state["id"], bundle.id.as_str());
    assert_eq!(state["annotations"]["org.example.key"], "value");
    assert!(
        state["ociVersion"]
            .as_str()
            .is_some_and(|it| it.starts_with("1."))
    );
    assert_eq!(
        fs::read_to_string(pid_file).expect("a file"),
        pid.to_string()
    );
    // Nothing of the program runs before it is started, and nobody waits for it.
    assert_eq!(bundle.output(), "");

    // What the bundle says afterwards is too late.
    bundle.process()["args"] = json!(["false"]);
    bundle.verb(&["start"]).ok();
    assert_eq!(bundle.status(), "running");
    assert_eq!(bundle.pid(), pid);
    eventually("the program runs", SHORT, || {
        (bundle.output() == "started\n").then_some(())
    });
    let listed = bundle.runtime(&["list", "--format", "json"]).finish().ok();
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(listed[0]["pid"], pid);
    let processes = bundle.verb(&["ps", "--format", "json"]).ok().text();
    assert_eq!(processes, format!("[{pid}]"));
    assert!(bundle.verb(&["ps"]).ok().text().contains("sleep 1000"));

    bundle.runtime(&["kill", &bundle.id, "KILL"]).finish().ok();
    eventually("it ends", SHORT, || {
        (bundle.status() == "stopped").then_some(())
    });
    assert_eq!(bundle.pid(), 0);
    bundle.verb(&["delete"]).ok();
    bundle.verb(&["state"]).fails_saying("does not exist");
    bundle.assert_nothing_left();
}

#[test]
fn a_verb_in_the_wrong_state_fails_and_changes_nothing() {
    let bundle = Bundle::new("exec sleep 1000");
    for verb in ["start", "state", "kill", "delete", "ps", "pause", "resume"] {
        bundle.verb(&[verb]).fails_saying("does not exist");
    }
    bundle.verb(&["delete", "--force"]).ok();

    bundle.create().ok();
    bundle.create().fails_saying("already exists");
    bundle.verb(&["run"]).fails_saying("already exists");
    bundle
        .runtime(&["exec", &bundle.id, "true"])
        .finish()
        .fails_with(255);
    assert_eq!(bundle.status(), "created");

    bundle.verb(&["start"]).ok();
    bundle.verb(&["start"]).fails_saying("already running");
    bundle
        .verb(&["delete"])
        .fails_saying("not stopped: running");
    bundle.verb(&["resume"]).fails_saying("not paused");
    bundle
        .runtime(&["kill", &bundle.id, "NOSUCH"])
        .finish()
        .fails_saying("invalid signal");
    bundle.verb(&["pause"]).ok();
    assert_eq!(bundle.status(), "paused");
    bundle
        .runtime(&["exec", &bundle.id, "true"])
        .finish()
        .fails_saying("paused");
    bundle.verb(&["resume"]).ok();
    assert_eq!(bundle.status(), "running");

    bundle
        .runtime(&["kill", "--all", &bundle.id, "9"])
        .finish()
        .ok();
    eventually("it ends", SHORT, || {
        (bundle.status() == "stopped").then_some(())
    });
    bundle.verb(&["start"]).fails_saying("has stopped");
    bundle.verb(&["kill"]).fails_saying("not running");
    bundle.verb(&["delete"]).ok();
    bundle.assert_nothing_left();
}

#[test]
fn created_and_running_ones_can_be_removed_by_force() {
    let bundle = Bundle::new("exec sleep 1000");
    bundle.create().ok();
    bundle.verb(&["delete"]).ok();
    bundle.assert_nothing_left();
    bundle.launch();
    bundle.verb(&["pause"]).ok();
    bundle.verb(&["delete", "--force"]).ok();
    bundle.assert_nothing_left();
}

#[test]
fn bundles_that_cannot_be_run_are_refused_and_leave_nothing() {
    type Case = (&'static str, fn(&mut Value));
    let cases: &[Case] = &[
        ("ociVersion", |it| it["ociVersion"] = json!("2.0.0")),
        ("process is not set", |it| it["process"] = Value::Null),
        ("process.args", |it| it["process"]["args"] = json!([])),
        ("process.cwd", |it| it["process"]["cwd"] = json!("tmp")),
        ("root.path", |it| it["root"]["path"] = json!("missing")),
        ("--console-socket", |it| {
            it["process"]["terminal"] = json!(true);
        }),
        ("executable file not found", |it| {
            it["process"]["args"] = json!(["no-such-program"]);
        }),
        ("no such file or directory", |it| {
            it["process"]["args"] = json!(["/no/such/program"]);
        }),
        ("permission denied", |it| {
            it["process"]["args"] = json!(["/etc/plain"]);
        }),
        ("unknown file system", |it| {
            it["mounts"][0]["type"] = json!("nosuchfs");
        }),
        ("vm.swappiness", |it| {
            it["linux"]["sysctl"] = json!({"vm.swappiness": "1"});
        }),
    ];
    for (words, change) in cases {
        let mut bundle = Bundle::new("true");
        fs::write(bundle.rootfs().join("etc/plain"), "").expect("a file");
        change(&mut bundle.config);
        let run = bundle.create();
        // The kernel has no words of its own for an unknown type.
        if *words == "unknown file system" {
            run.fails_with(1);
        } else {
            run.fails_saying(words);
        }
        bundle.assert_nothing_left();
    }
    let bundle = Bundle::new("true");
    bundle
        .runtime(&["create", "--bundle", "/no/such/bundle", &bundle.id])
        .finish()
        .fails_saying("cannot open the bundle");
    fs::remove_file(bundle.path("config.json")).expect("it was written");
    let create = ["create", &*bundle.id];
    bundle
        .runtime_on_what_is_there(&create)
        .finish()
        .fails_saying("config.json");
    fs::write(bundle.path("config.json"), "{\"ociVersion\":").expect("a file");
    bundle
        .runtime_on_what_is_there(&create)
        .finish()
        .fails_saying("config.json");
    for id in ["../escape", ".", "", "a b", "a/b"] {
        bundle
            .runtime(&["create", id])
            .finish()
            .fails_saying("invalid container id");
    }
    bundle.assert_nothing_left();
}

#[test]
fn run_returns_the_exit_code_and_removes() {
    let bundle = Bundle::new("echo out; echo err >&2; exit 42");
    let run = bundle.run().fails_with(42);
    assert_eq!(
        (run.text(), run.error_text()),
        ("out".to_owned(), "err".to_owned())
    );
    bundle.assert_nothing_left();
    bundle.verb(&["run", "--keep"]).fails_with(42);
    assert_eq!(bundle.status(), "stopped");
    // The kernel spares the first process of a namespace from itself.
    let mut killed = Bundle::new("kill -9 $$");
    killed.namespace("pid", None);
    killed.run().fails_with(137);
}

#[test]
fn exec_runs_beside_the_program() {
    let bundle = Bundle::new("exec sleep 1000");
    bundle.launch();
    let exec = |words: &[&str]| {
        let mut all = vec!["exec"];
        all.extend_from_slice(words);
        bundle.runtime(&all).finish()
    };
    let id = &*bundle.id;
    assert_eq!(exec(&[id, "cat", "/proc/1/comm"]).ok().text(), "sleep");
    exec(&[id, "sh", "-c", "exit 9"]).fails_with(9);
    exec(&[id, "no-such-program"])
        .fails_with(255)
        .fails_saying("not found");
    let words = [
        "--cwd", "/tmp", "--env", "A=b", "--user", "7:8", "-g", "9", id,
    ];
    let script = ["sh", "-c", "pwd; echo $A; id -u; id -g; id -G"];
    let run = exec(&[&words[..], &script[..]].concat()).ok();
    assert_eq!(run.lines(), ["/tmp", "b", "7", "8", "8 9"]);
    let run = exec(&["--tty", id, "tty"]).ok();
    assert_eq!(run.text(), "/dev/pts/0");
    let pid_file = bundle.path("exec.pid");
    let pid_file = pid_file.to_str().expect("a UTF-8 path");
    let away = ["sh", "-c", "exec sleep 1001 >/dev/null 2>&1"];
    let detached = ["--detach", "--pid-file", pid_file, id];
    exec(&[&detached[..], &away[..]].concat()).ok();
    let pid = eventually("the program is the one that was asked for", SHORT, || {
        let pid = fs::read_to_string(pid_file).ok()?;
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        (command == "sleep\x001001\x00").then_some(pid)
    });
    assert!(!pid.is_empty());
    let process = bundle.path("process.json");
    let json = json!({"args": ["id", "-u"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 5, "gid": 6}});
    fs::write(&process, json.to_string()).expect("a file");
    let run = exec(&["--process", process.to_str().expect("a UTF-8 path"), id]).ok();
    assert_eq!(run.text(), "5");
    bundle.verb(&["delete", "--force"]).ok();
    bundle.assert_nothing_left();
}

#[test]
fn errors_go_to_the_log_that_engines_read() {
    let bundle = Bundle::new("true");
    let log = bundle.path("log.json");
    let path = log.to_str().expect("a UTF-8 path");
    let mut words = vec!["--log", path, "--log-format", "json"];
    words.extend_from_slice(&["start", &bundle.id]);
    bundle.runtime(&words).finish().fails_with(1);
    let text = fs::read_to_string(&log).expect("a log");
    let line: Value = serde_json::from_str(text.trim()).expect("JSON");
    assert_eq!(line["level"], "error");
    assert!(
        line["msg"]
            .as_str()
            .is_some_and(|it| it.contains("does not exist"))
    );
    bundle
        .runtime(&["--systemd-cgroup", "list"])
        .finish()
        .fails_saying("--systemd-cgroup is not supported");
    let version = bundle.runtime(&["--version"]).finish().ok();
    assert!(version.text().starts_with("hythe-runtime "));
    let features = bundle.runtime(&["features"]).finish().ok();
    let features: Value = serde_json::from_slice(&features.stdout).expect("JSON");
    assert_eq!(features["ociVersionMin"], "1.0.0");
}
