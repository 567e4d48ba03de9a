//! `--userns-remap`: root of a container is nobody on the machine.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use hythe_tests::{Agent, AgentOptions, CommandExt as _, Host, Server};
use tempfile::TempDir;

use crate::push_busybox;

fn remapped(host: &Host) -> Agent<'_> {
    let options = AgentOptions {
        arguments: vec!["--userns-remap".to_owned(), "default".to_owned()],
        ..AgentOptions::default()
    };
    Agent::start_with_ids(host, options, Some("dockremap:300000:65536\n"))
}

#[test]
fn root_inside_is_not_root_outside() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = remapped(&host);
    let docker = |words: &[&str]| agent.docker(words).finish();

    // Inside everything is as ever: ids, owners of the image's files, a file of the image that is
    // changed, a user of the image.
    let script = "id -u; stat -c %u /etc/passwd; echo x >>/etc/passwd; chown 7:8 /etc/group; \
                  touch /made; stat -c %u:%g /made /etc/group; ping -c1 127.0.0.1 >/dev/null && echo net";
    let run = docker(&["run", "--rm", &image, "sh", "-c", script]).ok();
    assert_eq!(run.lines(), ["0", "0", "0:0", "7:8", "net"]);
    let run = docker(&["run", "--rm", "--user", "nobody", &image, "id", "-u"]).ok();
    assert_eq!(run.text(), "65534");

    docker(&["run", "--detach", "--name", "one", &image, "sleep", "1000"]).ok();
    let status = fs::read_to_string(format!("/proc/{}/status", agent.init_pid("one")));
    let status = status.expect("a process");
    assert!(status.contains("Uid:\t300000\t300000"), "{status}");
    let run = docker(&["exec", "one", "cat", "/proc/self/uid_map"]).ok();
    let map: Vec<String> = run.text().split_whitespace().map(str::to_owned).collect();
    assert_eq!(map, ["0", "300000", "65536"]);

    // What the host owns cannot be written, whatever root inside may do.
    let run = docker(&["exec", "one", "sh", "-c", "echo 1 >/proc/sys/kernel/panic"]);
    assert_ne!(run.code, 0);
}

#[test]
fn volumes_folders_and_copies_keep_their_owners() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = remapped(&host);
    let docker = |words: &[&str]| agent.docker(words).finish();
    let shared = TempDir::new().expect("a temporary directory");
    let folder = shared.path().join("open");
    fs::create_dir(&folder).expect("a directory");
    std::os::unix::fs::chown(&folder, Some(300_000), Some(300_000)).expect("an owner");

    // In a folder of the host a file belongs to whom the container's root is there.
    let bind = format!("{}:/host", folder.display());
    let script = "touch /host/made /volume/made; stat -c %u /host/made /volume/made";
    let words = [
        "run",
        "--rm",
        "-v",
        &bind,
        "-v",
        "kept:/volume",
        &image,
        "sh",
        "-c",
        script,
    ];
    assert_eq!(docker(&words).ok().lines(), ["0", "0"]);
    let made = fs::metadata(folder.join("made")).expect("a file");
    assert_eq!((made.uid(), made.gid()), (300_000, 300_000));

    // A volume is the containers' own, also for one in the host's namespace.
    let look = [
        "run",
        "--rm",
        "--userns",
        "host",
        "-v",
        "kept:/volume",
        &image,
    ];
    let look = [
        &look[..],
        &[
            "sh",
            "-c",
            "stat -c %u /volume/made; cat /proc/self/uid_map",
        ],
    ]
    .concat();
    let run = docker(&look).ok();
    assert_eq!(run.lines()[0], "0");
    assert!(run.lines()[1].contains("4294967295"), "{run:?}");

    // Copies, into one that runs and one that does not, out of both, and of a whole container.
    docker(&["run", "--detach", "--name", "one", &image, "sleep", "1000"]).ok();
    let file = shared.path().join("file");
    fs::write(&file, "content").expect("a file");
    let path = file.to_str().expect("a UTF-8 path");
    docker(&["cp", path, "one:/etc/copied"]).ok();
    let words = ["exec", "one", "stat", "-c", "%u:%g %s", "/etc/copied"];
    assert_eq!(docker(&words).ok().text(), "0:0 7");
    docker(&[
        "exec",
        "one",
        "sh",
        "-c",
        "echo more >>/etc/copied; chown 5:6 /etc/copied",
    ])
    .ok();
    let archive = docker(&["cp", "one:/etc/copied", "-"]).ok();
    let listed = Command::new("tar")
        .args(["--list", "--verbose", "--numeric-owner"])
        .finish_with_input(&archive.stdout)
        .ok();
    assert!(listed.text().contains(" 5/6 "), "{listed:?}");
    docker(&["stop", "--time", "0", "one"]).ok();
    docker(&["cp", path, "one:/etc/late"]).ok();
    docker(&["start", "one"]).ok();
    let words = [
        "exec",
        "one",
        "stat",
        "-c",
        "%u",
        "/etc/late",
        "/etc/copied",
    ];
    assert_eq!(docker(&words).ok().lines(), ["0", "5"]);
    docker(&["commit", "one", "committed"]).ok();
    let words = [
        "run",
        "--rm",
        "--userns",
        "host",
        "committed",
        "stat",
        "-c",
        "%u",
        "/etc/copied",
    ];
    assert_eq!(docker(&words).ok().text(), "5");
}

#[test]
fn what_does_not_go_with_mapped_users_is_refused() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = remapped(&host);
    for (options, words) in [
        (
            &["--privileged"][..],
            "privileged mode is incompatible with user namespaces",
        ),
        (&["--pid", "host"], "cannot share the host PID namespace"),
        (
            &["--network", "host"],
            "cannot share the host's network namespace",
        ),
    ] {
        let mut command = vec!["run", "--rm"];
        command.extend_from_slice(options);
        agent
            .docker(&command)
            .arg(&image)
            .arg("true")
            .finish()
            .fails_saying(words);
        command.extend_from_slice(&["--userns", "host"]);
        agent.docker(&command).arg(&image).arg("true").finish().ok();
    }
    let own = host
        .command(hythe_tests::hythe_binary())
        .args(["agent", "--userns-remap", "no-such-user", "--data"])
        .arg(agent.data().join("other"))
        .arg("--socket")
        .arg(agent.data().join("other.sock"))
        .finish();
    own.fails_saying("no line for no-such-user");
}
