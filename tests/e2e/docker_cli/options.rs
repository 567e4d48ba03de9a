//! Options of `docker run`: what works, what is refused in which words, what is warned of.

use hythe_tests::{Agent, CommandExt as _, Finished, docker_is_recent};

use super::{docker, inspect, said, with_agent};

/// Flags of `run`, a script for the container, and what it says.
type Works = (&'static str, &'static str, &'static str);

#[rustfmt::skip]
const WORKS: &[Works] = &[
    // Who, where, with what around it
    ("-u nobody", "id", "uid=65534(nobody)"),
    ("-u 1234:567 --group-add wheel", "id", "uid=1234 gid=567 groups=10(wheel)"),
    ("-w /new/directory", "pwd", "/new/directory"),
    ("-e A=b -e UNSET", "env", "A=b"),
    ("-h small --domainname ex.am", "hostname -f", "small.ex.am"),
    ("--entrypoint /bin/echo", "ignored", "-c ignored"),
    // Names and networks
    ("--add-host other:10.9.8.7", "cat /etc/hosts", "10.9.8.7\tother"),
    ("--add-host up:host-gateway", "cat /etc/hosts", "172.17.0.1\tup"),
    ("--dns 9.9.9.9 --dns-search ex.am --dns-option ndots:3", "cat /etc/resolv.conf", "search ex.am"),
    ("--dns 9.9.9.9 --dns-option ndots:3", "cat /etc/resolv.conf", "options ndots:3"),
    ("--mac-address 02:42:de:ad:be:ef", "cat /sys/class/net/eth0/address", "02:42:de:ad:be:ef"),
    ("--link-local-ip 169.254.3.3", "ip -4 addr show eth0", "169.254.3.3/16"),
    ("--network none", "ls /sys/class/net", "lo"),
    // Files
    ("--tmpfs /t:size=1m,mode=700", "grep ' /t ' /proc/mounts", "size=1024k,mode=700"),
    ("--shm-size 2m", "grep /dev/shm /proc/mounts", "size=2048k"),
    ("--read-only --tmpfs /t", "touch /t/x && ! touch /x 2>/dev/null && echo held", "held"),
    ("--mount type=tmpfs,target=/t,tmpfs-size=1m", "grep ' /t ' /proc/mounts", "size=1024k"),
    ("-v /own", "grep ' /own ' /proc/mounts", "rw"),
    // Devices
    ("--device /dev/null:/dev/mine:r", "test -c /dev/mine && echo there", "there"),
    // What it may
    ("--cap-drop ALL", "grep CapEff /proc/self/status", "0000000000000000"),
    ("--cap-drop ALL --cap-add NET_BIND_SERVICE", "grep CapEff /proc/self/status", "0000000000000400"),
    ("", "grep CapEff /proc/self/status", "00000000a80425fb"),
    ("", "grep Seccomp: /proc/self/status", "Seccomp:\t2"),
    ("--privileged", "grep Seccomp: /proc/self/status; test -e /dev/full", "Seccomp:\t0"),
    ("--security-opt seccomp=unconfined", "grep Seccomp: /proc/self/status", "Seccomp:\t0"),
    ("--security-opt no-new-privileges", "grep NoNewPrivs /proc/self/status", "1"),
    ("--security-opt label=disable", "echo unlabelled", "unlabelled"),
    ("--ulimit nofile=77:88", "ulimit -n; ulimit -Hn", "77\n88"),
    ("--sysctl net.core.somaxconn=77", "cat /proc/sys/net/core/somaxconn", "77"),
    ("--oom-score-adj 321", "cat /proc/self/oom_score_adj", "321"),
    // Namespaces
    ("--pid host", "test $$ -ne 1 && echo outside", "outside"),
    ("--ipc none", "grep -c /dev/shm /proc/mounts || true", "0"),
    ("--ipc private", "grep -c /dev/shm /proc/mounts", "1"),
    ("--cgroupns private", "echo private", "private"),
    ("--userns host", "echo host", "host"),
    ("--init", "test $$ -ne 1 && echo child", "child"),
    // Limits
    ("-m 64m", "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max 2>/dev/null; true", "67108864"),
    ("-m 64m --memory-reservation 32m", "cd /sys/fs/cgroup; cat memory/memory.soft_limit_in_bytes memory.low 2>/dev/null; true", "33554432"),
    ("--cpus 0.5", "cd /sys/fs/cgroup; cat cpu/cpu.cfs_quota_us cpu.max 2>/dev/null; true", "50000"),
    ("--cpu-quota 25000 --cpu-period 50000", "cd /sys/fs/cgroup; cat cpu/cpu.cfs_quota_us cpu.max 2>/dev/null; true", "25000"),
    ("--cpuset-cpus 0 --cpuset-mems 0", "grep Cpus_allowed_list /proc/self/status", "\t0"),
    ("--pids-limit 20", "cd /sys/fs/cgroup; cat pids/pids.max pids.max 2>/dev/null; true", "20"),
    // Streams and names
    ("-a stdout", "echo out; echo err >&2", "out"),
    ("--name named --label a=b", "echo named", "named"),
    ("--log-driver none", "echo unlogged", "unlogged"),
    ("--platform linux", "echo here", "here"),
    ("--pull never", "echo there", "there"),
    ("--isolation default --runtime runc", "echo plain", "plain"),
    // Newer clients take this one and leave it out of the request.
    ("--kernel-memory 64m", "echo ran", "ran"),
];

/// What `run` refuses before anything runs, exit code 125, with its words.
const REFUSED: &[(&str, &str)] = &[
    ("-u nosuch", "unable to find user nosuch"),
    ("--device /dev/nope", "error gathering device information"),
    ("--cap-add NOPE", "invalid"),
    ("--sysctl kernel.hostname=x", "kernel.hostname"),
    ("--ulimit nofile=9:8", "ulimit soft limit must be less"),
    ("--security-opt foo=bar", "invalid --security-opt"),
    ("--security-opt apparmor=mine", "AppArmor"),
    ("-m 1m", "Minimum memory limit allowed is 6MB"),
    (
        "-m 64m --memory-reservation 128m",
        "memory reservation limit",
    ),
    (
        "--memory-swap 64m",
        "You should always set the Memory limit",
    ),
    (
        "-m 64m --memory-swap 32m",
        "should be larger than memory limit",
    ),
    ("--memory-swappiness 101", "memory swappiness"),
    ("--cpus 99999", "range of CPUs is from 0.01"),
    (
        "--cpuset-cpus 4095",
        "Requested CPUs are not available - requested 4095",
    ),
    (
        "--cpuset-mems 4095",
        "Requested memory nodes are not available",
    ),
    ("--cpu-quota 10", "CPU cfs quota"),
    ("--blkio-weight 5", "Range of blkio weight"),
    ("--oom-score-adj 3000", "range for oom score adj"),
    ("--gpus all", "could not select device driver"),
    (
        "--cpu-rt-runtime 1000",
        "CpuRealtimeRuntime is not supported",
    ),
    ("--cpu-rt-period 1000", "CpuRealtimePeriod is not supported"),
    ("--storage-opt size=1G", "StorageOpt is not supported"),
    ("--volume-driver nosuch -v it:/x", "nosuch"),
    ("--link-local-ip 169.254.3", "169.254.3"),
    ("--uts container:nosuch", "UTS mode"),
    ("--cgroupns nosuch", "invalid CGROUP mode"),
    ("--pull nosuch", "invalid pull option"),
    ("--platform no/such/thing/at/all", "platform"),
    ("--isolation hyperv", "isolation"),
    (
        "--runtime nosuch",
        "unknown or invalid runtime name: nosuch",
    ),
    ("--userns nosuch", "USER mode"),
    ("--log-driver nosuch", "nosuch"),
    ("--log-driver journald", "journald"),
    ("--log-opt nosuch=1", "unknown log opt"),
    ("--log-opt max-size=x", "max-size"),
    ("--volumes-from nosuch", "No such container: nosuch"),
    ("--link nosuch:it", "could not get container for nosuch"),
    ("--network nosuch", "network nosuch not found"),
    ("--network container:nosuch", "No such container: nosuch"),
    ("--network host -p 80:80 --link a:b", "conflicting options"),
    ("--ip 10.0.0.1", "user specified IP address is supported"),
    ("--pid container:nosuch", "nosuch"),
    ("--ipc container:nosuch", "nosuch"),
    ("--stop-signal NOPE", "nvalid signal"),
    ("--restart always --rm", "--restart"),
    (
        "--health-cmd true --health-interval 1us",
        "cannot be less than 1ms",
    ),
    ("-w relative", "needs to be an absolute path"),
    ("-v relative/path:/x", "relative"),
    (
        "--mount type=bind,source=/nope/nope,target=/x",
        "bind source path does not exist",
    ),
    ("--tmpfs /t:nosuch", "error mounting \"tmpfs\""),
    ("--name -", "Invalid container name"),
    ("--mac-address 1:2", "mac address"),
    ("--expose 99999", "99999"),
];

/// Flags that the client itself keeps for daemons of another kind.
const OF_WINDOWS: &[&str] = &[
    "--cpu-count 1",
    "--cpu-percent 5",
    "--io-maxiops 5",
    "--io-maxbandwidth 5m",
];

/// What runs all the same, and what is said beside it.
const WARNED: &[(&str, &str)] = &[
    (
        "--security-opt label=type:mine",
        "SELinux labels are not supported",
    ),
    (
        "--oom-kill-disable",
        "OOM killer is disabled for the container, but no memory limit is set",
    ),
    (
        "--network host -p 18099:80",
        "Published ports are discarded when using host network mode",
    ),
];

/// Every line of flags that the tables try.
pub(super) fn lines() -> impl Iterator<Item = &'static str> {
    let works = WORKS.iter().map(|(flags, _, _)| *flags);
    let others = REFUSED.iter().chain(WARNED).map(|(flags, _)| *flags);
    works.chain(others).chain(OF_WINDOWS.iter().copied())
}

#[track_caller]
fn run(agent: &Agent<'_>, flags: &str, image: &str, script: &str) -> Finished {
    let mut words = vec!["run", "--rm"];
    words.extend(flags.split_whitespace());
    words.push(image);
    if !flags.contains("--entrypoint") {
        words.push("sh");
    }
    words.extend(["-c", script]);
    agent.docker(&words).finish()
}

/// What an older client puts into its request, or leaves out of it.
fn is_other_in_old_clients(flags: &str) -> bool {
    let is_other = ["--kernel-memory", "--link-local-ip"]
        .iter()
        .any(|flag| flags.starts_with(flag));
    is_other && !docker_is_recent(flags)
}

#[test]
fn options_do_what_they_say() {
    with_agent(|agent, image| {
        for (flags, script, expected) in WORKS {
            if is_other_in_old_clients(flags) {
                continue;
            }
            let run = run(agent, flags, image, script);
            let holds = run.code == 0 && said(&run).contains(expected);
            assert!(holds, "expected {expected:?} of {flags:?}: {run:?}");
        }
    });
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    // Older clients let through, or leave out, what newer ones do not.
    if !docker_is_recent("what is refused") {
        return;
    }
    with_agent(|agent, image| {
        for (flags, expected) in REFUSED {
            let run = run(agent, flags, image, "echo it ran");
            let holds = run.code == 125 && said(&run).contains(expected);
            assert!(holds, "expected {expected:?} of {flags:?}: {run:?}");
            assert!(!run.text().contains("it ran"), "{run:?}");
        }
        for flags in OF_WINDOWS {
            run(agent, flags, image, "echo it ran").fails_saying("running on windows");
        }
        // Nothing of it is left.
        assert_eq!(docker(agent, "ps -aq").ok().text(), "");
        for (flags, expected) in WARNED {
            let run = run(agent, flags, image, "echo it ran").ok();
            let holds = run.text() == "it ran" && run.error_text().contains(expected);
            assert!(holds, "expected {expected:?} of {flags:?}: {run:?}");
        }
    });
}

#[test]
fn files_of_the_client_and_namespaces_of_others() {
    with_agent(|agent, image| {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name).display().to_string();
        let write = |name: &str, text: &str| std::fs::write(at(name), text).expect("a file");
        write("env", "ONE=1\n# a comment\nTWO=two words\n");
        write("labels", "from.file=yes\n");
        let (env, labels, cid) = (at("env"), at("labels"), at("cid"));
        let first = agent
            .docker(&[
                "run",
                "-d",
                "--name",
                "first",
                "--ipc",
                "shareable",
                "--env-file",
                &env,
            ])
            .args(["--label-file", &labels, "--cidfile", &cid])
            .args([image, "sleep", "1000"])
            .finish()
            .ok();
        let id = std::fs::read_to_string(&cid).expect("the id is written");
        assert_eq!(id, first.text());
        let shown = docker(agent, "exec first env").ok().text();
        assert!(shown.contains("ONE=1\nTWO=two words"), "{shown}");
        let labels = inspect(agent, "first", "{{json .Config.Labels}}");
        assert!(labels.contains(r#""from.file":"yes""#), "{labels}");
        let again = agent
            .docker(&["run", "--cidfile", &cid, image, "true"])
            .finish();
        again.fails_saying("ontainer ID file found");

        // The namespaces of another container.
        let link = |flags: &str, kind: &str| {
            let path = format!("readlink /proc/self/ns/{kind}");
            run(agent, flags, image, &path).ok().text()
        };
        for kind in ["pid", "ipc", "net"] {
            let flag = if kind == "net" { "network" } else { kind };
            let of_first = docker(agent, &format!("exec first readlink /proc/self/ns/{kind}"));
            let of_first = of_first.ok().text();
            assert_eq!(link(&format!("--{flag} container:first"), kind), of_first);
            assert_ne!(link("", kind), of_first);
        }
        let host = std::fs::read_link("/proc/self/ns/uts").expect("ours");
        assert_eq!(link("--uts host", "uts"), host.display().to_string());
        let host = std::fs::read_link("/proc/self/ns/cgroup").expect("ours");
        assert_eq!(
            link("--cgroupns host", "cgroup"),
            host.display().to_string()
        );

        // A volume with what the image has there, seen through another container.
        docker(
            agent,
            &format!("run --name keeper -v /etc {image} touch /etc/kept"),
        )
        .ok();
        let seen = run(
            agent,
            "--volumes-from keeper:ro",
            image,
            "ls /etc; touch /etc/x",
        );
        assert!(
            seen.text().contains("kept") && seen.text().contains("passwd"),
            "{seen:?}"
        );
        assert!(
            seen.error_text().contains("Read-only file system"),
            "{seen:?}"
        );
        docker(agent, "rm -f -v keeper first").ok();
        assert_eq!(docker(agent, "volume ls -q").ok().text(), "");
    });
}
