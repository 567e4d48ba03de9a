//! Dockerfiles: `docker build` and `hythe build`, from the tutorial's to the odd ones.

mod failures;
mod instructions;
mod tutorial;

use std::fs;
use std::path::Path;

use hythe_tests::{Agent, CommandExt as _, Finished, Host, SHORT, Server, eventually};
use serde_json::Value;
use tempfile::TempDir;

use crate::push_busybox;

/// A folder with a Dockerfile and other files.
fn context(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, content).expect("a file");
    }
    directory
}

fn build(agent: &Agent<'_>, context: &Path, options: &[&str]) -> Finished {
    let path = context.display().to_string();
    let mut words = vec!["build"];
    words.extend_from_slice(options);
    words.push(&path);
    agent.docker(&words).finish()
}

#[track_caller]
fn inspect(agent: &Agent<'_>, image: &str) -> Value {
    let run = agent.docker(&["image", "inspect", image]).finish().ok();
    let images: Value = serde_json::from_slice(&run.stdout).expect("JSON of inspect");
    images[0].clone()
}

#[track_caller]
fn run(agent: &Agent<'_>, image: &str, script: &str) -> String {
    let words = ["run", "--rm", "--entrypoint", "sh", image, "-c", script];
    agent.docker(&words).finish().ok().text()
}

#[test]
fn triggers_of_the_base_run_in_its_children() {
    let host = Host::new();
    let server = Server::start(&host);
    let base = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let dockerfile =
        format!("FROM {base}\nONBUILD COPY app /app\nONBUILD RUN echo triggered >> /app\n");
    let parent = context(&[("Dockerfile", &dockerfile)]);
    build(&agent, parent.path(), &["-t", "parent"]).ok();
    let dockerfile = "FROM parent\nRUN echo child >> /app\n";
    let child = context(&[("Dockerfile", dockerfile), ("app", "app\n")]);
    let built = build(&agent, child.path(), &["-t", "child"]).ok();
    assert!(
        built.text().contains("# Executing 2 build triggers"),
        "{built:?}"
    );
    assert_eq!(run(&agent, "child", "cat /app"), "app\ntriggered\nchild");
    let grandchild = context(&[("Dockerfile", "FROM child\nRUN true\n")]);
    let built = build(&agent, grandchild.path(), &[]).ok();
    assert!(!built.text().contains("trigger"), "{built:?}");
}

/// Our own command line, a Dockerfile elsewhere and from standard input, and what becomes of the
/// image: other clients pull it from the registry it was pushed to.
#[test]
fn what_is_built_is_pushed_and_pulled_by_others() {
    let host = Host::new();
    let server = Server::start(&host);
    let base = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let dockerfile = format!("FROM {base}\nCOPY app /app\nRUN rm /etc/group\n");
    let context = context(&[("deploy/app.dockerfile", &dockerfile), ("app", "app")]);
    let file = |name: &str| context.path().join(name).display().to_string();
    let name = format!("{}/team/app:1", server.address());
    let (dockerfile, iidfile, folder) = (file("deploy/app.dockerfile"), file("iid"), file(""));
    let words = [
        "build",
        "-f",
        &dockerfile,
        "-t",
        &name,
        "--iidfile",
        &iidfile,
        &folder,
    ];
    let built = agent.hythe(&words).finish().ok();
    assert!(built.text().contains("Successfully built"), "{built:?}");
    let id = fs::read_to_string(file("iid")).expect("the id");
    assert_eq!(inspect(&agent, &name)["Id"], id.as_str());

    agent.docker(&["push", &name]).finish().ok();
    let podman = |words: &[&str]| {
        host.command("podman")
            .args(["--root", &file("podman"), "--runroot", &file("podman-run")])
            .args(["--storage-driver", "vfs"])
            .args(words)
            .finish()
    };
    podman(&["pull", "-q", "--tls-verify=false", &name]).ok();
    let theirs = podman(&["images", "-q", "--no-trunc"]).ok();
    assert_eq!(theirs.text(), id);

    let dockerfile = format!("FROM {base}\nRUN echo piped > /piped\n");
    for (command, tag) in [
        (agent.docker(&["build", "-t", "piped:1", "-"]), "piped:1"),
        (agent.hythe(&["build", "-t", "piped:2", "-"]), "piped:2"),
    ] {
        let mut command = command;
        command.finish_with_input(dockerfile.as_bytes()).ok();
        assert_eq!(run(&agent, tag, "cat /piped"), "piped");
    }
    agent.docker(&["builder", "prune", "-f"]).finish().ok();
}
