//! Images as archives: save, load, import, export and commit, with the real docker command line
//! and with ours, and archives of podman and skopeo.

use hythe_tests::{Agent, CommandExt as _, Host, Server};
use serde_json::Value;

use crate::push_busybox;

#[track_caller]
fn image_id(agent: &Agent<'_>, image: &str) -> String {
    let words = ["image", "inspect", "-f", "{{.Id}}", image];
    agent.docker(&words).finish().ok().text()
}

#[track_caller]
fn inspect(agent: &Agent<'_>, image: &str) -> Value {
    let run = agent.docker(&["image", "inspect", image]).finish().ok();
    let images: Value = serde_json::from_slice(&run.stdout).expect("JSON of inspect");
    images[0].clone()
}

#[test]
fn what_is_saved_is_loaded_again_with_the_same_id() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| directory.path().join(name).display().to_string();
    let docker = |words: &[&str]| agent.docker(words).finish();

    docker(&["pull", "-q", &image]).ok();
    docker(&["tag", &image, "box:1"]).ok();
    docker(&["tag", &image, "box:2"]).ok();
    let id = image_id(&agent, "box:1");

    // To a file and to standard output, by name and by id.
    docker(&["save", "-o", &file("named.tar"), "box:1", "box:2"]).ok();
    let piped = docker(&["save", &id]).ok();
    std::fs::write(file("unnamed.tar"), &piped.stdout).expect("an archive");
    docker(&["save", "nosuch"])
        .fails_with(1)
        .fails_saying("No such image: nosuch");

    docker(&["rmi", "-f", "box:1", "box:2", &image]).ok();
    assert_eq!(docker(&["images", "-q"]).ok().text(), "");
    let loaded = docker(&["load", "-i", &file("named.tar")]).ok().lines();
    assert_eq!(loaded, ["Loaded image: box:1", "Loaded image: box:2"]);
    assert_eq!(image_id(&agent, "box:1"), id);
    assert_eq!(image_id(&agent, "box:2"), id);
    let run = docker(&["run", "--rm", "box:1", "echo", "loaded"]).ok();
    assert_eq!(run.text(), "loaded");

    docker(&["rmi", "-f", "box:1", "box:2"]).ok();
    let archive = std::fs::read(file("unnamed.tar")).expect("the archive");
    let loaded = agent.docker(&["load"]).finish_with_input(&archive).ok();
    assert_eq!(loaded.text(), format!("Loaded image ID: {id}"));
    assert_eq!(docker(&["images", "-q", "--no-trunc"]).ok().text(), id);

    // What is no image is refused and leaves nothing.
    for rubbish in [&b"rubbish"[..], b"", &archive[..archive.len() / 2]] {
        let run = agent.docker(&["load"]).finish_with_input(rubbish);
        assert_ne!(run.code, 0, "{run:?}");
    }
    assert_eq!(docker(&["images", "-aq", "--no-trunc"]).ok().text(), id);

    // Ours read by skopeo, and skopeo's by us: docker's format, and the OCI layout, for which
    // skopeo writes a configuration of its own.
    for target in [
        format!("docker-archive:{}:box:3", file("skopeo.tar")),
        format!("oci-archive:{}:box:4", file("oci.tar")),
    ] {
        let source = format!("docker-archive:{}:box:1", file("named.tar"));
        let words = ["copy", "--insecure-policy", "--quiet", &source, &target];
        host.command("skopeo").args(words).finish().ok();
        let path = target.split(':').nth(1).expect("a path");
        let loaded = docker(&["load", "-q", "-i", path]).ok().text();
        let name = loaded.split_once(": ").expect("a name").1.to_owned();
        if target.starts_with("docker") {
            assert_eq!(image_id(&agent, &name), id);
        }
        docker(&["run", "--rm", &name, "true"]).ok();
    }

    // The same with our own command line.
    let hythe = |words: &[&str]| agent.hythe(words).finish();
    hythe(&["tag", &id, "ours:1"]).ok();
    hythe(&["save", "-o", &file("ours.tar"), "ours:1"]).ok();
    hythe(&["rmi", "ours:1"]).ok();
    let loaded = hythe(&["load", "-i", &file("ours.tar")]).ok();
    assert_eq!(loaded.text(), "Loaded image: ours:1");
    assert_eq!(image_id(&agent, "ours:1"), id);
}

#[test]
fn podman_reads_what_we_save_and_we_read_what_podman_saves() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| directory.path().join(name).display().to_string();
    let podman = |words: &[&str]| {
        host.command("podman")
            .args(["--root", &file("root"), "--runroot", &file("run")])
            .args(["--storage-driver", "vfs"])
            .args(words)
            .finish()
    };
    agent.docker(&["pull", "-q", &image]).finish().ok();
    agent.docker(&["tag", &image, "box:1"]).finish().ok();
    let id = image_id(&agent, "box:1");
    agent
        .docker(&["save", "-o", &file("ours.tar"), "box:1"])
        .finish()
        .ok();
    podman(&["load", "-q", "-i", &file("ours.tar")]).ok();
    let theirs = podman(&["images", "-q", "--no-trunc"]).ok().text();
    assert_eq!(theirs, id);
    for format in ["docker-archive", "oci-archive"] {
        let path = file(format);
        podman(&["save", "-q", "--format", format, "-o", &path, &id]).ok();
        agent.docker(&["rmi", "-f", &id]).finish().ok();
        agent.docker(&["load", "-i", &path]).finish().ok();
        let ours = agent.docker(&["images", "-q", "--no-trunc"]).finish().ok();
        assert_eq!(ours.text(), id, "{format}");
    }
}

#[test]
fn containers_and_tars_become_images() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let docker = |words: &[&str]| agent.docker(words).finish();

    let script = "echo changed > /etc/changed; rm /etc/group; sleep 1000";
    docker(&[
        "run", "-d", "--name", "work", "-e", "A=1", &image, "sh", "-c", script,
    ])
    .ok();
    hythe_tests::eventually("the change is there", hythe_tests::SHORT, || {
        let seen = docker(&[
            "exec",
            "work",
            "test",
            "-e",
            "/etc/changed",
            "-a",
            "!",
            "-e",
            "/etc/group",
        ]);
        (seen.code == 0).then_some(())
    });
    let id = docker(&[
        "commit",
        "-a",
        "somebody",
        "-m",
        "why",
        "-c",
        "CMD [\"cat\", \"/etc/changed\"]",
        "-c",
        "ENV B=$A",
        "-c",
        "EXPOSE 80",
        "-c",
        "LABEL k=v",
        "-c",
        "WORKDIR /tmp",
        "work",
        "team/work:1",
    ])
    .ok()
    .text();
    assert_eq!(image_id(&agent, "team/work:1"), id);
    let seen = inspect(&agent, "team/work:1");
    assert_eq!(seen["Author"], "somebody");
    assert_eq!(seen["Comment"], "why");
    assert_eq!(seen["Config"]["Labels"]["k"], "v");
    assert_eq!(seen["Config"]["WorkingDir"], "/tmp");
    assert!(
        seen["Config"]["ExposedPorts"]["80/tcp"].is_object(),
        "{seen}"
    );
    let env = seen["Config"]["Env"].as_array().expect("variables");
    assert!(env.iter().any(|entry| entry == "A=1"), "{env:?}");
    let run = docker(&["run", "--rm", "team/work:1"]).ok();
    assert_eq!(run.text(), "changed");
    docker(&[
        "run",
        "--rm",
        "team/work:1",
        "test",
        "!",
        "-e",
        "/etc/group",
    ])
    .ok();
    // It was paused meanwhile, and runs on.
    let state = docker(&["inspect", "-f", "{{.State.Status}}", "work"]).ok();
    assert_eq!(state.text(), "running");
    for (words, why) in [
        (&["commit", "nosuch"][..], "No such container: nosuch"),
        (
            &["commit", "-c", "RUN x", "work"],
            "RUN is not a valid change command",
        ),
        (
            &["commit", "-c", "ENTERPOINT x", "work"],
            "unknown instruction: ENTERPOINT",
        ),
        (&["commit", "work", "UPPER"], "must be lowercase"),
    ] {
        docker(words).fails_with(1).fails_saying(why);
    }

    // export and import
    let directory = tempfile::tempdir().expect("a directory");
    let tar = directory.path().join("root.tar").display().to_string();
    docker(&["export", "-o", &tar, "work"]).ok();
    let imported = docker(&[
        "import",
        "-m",
        "imported",
        "-c",
        "CMD [\"echo\", \"hi\"]",
        &tar,
        "flat:1",
    ]);
    assert_eq!(imported.ok().text(), image_id(&agent, "flat:1"));
    assert_eq!(docker(&["run", "--rm", "flat:1"]).ok().text(), "hi");
    let seen = inspect(&agent, "flat:1");
    assert_eq!(seen["RootFS"]["Layers"].as_array().map(Vec::len), Some(1));
    let history = docker(&["history", "--format", "{{.Comment}}", "flat:1"]).ok();
    assert_eq!(history.text(), "imported");
    let bytes = std::fs::read(&tar).expect("the tar");
    agent
        .docker(&["import", "-", "piped:1"])
        .finish_with_input(&bytes)
        .ok();
    docker(&["run", "--rm", "piped:1", "cat", "/etc/changed"]).ok();
    let rubbish = agent
        .docker(&["import", "-", "bad:1"])
        .finish_with_input(b"rubbish");
    assert_ne!(rubbish.code, 0, "{rubbish:?}");
    docker(&["image", "inspect", "bad:1"]).fails_with(1);

    // The same with our own command line.
    let hythe = |words: &[&str]| agent.hythe(words).finish();
    let id = hythe(&["commit", "-m", "ours", "work", "ours:1"])
        .ok()
        .text();
    assert_eq!(image_id(&agent, "ours:1"), id);
    hythe(&["export", "-o", &tar, "work"]).ok();
    hythe(&["import", &tar, "ours:2"]).ok();
    hythe(&["run", "--rm", "ours:2", "cat", "/etc/changed"]).ok();
}
