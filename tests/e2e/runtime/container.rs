//! What a bundle asks for, as the program sees it.

use std::fs;
use std::io::{IoSliceMut, Read as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use hythe_tests::{Bundle, CommandExt as _, Finished, SHORT, eventually};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use serde_json::json;

#[test]
fn the_process_is_as_described() {
    let script = "echo $A; pwd; id -u; id -g; id -G; umask; hostname; ulimit -n; ulimit -Hn; \
                  cat /proc/self/oom_score_adj; grep -E '^(Cap(Eff|Bnd|Amb)|NoNewPrivs)' /proc/self/status";
    let mut bundle = Bundle::new(script);
    bundle.config["hostname"] = json!("box");
    let process = bundle.process();
    process["env"] = json!(["PATH=/bin", "A=b c"]);
    process["cwd"] = json!("/made/for/it");
    process["user"] = json!({"uid": 7, "gid": 8, "umask": 0o077, "additionalGids": [9, 10]});
    process["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
    process["oomScoreAdj"] = json!(500);
    process["noNewPrivileges"] = json!(true);
    process["capabilities"] = json!({
        "bounding": ["CAP_KILL", "CAP_CHOWN"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"],
        "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"],
    });
    let run = bundle.run().ok();
    let lines = run.lines();
    let expected = [
        "b c",
        "/made/for/it",
        "7",
        "8",
        "8 9 10",
        "0077",
        "box",
        "100",
        "200",
        "500",
    ];
    assert_eq!(lines[..10], expected);
    assert_eq!(
        lines[10..],
        [
            "CapEff:\t0000000000000020",
            "CapBnd:\t0000000000000021",
            "CapAmb:\t0000000000000020",
            "NoNewPrivs:\t1"
        ]
    );
}

#[test]
fn default_file_systems_devices_and_links_are_there() {
    let script = "for d in null zero full random urandom tty; do stat -c '%n %t:%T %a' /dev/$d; done; \
                  readlink /dev/fd; readlink /dev/stdin; readlink /dev/stdout; readlink /dev/stderr; \
                  readlink /dev/ptmx; for p in /proc /sys /dev/pts /dev/shm; do stat -f -c %T $p; done; \
                  wc -c </proc/keys; ls /sys/firmware | wc -l; echo 1 >/proc/sys/kernel/x || echo ro";
    let run = Bundle::new(script).run().ok();
    let lines = run.lines();
    let nodes = [
        "null 1:3",
        "zero 1:5",
        "full 1:7",
        "random 1:8",
        "urandom 1:9",
        "tty 5:0",
    ];
    for (line, node) in lines.iter().zip(nodes) {
        assert_eq!(*line, format!("/dev/{node} 666"));
    }
    let links = [
        "/proc/self/fd",
        "/proc/self/fd/0",
        "/proc/self/fd/1",
        "/proc/self/fd/2",
        "pts/ptmx",
    ];
    assert_eq!(lines[6..11], links);
    assert_eq!(lines[15..], ["0", "0", "ro"], "{run:?}");
}

#[test]
fn mounts_have_their_options_and_order() {
    let script = "touch /frozen/x; touch /data/x; cat /data/deep/file; cat /filled/kept; \
                  stat -c %a /filled; df -m /small | tail -n1 | tr -s ' ' | cut -d' ' -f2; touch /sealed/x";
    let mut bundle = Bundle::new(script);
    for name in ["frozen", "data", "deep"] {
        fs::create_dir(bundle.path(name)).expect("a directory");
    }
    fs::write(bundle.path("deep/file"), "deep\n").expect("a file");
    let filled = bundle.rootfs().join("filled");
    fs::create_dir(&filled).expect("a directory");
    fs::write(filled.join("kept"), "kept\n").expect("a file");
    Command::new("chmod").arg("710").arg(&filled).finish().ok();
    for (target, source, options) in [
        ("/frozen", "frozen", json!(["rbind", "ro"])),
        ("/data", "data", json!(["rbind", "rw"])),
        ("/data/deep", "deep", json!(["bind", "rprivate"])),
    ] {
        let source = bundle.path(source);
        bundle.mount(json!({
            "destination": target, "type": "bind", "source": source, "options": options,
        }));
    }
    let tmpfs = |target: &str, options: &[&str]| json!({"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options});
    bundle.mount(tmpfs("/filled", &["tmpcopyup"]));
    bundle.mount(tmpfs("/small", &["size=2m"]));
    bundle.mount(tmpfs("/sealed", &["ro"]));
    let run = bundle.run();
    assert_eq!(run.lines(), ["deep", "kept", "710", "2"], "{run:?}");
    for path in ["/frozen/x", "/sealed/x"] {
        assert!(
            run.error_text().contains(&format!("{path}: Read-only")),
            "{run:?}"
        );
    }
    assert!(bundle.path("data/x").exists());

    bundle.mount(
        json!({"destination": "/y", "type": "bind", "source": "/no/such", "options": ["bind"]}),
    );
    bundle.create().fails_saying("no such file or directory");
    bundle.assert_nothing_left();
}

#[test]
fn a_read_only_root_is_read_only() {
    let mut bundle = Bundle::new("touch /x; touch /dev/shm/y && echo shm");
    bundle.config["root"]["readonly"] = json!(true);
    let run = bundle.run().ok();
    assert_eq!(run.text(), "shm");
    assert!(
        run.error_text().contains("Read-only file system"),
        "{run:?}"
    );
}

#[test]
fn namespaces_of_others_can_be_joined() {
    let mut first = Bundle::new("hostname first; exec sleep 1000");
    first.config["process"]["capabilities"] = json!({
        "bounding": ["CAP_SYS_ADMIN"], "effective": ["CAP_SYS_ADMIN"], "permitted": ["CAP_SYS_ADMIN"],
    });
    first.launch();
    let pid = first.pid();
    eventually("it has its name", SHORT, || {
        let run = first.runtime(&["exec", &first.id, "hostname"]).finish();
        (run.text() == "first").then_some(())
    });
    let mut second = Bundle::new(
        "for n in net ipc uts pid mnt; do readlink /proc/self/ns/$n; done; hostname; ps | grep -c 'sleep 1000'",
    );
    for (kind, name) in [
        ("network", "net"),
        ("ipc", "ipc"),
        ("uts", "uts"),
        ("pid", "pid"),
    ] {
        let path = format!("/proc/{pid}/ns/{name}");
        second.namespace(kind, Some(Path::new(&path)));
    }
    let run = second.run().ok();
    let lines = run.lines();
    for (line, name) in lines.iter().zip(["net", "ipc", "uts", "pid"]) {
        let theirs = fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("a namespace");
        assert_eq!(*line, theirs.to_string_lossy());
    }
    let mounts = fs::read_link(format!("/proc/{pid}/ns/mnt")).expect("a namespace");
    assert_ne!(lines[4], mounts.to_string_lossy());
    assert_eq!(lines[5], "first");
    assert_ne!(lines[6], "0", "{run:?}");
    // Its end is not that of the namespace's first process.
    assert_eq!(first.status(), "running");
}

/// Gives a tree to the owner that root of a mapped container is.
fn give_to(bundle: &Bundle, uid: u32) {
    let owner = format!("{uid}:{uid}");
    Command::new("chown")
        .args(["-R", &owner])
        .arg(bundle.rootfs())
        .finish()
        .ok();
    Command::new("chmod")
        .arg("755")
        .arg(bundle.path(""))
        .finish()
        .ok();
}

fn mapped(script: &str) -> Bundle {
    let mut bundle = Bundle::new(script);
    bundle.namespace("user", None);
    let namespaces = bundle.linux()["namespaces"].as_array_mut();
    namespaces.expect("a list").push(json!({"type": "user"}));
    let mapping = json!([{"containerID": 0, "hostID": 200_000, "size": 1000}]);
    bundle.linux()["uidMappings"] = mapping.clone();
    bundle.linux()["gidMappings"] = mapping;
    give_to(&bundle, 200_000);
    bundle
}

#[test]
fn users_are_mapped_and_their_namespace_can_be_joined() {
    let first =
        mapped("id -u; cat /proc/self/uid_map; touch /made; stat -c %u /made; exec sleep 1000");
    first.create().ok();
    first.verb(&["start"]).ok();
    eventually("it has made a file", SHORT, || {
        (first.output().lines().count() == 3).then_some(())
    });
    assert!(
        first
            .output()
            .starts_with("0\n         0     200000       1000\n0\n")
    );
    let owner = Command::new("stat")
        .args(["-c", "%u"])
        .arg(first.rootfs().join("made"))
        .finish()
        .ok();
    assert_eq!(owner.text(), "200000");
    let run = first
        .runtime(&["exec", &first.id, "id", "-u"])
        .finish()
        .ok();
    assert_eq!(run.text(), "0");
    let status = fs::read_to_string(format!("/proc/{}/status", first.pid())).expect("a process");
    assert!(status.contains("Uid:\t200000"), "{status}");

    let mut second =
        Bundle::new("id -u; readlink /proc/self/ns/user; echo x >/dev/null && echo dev");
    give_to(&second, 200_000);
    let path = format!("/proc/{}/ns/user", first.pid());
    second.namespace("user", Some(Path::new(&path)));
    let run = second.run().ok();
    let theirs = fs::read_link(path).expect("a namespace");
    assert_eq!(run.lines(), ["0", &*theirs.to_string_lossy(), "dev"]);
}

#[test]
fn owners_of_a_mount_can_be_mapped() {
    let mut bundle = Bundle::new("stat -c %u /mapped/file; touch /mapped/made");
    let source = bundle.path("source");
    fs::create_dir(&source).expect("a directory");
    fs::write(source.join("file"), "").expect("a file");
    Command::new("chown")
        .args(["-R", "0:0"])
        .arg(&source)
        .finish()
        .ok();
    bundle.process()["user"] = json!({"uid": 300_000, "gid": 300_000});
    let mapping = json!([{"containerID": 0, "hostID": 300_000, "size": 1000}]);
    bundle.mount(json!({
        "destination": "/mapped", "type": "bind", "source": source, "options": ["bind"],
        "uidMappings": mapping, "gidMappings": mapping,
    }));
    assert_eq!(bundle.run().ok().text(), "300000");
    let owner = Command::new("stat")
        .args(["-c", "%u"])
        .arg(source.join("made"))
        .finish()
        .ok();
    assert_eq!(owner.text(), "0");
}

#[test]
fn limits_are_in_the_control_group() {
    let mut bundle = Bundle::new("exec sleep 1000");
    bundle.linux()["resources"] = json!({
        "memory": {"limit": 64 << 20}, "pids": {"limit": 20},
        "cpu": {"quota": 50_000, "period": 100_000},
        "devices": [{"allow": false, "access": "rwm"}],
    });
    bundle.launch();
    let value = |names: &[&str]| {
        let groups = bundle.control_groups();
        let mut files = groups
            .iter()
            .flat_map(|group| names.iter().map(move |it| group.join(it)));
        let text = files.find_map(|file| fs::read_to_string(file).ok());
        text.unwrap_or_else(|| panic!("no {names:?} in {groups:?}"))
            .trim()
            .to_owned()
    };
    assert_eq!(
        value(&["memory.max", "memory.limit_in_bytes"]),
        (64 << 20).to_string()
    );
    assert_eq!(value(&["pids.max"]), "20");
    assert!(value(&["cpu.max", "cpu.cfs_quota_us"]).starts_with("50000"));
    let try_memory = "mknod /tmp/m c 1 1; head -c1 /tmp/m";
    let run = bundle
        .runtime(&["exec", &bundle.id, "sh", "-c", try_memory])
        .finish();
    run.fails_saying("Operation not permitted");
    let zero = ["exec", &*bundle.id, "head", "-c3", "/dev/zero"];
    assert_eq!(bundle.runtime(&zero).finish().ok().stdout, [0; 3]);

    let resources = bundle.path("resources.json");
    fs::write(&resources, json!({"pids": {"limit": 30}}).to_string()).expect("a file");
    let file = resources.to_str().expect("a UTF-8 path");
    bundle.verb(&["update", "--resources", file]).ok();
    assert_eq!(value(&["pids.max"]), "30");
    bundle.verb(&["delete", "--force"]).ok();
    bundle.assert_nothing_left();
}

#[test]
fn system_calls_are_filtered_by_action_and_argument() {
    let run = |action: &str, more: &str, script: &str| -> Finished {
        let mut bundle = Bundle::new(script);
        let rule =
            format!("{{\"names\": [\"mkdir\", \"mkdirat\"], \"action\": \"{action}\"{more}}}");
        let rule: serde_json::Value = serde_json::from_str(&rule).expect("JSON");
        bundle.linux()["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
        bundle.run()
    };
    let make = "mkdir /tmp/x && echo made";
    for (action, more, words) in [
        ("SCMP_ACT_ERRNO", "", "Operation not permitted"),
        (
            "SCMP_ACT_ERRNO",
            ", \"errnoRet\": 28",
            "No space left on device",
        ),
        ("SCMP_ACT_TRACE", "", "Function not implemented"),
    ] {
        run(action, more, make).fails_saying(words);
    }
    for action in ["SCMP_ACT_LOG", "SCMP_ACT_ALLOW"] {
        assert_eq!(run(action, "", make).ok().text(), "made");
    }
    for action in [
        "SCMP_ACT_KILL",
        "SCMP_ACT_KILL_THREAD",
        "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_TRAP",
    ] {
        // 128 + SIGSYS, from the shell that waits for it.
        run(action, "", "mkdir /tmp/x; exit $?").fails_with(159);
    }
    // The mode is the second argument of chmod(2).
    for (op, value, two, first, second) in [
        ("EQ", 0o777, 0, false, true),
        ("NE", 0o777, 0, true, false),
        ("LT", 0o777, 0, true, false),
        ("LE", 0o777, 0, false, false),
        ("GT", 0o700, 0, false, true),
        ("GE", 0o777, 0, false, true),
        ("MASKED_EQ", 0o077, 0o077, false, true),
    ] {
        let more = format!(
            ", \"args\": [{{\"index\": 1, \"value\": {value}, \"valueTwo\": {two}, \"op\": \"SCMP_CMP_{op}\"}}]"
        );
        let mut bundle = Bundle::new(
            "chmod 777 /tmp 2>/dev/null && echo a; chmod 700 /tmp 2>/dev/null && echo b; true",
        );
        let rule = format!("{{\"names\": [\"chmod\"], \"action\": \"SCMP_ACT_ERRNO\"{more}}}");
        let rule: serde_json::Value = serde_json::from_str(&rule).expect("JSON");
        bundle.linux()["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
        let run = bundle.run().ok();
        let expected: Vec<&str> = [(first, "a"), (second, "b")]
            .into_iter()
            .filter_map(|(made, name)| made.then_some(name))
            .collect();
        assert_eq!(run.lines(), expected, "{op}");
    }
    let mut bundle = Bundle::new("true");
    bundle.linux()["seccomp"] = json!({"defaultAction": "SCMP_ACT_NOTIFY"});
    bundle.create().fails_saying("listenerPath");
}

/// Bytes and the descriptor that somebody sends to a socket.
fn receive(listener: &UnixListener) -> (Vec<u8>, OwnedFd) {
    let (stream, _) = listener.accept().expect("somebody connects");
    let mut buffer = vec![0; 64 * 1024];
    let mut space = nix::cmsg_space!(i32);
    let (length, fd) = {
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let message = recvmsg::<()>(
            stream.as_raw_fd(),
            &mut slices,
            Some(&mut space),
            MsgFlags::empty(),
        );
        let message = message.expect("a message");
        let mut fds = message
            .cmsgs()
            .expect("control messages")
            .filter_map(|it| match it {
                ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
                _ => None,
            });
        let fd = fds.next().expect("a descriptor");
        (message.bytes, fd)
    };
    buffer.truncate(length);
    #[expect(
        unsafe_code,
        reason = "the kernel has just made this descriptor for us"
    )]
    // SAFETY: nobody else has it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    (buffer, fd)
}

#[test]
fn whoever_decides_about_system_calls_is_given_the_listener() {
    let mut bundle = Bundle::new("exec sleep 1000");
    let path = bundle.path("seccomp.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    bundle.linux()["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "meta",
        "syscalls": [{"names": ["mknod", "mknodat"], "action": "SCMP_ACT_NOTIFY"}],
    });
    bundle.create().ok();
    bundle.verb(&["start"]).ok();
    let (bytes, fd) = receive(&listener);
    let state: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(state["fds"], json!(["seccompFd"]));
    assert_eq!(state["metadata"], "meta");
    assert_eq!(state["pid"], bundle.pid());
    let target = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("a descriptor");
    assert!(
        target.to_string_lossy().contains("seccomp"),
        "{}",
        target.display()
    );
    let status = fs::read_to_string(format!("/proc/{}/status", bundle.pid())).expect("a process");
    assert!(status.contains("Seccomp:\t2"), "{status}");
}

#[test]
fn a_terminal_is_sent_to_the_console_socket() {
    let mut bundle =
        Bundle::new("tty; stty size; readlink /proc/self/fd/0; stat -c %t:%T /dev/console");
    bundle.process()["terminal"] = json!(true);
    bundle.process()["consoleSize"] = json!({"height": 33, "width": 101});
    let path = bundle.path("console.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    bundle
        .create_with(&["--console-socket", path.to_str().expect("a UTF-8 path")])
        .ok();
    let (_, master) = receive(&listener);
    bundle.verb(&["start"]).ok();
    let mut text = Vec::new();
    // A terminal ends with an error once nobody is on its other side.
    let _end = fs::File::from(master).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
    assert_eq!(text, "/dev/pts/0\n33 101\n/dev/pts/0\n88:0\n");
}

#[test]
fn clocks_machine_and_priorities_are_the_containers_own() {
    let script =
        "cut -d. -f1 /proc/uptime; uname -m; cut -d' ' -f19,41 /proc/self/stat; ionice -p $$";
    let mut bundle = Bundle::new(script);
    let namespaces = bundle.linux()["namespaces"].as_array_mut();
    namespaces.expect("a list").push(json!({"type": "time"}));
    bundle.linux()["timeOffsets"] = json!({"boottime": {"secs": 1_000_000_000}});
    bundle.linux()["personality"] = json!({"domain": "LINUX32"});
    bundle.process()["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 6});
    bundle.process()["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 7});
    let run = bundle.run().ok();
    let lines = run.lines();
    let uptime: u64 = lines[0].parse().expect("seconds");
    assert!(uptime >= 1_000_000_000, "{run:?}");
    assert_eq!(lines[1..3], ["i686", "7 3"], "{run:?}");
    assert!(lines[3].contains("prio 6"), "{run:?}");
}

#[test]
fn settings_of_the_namespaces_are_made() {
    let mut bundle =
        Bundle::new("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax");
    bundle.linux()["sysctl"] =
        json!({"net.ipv4.ip_unprivileged_port_start": "81", "kernel.msgmax": "4096"});
    assert_eq!(bundle.run().ok().lines(), ["81", "4096"]);
    bundle.namespace("network", None);
    bundle.create().fails_saying("host's net namespace");
}
