//! What a container can see and do, asked from inside by a program that tries.

use hythe_tests::{Agent, CommandExt as _, Finished, Host, Server, debian_nginx};

use crate::{push, push_busybox};

#[test]
fn nothing_of_the_host_is_visible() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let run = |script: &str| {
        agent
            .docker(&["run", "--rm", &image, "sh", "-c", script])
            .finish()
    };

    let processes = run("ls -d /proc/[0-9]* | wc -l").ok().text();
    assert!(
        processes.parse::<u32>().expect("a number") <= 3,
        "{processes} processes seen"
    );
    run(&format!("ls {}", agent.data().display())).fails_saying("No such file");
    let mounts = run("cat /proc/self/mountinfo").ok().text();
    assert!(
        mounts
            .lines()
            .next()
            .is_some_and(|line| line.contains(" / / ")),
        "{mounts}"
    );
    assert!(!mounts.contains(" /oldroot"), "{mounts}");
    let links = run("ls /sys/class/net").ok().text();
    assert_eq!(links.split_whitespace().collect::<Vec<_>>(), ["eth0", "lo"]);
    let descriptors = run("ls -l /proc/self/fd | grep -c -- '->'").ok().text();
    assert!(
        descriptors.parse::<u32>().expect("a number") <= 4,
        "{descriptors} open files"
    );
    let cgroup = run("cat /proc/self/cgroup").ok().text();
    assert!(
        cgroup.lines().all(|line| line.ends_with(":/")),
        "a cgroup namespace: {cgroup}"
    );
    for (namespace, file) in [
        ("mnt", "mnt"),
        ("pid", "pid"),
        ("net", "net"),
        ("ipc", "ipc"),
        ("uts", "uts"),
        ("cgroup", "cgroup"),
    ] {
        let inside = run(&format!("readlink /proc/self/ns/{file}")).ok().text();
        let outside = std::fs::read_link(format!("/proc/self/ns/{file}")).expect("our own");
        assert_ne!(
            inside,
            outside.display().to_string(),
            "{namespace} namespace is shared"
        );
    }
}

#[test]
fn what_docker_refuses_is_refused() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push(&host, &server, &debian_nginx(), "nginx:1");
    let agent = Agent::start(&host);
    let run = |script: &str| -> Finished {
        agent
            .docker(&["run", "--rm", &image, "sh", "-c", script])
            .finish()
    };

    run("mount -t tmpfs none /mnt").fails_saying("denied");
    run("unshare -m true").fails_saying("Operation not permitted");
    run("keyctl show").fails_saying("Operation not permitted");
    run("echo 1 > /proc/sys/kernel/panic").fails_saying("Read-only file system");
    run("mknod /tmp/disk b 254 0 && head -c1 /tmp/disk").fails_saying("Operation not permitted");
    run("chroot / true").ok();
    run("date -s 12:00").fails_saying("Operation not permitted");
    assert_eq!(
        run("head -c 16 /proc/kcore | wc -c").ok().text(),
        "0",
        "/proc/kcore is masked"
    );
    assert_eq!(
        run("ls /proc/scsi /sys/firmware 2>/dev/null | grep -vc :").code,
        1
    );

    // System calls by number, on x86_64: init_module, finit_module, bpf, add_key,
    // perf_event_open, kexec_load, ptrace of init is allowed, clone3 must say ENOSYS so that
    // libc falls back to clone, whose flags the filter can see.
    if cfg!(target_arch = "x86_64") {
        for (number, name) in [
            (175, "init_module"),
            (313, "finit_module"),
            (321, "bpf"),
            (248, "add_key"),
            (246, "kexec_load"),
        ] {
            let perl =
                format!("perl -e '$r = syscall({number}, 0, 0, 0, 0, 0); print \"$r $!\\n\"'");
            assert_eq!(
                run(&perl).ok().text(),
                "-1 Operation not permitted",
                "{name}"
            );
        }
        let clone3 = "perl -e '$r = syscall(435, 0, 0); print \"$r $!\\n\"'";
        assert_eq!(run(clone3).ok().text(), "-1 Function not implemented");
    }

    let status =
        run("grep -E '^(CapEff|CapBnd|CapInh|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status");
    assert_eq!(
        status.ok().text().split_whitespace().collect::<Vec<_>>(),
        [
            "CapInh:",
            "0000000000000000",
            "CapEff:",
            "00000000a80425fb",
            "CapBnd:",
            "00000000a80425fb",
            "CapAmb:",
            "0000000000000000",
            "NoNewPrivs:",
            "0",
            "Seccomp:",
            "2",
        ],
        "docker's default capabilities and a seccomp filter"
    );
}
