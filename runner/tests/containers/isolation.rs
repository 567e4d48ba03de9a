//! What a container must not be able to see or do. Attacks are named by their number.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use libtest_mimic::Trial;
use oci_spec::runtime::Mount;

use crate::support::{Recipe, exec_output, exec_spec, trial};
use hythe_runner::launch::StdinMode;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "isolation::refuses_what_docker_refuses",
            refuses_what_docker_refuses,
        ),
        trial("isolation::sees_only_itself", sees_only_itself),
        trial("isolation::no_descriptor_leaks", no_descriptor_leaks),
        trial(
            "isolation::capabilities_are_dockers",
            capabilities_are_dockers,
        ),
        trial("isolation::read_only_root", read_only_root),
        trial(
            "isolation::bind_mounts_keep_their_flags",
            bind_mounts_keep_their_flags,
        ),
        trial(
            "isolation::sysctls_of_the_namespace",
            sysctls_of_the_namespace,
        ),
        trial(
            "isolation::executable_cannot_be_overwritten",
            executable_cannot_be_overwritten,
        ),
        trial(
            "isolation::mounts_do_not_follow_links_out",
            mounts_do_not_follow_links_out,
        ),
        trial(
            "isolation::cwd_cannot_be_a_descriptor",
            cwd_cannot_be_a_descriptor,
        ),
        trial(
            "isolation::masking_does_not_trust_dev_null",
            masking_does_not_trust_dev_null,
        ),
        trial(
            "isolation::console_is_not_what_an_image_says",
            console_is_not_what_an_image_says,
        ),
    ]
}

async fn refuses_what_docker_refuses() {
    let refused = [
        ("mount -t tmpfs x /tmp", "permission denied"),
        ("unshare -m true", "Operation not permitted"),
        (
            "echo 1 >/proc/sys/net/ipv4/ip_forward",
            "Read-only file system",
        ),
        ("mkdir /sys/fs/cgroup/x", "Read-only file system"),
        ("hostname other", "Operation not permitted"),
        ("touch /sys/x", "Read-only file system"),
    ];
    let commands = refused.map(|(command, _)| format!("({command}) 2>&1 || true; echo ==="));
    let script = commands.join("; ");
    let recipe = Recipe::new(&["sh", "-c", &script]);
    let (_, stdout, _) = recipe.run().await;
    for ((command, reason), answer) in refused.iter().zip(stdout.split("===\n")) {
        assert!(answer.contains(reason), "{command}: {answer}");
    }
}

async fn sees_only_itself() {
    let script = "ls /proc | grep -c '^[0-9]'; cat /proc/kcore | wc -c; ls /sys/firmware | wc -l; \
                  cat /proc/1/comm; cat /proc/self/mountinfo | wc -l; ls -d /dev/* | wc -l; \
                  cat /proc/keys | wc -c; ip link | grep -c UP";
    let recipe = Recipe::new(&["sh", "-c", script]);
    let (_, stdout, stderr) = recipe.run().await;
    let lines: Vec<_> = stdout.lines().collect();
    let count = |index: usize| lines[index].trim().parse::<u32>().unwrap();
    assert!(count(0) <= 3, "{stdout}");
    assert_eq!((lines[1], lines[2], lines[3]), ("0", "0", "sh"), "{stderr}");
    assert!(count(4) < 40, "{stdout}");
    assert!(count(5) <= 17, "{stdout}");
    assert_eq!((lines[6], lines[7]), ("0", "1"));
}

/// CVE-2024-21626 and others: init and execs have the three streams and nothing else.
async fn no_descriptor_leaks() {
    let mut recipe = Recipe::new(&["sh", "-c", "ls -l /proc/self/fd; sleep 100"]);
    recipe.shim.stdin = StdinMode::Open;
    let shim = recipe.start().await.unwrap();
    let spec = exec_spec("ls", &["ls", "-l", "/proc/self/fd", "/proc/1/fd"]);
    let (_, stdout, _) = exec_output(shim.exec(spec).await.unwrap()).await;
    let leaked: Vec<_> = stdout
        .lines()
        .filter_map(|line| line.split_once(" -> "))
        .filter(|(_, target)| {
            let own = ["pipe:", "/dev/null", "/proc/"];
            !own.iter().any(|prefix| target.starts_with(prefix))
        })
        .collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    assert!(stdout.matches("pipe:").count() <= 6, "{stdout}");
    shim.kill_all().await.unwrap();
    shim.wait().await.unwrap();
}

async fn capabilities_are_dockers() {
    let script = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status";
    let recipe = Recipe::new(&["sh", "-c", script]);
    let (_, stdout, _) = recipe.run().await;
    let value = |name: &str| {
        let line = stdout.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    for (name, expected) in [
        ("CapInh", "0000000000000000"),
        ("CapPrm", "00000000a80425fb"),
        ("CapEff", "00000000a80425fb"),
        ("CapBnd", "00000000a80425fb"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "0"),
        ("Seccomp", "2"),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    let mut recipe = Recipe::new(&["sh", "-c", script]);
    recipe.process().set_no_new_privileges(Some(true));
    recipe.process().user_mut().set_uid(1000);
    let (_, stdout, _) = recipe.run().await;
    assert!(stdout.contains("NoNewPrivs:\t1") && stdout.contains("CapEff:\t0000000000000000"));
}

async fn read_only_root() {
    let mut recipe = Recipe::new(&["sh", "-c", "touch /x; touch /dev/shm/y && echo shm"]);
    recipe
        .spec
        .root_mut()
        .as_mut()
        .unwrap()
        .set_readonly(Some(true));
    let (_, stdout, stderr) = recipe.run().await;
    assert!(stderr.contains("/x: Read-only file system"), "{stderr}");
    assert_eq!(stdout, "shm\n");
}

fn bind(source: PathBuf, target: &str, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount.set_typ(Some("bind".to_owned()));
    mount.set_source(Some(source));
    mount.set_destination(PathBuf::from(target));
    mount.set_options(Some(options.iter().map(ToString::to_string).collect()));
    mount
}

async fn bind_mounts_keep_their_flags() {
    let mut recipe = Recipe::new(&[
        "sh",
        "-c",
        "cat /etc/one; touch /data/new; touch /frozen/x; /data/tool; cat /made/for/it/file",
    ]);
    for name in ["data", "frozen", "it"] {
        fs::create_dir(recipe.path(name)).unwrap();
    }
    fs::write(recipe.path("one"), "one\n").unwrap();
    fs::write(recipe.path("it/file"), "deep\n").unwrap();
    fs::copy("/bin/busybox", recipe.path("data/tool")).unwrap();
    let mounts = [
        bind(recipe.path("one"), "/etc/one", &["bind", "ro"]),
        bind(recipe.path("data"), "/data", &["rbind", "noexec"]),
        bind(recipe.path("frozen"), "/frozen", &["rbind", "rro"]),
        bind(recipe.path("it"), "/made/for/it", &["rbind", "rprivate"]),
    ];
    recipe.spec.mounts_mut().as_mut().unwrap().extend(mounts);
    let (_, stdout, stderr) = recipe.run().await;
    assert_eq!(stdout, "one\ndeep\n");
    assert!(
        stderr.contains("/frozen/x: Read-only file system"),
        "{stderr}"
    );
    assert!(stderr.contains("/data/tool: Permission denied"), "{stderr}");
    assert!(recipe.path("data/new").exists());

    let mut recipe = Recipe::new(&["true"]);
    let missing = bind(PathBuf::from("/nonexistent"), "/x", &["rbind"]);
    recipe.spec.mounts_mut().as_mut().unwrap().push(missing);
    let error = recipe.create().await.unwrap_err();
    assert!(
        error.to_string().contains("no such file or directory"),
        "{error}"
    );
    recipe.assert_nothing_left();
}

async fn sysctls_of_the_namespace() {
    let mut recipe = Recipe::new(&[
        "cat",
        "/proc/sys/net/ipv4/ip_unprivileged_port_start",
        "/proc/sys/kernel/msgmax",
    ]);
    let sysctls = [
        ("net.ipv4.ip_unprivileged_port_start", "81"),
        ("kernel.msgmax", "4096"),
    ];
    let sysctls = sysctls
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    recipe.linux().set_sysctl(Some(sysctls));
    let (_, stdout, stderr) = recipe.run().await;
    assert_eq!(stdout, "81\n4096\n", "{stderr}");
}

/// CVE-2019-5736: the program is `/proc/self/exe`, which is the file that init came from.
async fn executable_cannot_be_overwritten() {
    let mut recipe = Recipe::new(&["/entry"]);
    symlink("/proc/self/exe", recipe.path("root/entry")).unwrap();
    // Whatever runs, it is no shim and cannot write to what it came from.
    recipe.process().set_args(Some(vec!["/entry".to_owned()]));
    let own = std::env::current_exe().unwrap();
    let before = fs::metadata(&own).unwrap();
    if let Ok(shim) = recipe.start().await {
        shim.kill_all().await.ok();
        shim.wait().await.unwrap();
    }
    let recipe = Recipe::new(&["sh", "-c", "sleep 1; echo x >/proc/1/exe"]);
    let shim = recipe.create().await.unwrap();
    let path = format!("/proc/{}/exe", shim.init_pid());
    let kept = fs::File::open(&path).unwrap();
    let read_only = std::io::ErrorKind::ReadOnlyFilesystem;
    assert_eq!(fs::write(&path, "x").unwrap_err().kind(), read_only);
    shim.kill_all().await.unwrap();
    shim.wait().await.unwrap();
    // Also for somebody who waited until it is no longer executed there.
    let path = format!("/proc/self/fd/{}", kept.as_raw_fd());
    assert_eq!(fs::write(&path, "x").unwrap_err().kind(), read_only);
    assert_eq!(fs::metadata(&own).unwrap().len(), before.len());
}

/// CVE-2021-30465: links in an image (or in a volume that another container changes) at the
/// places where something is to be mounted.
async fn mounts_do_not_follow_links_out() {
    let mut recipe = Recipe::new(&["sh", "-c", "cat /link/file; ls /escape"]);
    let outside = recipe.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::create_dir(recipe.path("source")).unwrap();
    fs::write(recipe.path("source/file"), "inside\n").unwrap();
    let root = recipe.path("root");
    let up = format!("../../../../../../../../../..{}", outside.display());
    symlink(up, root.join("link")).unwrap();
    fs::remove_dir(root.join("proc")).unwrap();
    symlink(&outside, root.join("proc")).unwrap();
    let source = recipe.path("source");
    let mount = bind(source, "/link", &["rbind"]);
    recipe.spec.mounts_mut().as_mut().unwrap().push(mount);
    let (_, stdout, _) = recipe.run().await;
    assert_eq!(stdout, "inside\n");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

/// CVE-2024-21626: a working directory that is a descriptor of the host.
async fn cwd_cannot_be_a_descriptor() {
    for number in 3..12 {
        let mut recipe = Recipe::new(&["sh", "-c", "pwd; ls ../../../.."]);
        recipe
            .process()
            .set_cwd(PathBuf::from(format!("/proc/self/fd/{number}")));
        let error = recipe.start().await.map(drop).unwrap_err();
        assert!(!error.to_string().is_empty());
        recipe.assert_nothing_left();
    }
}

/// CVE-2025-31133: `/dev/null` of the container is a link to what was to be masked.
async fn masking_does_not_trust_dev_null() {
    let mut recipe = Recipe::new(&["sh", "-c", "cat /proc/kcore | wc -c; cat /dev/null"]);
    let dev = recipe.path("dev");
    fs::create_dir(&dev).unwrap();
    symlink("/proc/sys/kernel/core_pattern", dev.join("null")).unwrap();
    let mounts = recipe.spec.mounts_mut().as_mut().unwrap();
    mounts.retain(|mount| !mount.destination().starts_with("/dev"));
    mounts.push(bind(dev, "/dev", &["rbind"]));
    let (_, stdout, stderr) = recipe.run().await;
    assert!(stdout.starts_with("0\n"), "{stdout} {stderr}");
}

/// CVE-2025-52565: `/dev/console` and `/dev/ptmx` of an image lead elsewhere.
async fn console_is_not_what_an_image_says() {
    let mut recipe = Recipe::new(&["sh", "-c", "ls -l /proc/sysrq-trigger | cut -c1; tty"])
        .with_terminal(24, 80);
    let dev = recipe.path("dev");
    fs::create_dir(&dev).unwrap();
    fs::create_dir(dev.join("pts")).unwrap();
    symlink("/proc/sysrq-trigger", dev.join("console")).unwrap();
    let mounts = recipe.spec.mounts_mut().as_mut().unwrap();
    mounts.retain(|mount| !mount.destination().starts_with("/dev"));
    mounts.push(bind(dev.clone(), "/dev", &["rbind"]));
    // No devpts is mounted: what is there is no terminal multiplexer.
    let error = recipe.start().await.map(drop).unwrap_err();
    assert!(error.to_string().contains("terminal"), "{error}");
    recipe.assert_nothing_left();
}
