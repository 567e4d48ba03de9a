//! Ways out of a container that other runtimes once left open, each tried.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use hythe_tests::{Bundle, CommandExt as _, SHORT, eventually, hythe_binary};
use serde_json::json;

const O_PATH: i32 = 0o10_000_000;

/// How many descriptors the program has: its three streams, and the one it lists them with.
const LIST: &str = "ls /proc/self/fd | wc -l";

/// CVE-2019-5736: init still runs from the runtime's own file while the program is being looked
/// for, and a descriptor of that file outlives it.
#[test]
fn the_runtime_cannot_be_overwritten_by_way_of_its_process() {
    let bundle = Bundle::new("exec sleep 1000");
    // A file of its own: others who execute the same one would protect it as well.
    let binary = bundle.path("hythe");
    fs::copy(hythe_binary(), &binary).expect("a copy");
    let before = fs::metadata(&binary).expect("the binary");
    let own = |words: &[&str]| {
        let runtime = bundle.runtime(words);
        let mut command = Command::new(&binary);
        command
            .args(runtime.get_args())
            .current_dir(bundle.path(""))
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        command.status().expect("the runtime runs").code()
    };
    assert_eq!(own(&["create", &bundle.id]), Some(0));
    let place = fs::File::options()
        .read(true)
        .custom_flags(O_PATH)
        .open(format!("/proc/{}/exe", bundle.pid()))
        .expect("init's executable");
    let again = format!("/proc/self/fd/{}", place.as_raw_fd());
    let refused = || {
        let opened = fs::File::options().write(true).open(&again).map(drop);
        opened.expect_err("it must not be writable").kind()
    };
    let busy = [ErrorKind::ExecutableFileBusy, ErrorKind::ReadOnlyFilesystem];
    assert!(busy.contains(&refused()), "{:?}", refused());
    bundle.verb(&["start"]).ok();
    // By now the program runs and nobody executes the file any more.
    let sealed = [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem];
    eventually("the file is not executed", SHORT, || {
        (refused() != ErrorKind::ExecutableFileBusy).then_some(())
    });
    assert!(sealed.contains(&refused()), "{:?}", refused());
    bundle.verb(&["delete", "--force"]).ok();

    // The program, and that of an exec, is the file that they came from.
    symlink("/proc/self/exe", bundle.rootfs().join("entry")).expect("a link");
    assert_eq!(own(&["create", &bundle.id]), Some(0));
    bundle.verb(&["start"]).ok();
    own(&["exec", &bundle.id, "/entry", "sh", "-c", "true"]);
    bundle.verb(&["delete", "--force"]).ok();
    let id = bundle.id.clone();
    let mut entry = bundle.config.clone();
    entry["process"]["args"] = json!(["/entry", "sh"]);
    let runtime = bundle.runtime(&["run", &id]);
    fs::write(bundle.path("config.json"), entry.to_string()).expect("config.json");
    Command::new(&binary)
        .args(runtime.get_args())
        .current_dir(bundle.path(""))
        .finish();
    let after = fs::metadata(&binary).expect("the binary");
    assert_eq!(before.len(), after.len());
    assert_eq!(
        before.modified().expect("a time"),
        after.modified().expect("a time")
    );
}

/// CVE-2021-30465: while a container is made, another changes the volume it mounts into between a
/// directory and a link that leads out.
#[test]
fn mounts_do_not_follow_a_link_that_comes_and_goes() {
    let mut bundle = Bundle::new("ls /volume/inner /stolen 2>/dev/null; cat /proc/self/mountinfo");
    let outside = bundle.path("outside");
    let volume = bundle.path("volume");
    fs::create_dir(&outside).expect("a directory");
    fs::write(outside.join("marker-of-the-host"), "").expect("a file");
    fs::create_dir_all(volume.join("inner")).expect("a directory");
    let up = format!("../../../../../../../../../..{}", outside.display());
    symlink(up, volume.join("link")).expect("a link");
    bundle.mount(json!({
        "destination": "/volume", "type": "bind", "source": volume, "options": ["rbind"],
    }));
    bundle.mount(json!({
        "destination": "/volume/inner", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"],
    }));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                exchange(&volume.join("inner"), &volume.join("link"));
            }
        });
        for _ in 0..15 {
            // It may fail when the place is gone at the wrong moment; it may not lead outside.
            let run = bundle.run();
            assert!(!run.text().contains("marker-of-the-host"), "{run:?}");
            assert!(!run.text().contains("hythe-bundle-/outside"), "{run:?}");
        }
        stop.store(true, Ordering::Relaxed);
    });
    let left = fs::read_dir(&outside).expect("a directory").count();
    assert_eq!(left, 1, "something was made outside");
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    assert!(!mounts.contains(&*outside.to_string_lossy()));
}

fn exchange(one: &Path, other: &Path) {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).expect("an exchange");
}

/// CVE-2024-21626: a directory of the host that is still open serves as working directory.
#[test]
fn no_descriptor_is_a_way_out() {
    for number in 3..10 {
        let path = format!("/proc/self/fd/{number}");
        let mut bundle = Bundle::new("ls ../../../../etc/shadow");
        bundle.process()["cwd"] = json!(path);
        assert_ne!(bundle.run().code, 0, "{path}");
        bundle.assert_nothing_left();
    }
    let bundle = Bundle::new("exec sleep 1000");
    bundle.launch();
    for number in 3..10 {
        let path = format!("/proc/self/fd/{number}");
        let words = [
            "exec",
            "--cwd",
            &path,
            &bundle.id,
            "ls",
            "../../../../etc/shadow",
        ];
        assert_ne!(bundle.runtime(&words).finish().code, 0, "{path}");
    }
}

/// Whatever the caller has open, program and exec get their streams and no more, unless told.
#[test]
fn no_descriptor_of_the_host_reaches_the_program() {
    let bundle = Bundle::new(&format!("{LIST}; sleep 1000"));
    let with_open_files = |words: &[&str]| {
        let runtime = bundle.runtime(words);
        let mut shell = Command::new("sh");
        shell
            .args([
                "-c",
                "exec 5</etc/passwd 6</ 7>/dev/null; exec \"$@\"",
                "sh",
            ])
            .arg(runtime.get_program())
            .args(runtime.get_args())
            .current_dir(bundle.path(""));
        shell
    };
    let short = Bundle::new(LIST);
    assert_eq!(short.run().ok().text(), "4");
    let id = &*bundle.id;
    let status = with_open_files(&["run", "--detach", id])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    assert!(status.is_ok_and(|it| it.success()));
    let words = ["exec", id, "sh", "-c", LIST];
    assert_eq!(with_open_files(&words).finish().ok().text(), "4");
    let init = fs::read_dir(format!("/proc/{}/fd", bundle.pid())).expect("descriptors");
    assert_eq!(init.count(), 3);

    let mut shell = Command::new("sh");
    let mut kept = Bundle::new("cat <&3");
    kept.process()["cwd"] = json!("/");
    let runtime = kept.runtime(&["run", "--preserve-fds", "1", &kept.id]);
    shell
        .args([
            "-c",
            "echo kept >given; exec 3<given 4</; exec \"$@\"",
            "sh",
        ])
        .arg(runtime.get_program())
        .args(runtime.get_args())
        .current_dir(kept.path(""));
    assert_eq!(shell.finish().ok().text(), "kept");
    kept.verb(&["run", "--preserve-fds", "3"])
        .fails_saying("is to be preserved and is not open");
}

/// CVE-2025-31133: what masks a file is the container's `/dev/null`, which an image has replaced.
#[test]
fn what_masks_a_file_is_the_hosts_null() {
    let mut bundle = Bundle::new("stat -c %t:%T /proc/keys; cat /proc/sys/kernel/core_pattern");
    let dev = bundle.rootfs().join("dev");
    symlink("/proc/sys/kernel/core_pattern", dev.join("null")).expect("a link");
    let mounts = bundle.config["mounts"].as_array_mut().expect("a list");
    mounts.retain(|it| {
        it["destination"]
            .as_str()
            .is_some_and(|it| !it.starts_with("/dev"))
    });
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("a setting");
    let run = bundle.run().ok();
    assert_eq!(run.lines()[0], "1:3");
    assert_eq!(run.lines()[1], pattern.trim_end());
}

/// CVE-2025-52565: `/dev/console` and `/dev/pts/ptmx` of an image lead to files of `/proc`.
#[test]
fn a_console_is_bound_to_no_link() {
    use std::os::unix::net::UnixListener;
    for without_devpts in [false, true] {
        let mut bundle = Bundle::new("true");
        bundle.process()["terminal"] = json!(true);
        let dev = bundle.path("dev");
        fs::create_dir_all(dev.join("pts")).expect("a directory");
        symlink("/proc/sysrq-trigger", dev.join("console")).expect("a link");
        symlink("/proc/sysrq-trigger", dev.join("pts/ptmx")).expect("a link");
        let mounts = bundle.config["mounts"].as_array_mut().expect("a list");
        mounts.retain(|it| {
            let target = it["destination"].as_str().expect("a path");
            target == "/proc" || (target == "/dev/pts" && !without_devpts)
        });
        mounts.insert(
            1,
            json!({
                "destination": "/dev", "type": "bind", "source": dev, "options": ["rbind"],
            }),
        );
        let socket = bundle.path("console.sock");
        let _listener = UnixListener::bind(&socket).expect("a socket");
        bundle.config["process"]["args"] =
            json!(["sh", "-c", "stat -c '%F' /proc/sysrq-trigger >/seen"]);
        let run = bundle.create_with(&["--console-socket", socket.to_str().expect("UTF-8")]);
        if without_devpts {
            run.fails_saying("terminal");
            bundle.assert_nothing_left();
            continue;
        }
        // Either refused, or the console is somewhere harmless.
        if run.code == 0 {
            bundle.verb(&["start"]).ok();
            let seen = bundle.rootfs().join("seen");
            let text = hythe_tests::eventually("it has looked", hythe_tests::SHORT, || {
                fs::read_to_string(&seen)
                    .ok()
                    .filter(|it| it.ends_with('\n'))
            });
            assert!(text.starts_with("regular"), "{text}");
        }
    }
}

/// CVE-2025-52881: what the runtime writes into `/proc` lands in a file that an image has put in
/// its place.
#[test]
fn writes_into_proc_are_not_led_elsewhere() {
    let mut bundle = Bundle::new("cat /proc/sys/net/ipv4/ip_unprivileged_port_start");
    let fake = bundle.path("fake");
    fs::create_dir_all(fake.join("sys/net/ipv4")).expect("a directory");
    let trap = fake.join("sys/net/ipv4/ip_unprivileged_port_start");
    fs::write(&trap, "untouched\n").expect("a file");
    for name in ["self", "thread-self"] {
        fs::create_dir_all(fake.join(name).join("attr")).expect("a directory");
        symlink("/proc/sysrq-trigger", fake.join(name).join("attr/exec")).expect("a link");
        fs::write(fake.join(name).join("oom_score_adj"), "untouched\n").expect("a file");
    }
    bundle.linux()["sysctl"] = json!({"net.ipv4.ip_unprivileged_port_start": "81"});
    bundle.process()["oomScoreAdj"] = json!(700);
    // Later than the real one, and over it.
    bundle.mount(json!({
        "destination": "/proc", "type": "bind", "source": fake, "options": ["rbind"],
    }));
    let run = bundle.run();
    assert_eq!(fs::read_to_string(&trap).expect("a file"), "untouched\n");
    assert_eq!(
        fs::read_to_string(fake.join("self/oom_score_adj")).expect("a file"),
        "untouched\n"
    );
    assert_eq!(run.ok().text(), "untouched");
}
