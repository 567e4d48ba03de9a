//! Hooks: which runs when, where, and what one that fails does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use hythe_tests::{Bundle, SHORT, eventually};
use serde_json::{Value, json};

const KINDS: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

/// Every hook writes a line of its own: kind, status and id it was told, and whether its mounts
/// are the host's.
fn with_hooks(script: &str) -> Bundle {
    let mut bundle = Bundle::new(script);
    let host = fs::read_link("/proc/self/ns/mnt").expect("a namespace");
    let text = format!(
        "#!/bin/busybox sh\n\
         state=$(cat)\n\
         word() {{ echo \"$state\" | sed \"s/.*\\\"$1\\\":\\\"\\([^\\\"]*\\)\\\".*/\\1/\"; }}\n\
         where=container\n\
         [ \"$(readlink /proc/self/ns/mnt)\" = '{}' ] && where=host\n\
         echo \"$1 $(word status) $(word id) $where $MARK\" >>\"$2\"\n\
         [ -z \"$3\" ] || exit 1\n",
        host.display()
    );
    let log = bundle.path("hooks.log");
    // `startContainer` is looked for and run inside.
    let inside = bundle.rootfs().join("hook");
    for path in [bundle.path("hook"), inside] {
        fs::write(&path, &text).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    fs::write(&log, "").expect("a file");
    bundle.mount(json!({
        "destination": "/hooks.log", "type": "bind", "source": log, "options": ["bind"],
    }));
    let mut hooks = json!({});
    for kind in KINDS {
        hooks[kind] = json!([hook(&bundle, kind, false)]);
    }
    bundle.config["hooks"] = hooks;
    bundle
}

fn hook(bundle: &Bundle, kind: &str, fails: bool) -> Value {
    let (path, log) = if kind == "startContainer" {
        ("/hook".into(), "/hooks.log".into())
    } else {
        (bundle.path("hook"), bundle.path("hooks.log"))
    };
    let fails = if fails { "fails" } else { "" };
    json!({"path": path, "args": ["hook", kind, log, fails], "env": ["PATH=/bin", "MARK=set"]})
}

fn log(bundle: &Bundle) -> Vec<String> {
    let text = fs::read_to_string(bundle.path("hooks.log")).expect("a log");
    text.lines().map(str::to_owned).collect()
}

fn kinds(bundle: &Bundle) -> Vec<String> {
    let first = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
    log(bundle).iter().map(first).collect()
}

#[test]
fn hooks_run_in_their_order_at_their_places() {
    let bundle = with_hooks("sleep 1000");
    let id = bundle.id.clone();
    let line = |kind: &str, status: &str, place: &str| format!("{kind} {status} {id} {place} set");
    bundle.create().ok();
    let mut expected = vec![
        line("prestart", "creating", "host"),
        line("createRuntime", "creating", "host"),
        line("createContainer", "creating", "container"),
    ];
    assert_eq!(log(&bundle), expected);
    bundle.verb(&["start"]).ok();
    expected.push(line("startContainer", "created", "container"));
    expected.push(line("poststart", "running", "host"));
    assert_eq!(log(&bundle), expected);
    bundle.verb(&["delete", "--force"]).ok();
    expected.push(line("poststop", "stopped", "host"));
    assert_eq!(log(&bundle), expected);
}

#[test]
fn a_hook_that_fails_before_the_start_ends_the_container() {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let mut bundle = with_hooks("sleep 1000");
        bundle.config["hooks"][kind] =
            json!([hook(&bundle, kind, true), hook(&bundle, kind, false)]);
        bundle
            .create()
            .fails_saying(&format!("error running {kind} hook #0"));
        bundle.assert_nothing_left();
        // Those after it are not run, those that clean up are.
        let ran = kinds(&bundle);
        assert_eq!(ran.iter().filter(|it| *it == kind).count(), 1, "{ran:?}");
        assert_eq!(ran.last().map(String::as_str), Some("poststop"), "{ran:?}");
        assert!(!ran.iter().any(|it| it == "startContainer"), "{ran:?}");
    }
}

#[test]
fn a_hook_that_fails_at_the_start_keeps_the_program_from_running() {
    let mut bundle = with_hooks("touch /ran; sleep 1000");
    bundle.config["hooks"]["startContainer"] = json!([hook(&bundle, "startContainer", true)]);
    bundle.create().ok();
    bundle
        .verb(&["start"])
        .fails_saying("error running startContainer hook");
    eventually("it ends", SHORT, || {
        (bundle.status() == "stopped").then_some(())
    });
    assert!(!bundle.rootfs().join("ran").exists());
    bundle.verb(&["delete"]).ok();

    let mut bundle = with_hooks("sleep 1000");
    bundle.config["hooks"]["poststart"] = json!([hook(&bundle, "poststart", true)]);
    bundle.create().ok();
    bundle
        .verb(&["start"])
        .fails_saying("error running poststart hook");
    eventually("it is ended", SHORT, || {
        (bundle.status() == "stopped").then_some(())
    });
    bundle.verb(&["delete"]).ok();
    bundle.assert_nothing_left();
}

#[test]
fn a_hook_after_the_end_may_fail_and_one_that_hangs_is_ended() {
    let mut bundle = with_hooks("true");
    let failing = hook(&bundle, "poststop", true);
    let second = hook(&bundle, "poststop", false);
    bundle.config["hooks"]["poststop"] = json!([failing, second]);
    bundle.create().ok();
    bundle.verb(&["start"]).ok();
    eventually("it ends", SHORT, || {
        (bundle.status() == "stopped").then_some(())
    });
    let run = bundle.verb(&["delete"]).ok();
    assert!(run.error_text().contains("poststop"), "{run:?}");
    assert_eq!(
        kinds(&bundle).iter().filter(|it| *it == "poststop").count(),
        2
    );
    bundle.assert_nothing_left();

    let mut bundle = Bundle::new("true");
    let hang = json!({"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1});
    bundle.config["hooks"] = json!({"createRuntime": [hang]});
    bundle.create().fails_saying("took too long");
    bundle.assert_nothing_left();
}
