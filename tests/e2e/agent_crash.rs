//! The agent dies by `kill -9`; its containers do not notice.

use std::path::PathBuf;

use hythe_tests::{Agent, CommandExt as _, Host, SHORT, Server, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::push_busybox;

#[test]
fn a_container_outlives_its_agent_and_the_log_has_no_hole() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let mut agent = Agent::start(&host);
    let script = "trap 'exit 42' TERM; i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done";
    agent
        .docker(&["run", "-d", "--name", "talk", &image, "sh", "-c", script])
        .finish()
        .ok();
    let pid = agent.init_pid("talk");
    wait_for_lines(&agent, 20);

    agent.kill_dash_nine();
    let before = count_log_lines(&agent);
    eventually("the container logs on without its agent", SHORT, || {
        (count_log_lines(&agent) > before + 50).then_some(())
    });
    agent.restart();

    let ps = agent
        .docker(&["ps", "--format", "{{.Names}} {{.State}}"])
        .finish()
        .ok();
    assert_eq!(ps.text(), "talk running");
    assert_eq!(agent.init_pid("talk"), pid, "it is the same process");
    wait_for_lines(&agent, before + 60);
    agent.docker(&["exec", "talk", "true"]).finish().ok();
    agent.docker(&["stop", "talk"]).finish().ok();
    let code = agent.docker(&["wait", "talk"]).finish().ok();
    assert_eq!(code.text(), "42");

    let lines = agent.docker(&["logs", "talk"]).finish().ok().lines();
    let expected: Vec<String> = (0..lines.len()).map(|i| i.to_string()).collect();
    assert_eq!(lines, expected, "every line once, in order");
}

#[test]
fn what_ends_while_the_agent_is_away_is_known_when_it_returns() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let mut agent = Agent::start(&host);
    let run = [
        "run",
        "-d",
        "--name",
        "short",
        &image,
        "sh",
        "-c",
        "read line; exit 9",
    ];
    let mut words = run.to_vec();
    words.insert(1, "-i");
    agent.docker(&words).finish().ok();
    let pid = agent.init_pid("short");

    agent.kill_dash_nine();
    let init = Pid::from_raw(pid);
    kill(init, Signal::SIGKILL).expect("init lives");
    eventually("init is gone", SHORT, || {
        kill(init, None).is_err().then_some(())
    });
    agent.restart();

    let state = agent
        .docker(&[
            "inspect",
            "-f",
            "{{.State.Status}} {{.State.ExitCode}}",
            "short",
        ])
        .finish()
        .ok();
    assert_eq!(state.text(), "exited 137");
    agent.docker(&["start", "short"]).finish().ok();
    agent.docker(&["rm", "-f", "short"]).finish().ok();
}

#[test]
fn what_removes_itself_is_gone_when_the_agent_returns() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let mut agent = Agent::start(&host);
    let run = ["run", "-d", "--rm", "--name", "job", &image];
    let mut start = agent.docker(&[&run[..], &["sleep", "1000"]].concat());
    let id = start.finish().ok().text();
    let init = Pid::from_raw(agent.init_pid("job"));

    agent.kill_dash_nine();
    kill(init, Signal::SIGKILL).expect("init lives");
    eventually("init is gone", SHORT, || {
        kill(init, None).is_err().then_some(())
    });
    agent.restart();

    eventually("the container has removed itself", SHORT, || {
        let all = agent.docker(&["ps", "-aq"]).finish().ok();
        all.text().is_empty().then_some(())
    });
    assert_eq!(left_of(&agent, &id), Vec::<PathBuf>::new());
}

#[test]
fn a_reboot_ends_what_removes_itself_and_starts_what_is_always_to_run() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let mut agent = Agent::start(&host);
    let run = |name: &str, options: &[&str]| {
        let run = ["run", "-d", "--name", name];
        let words = [&run, options, &[&image, "sleep", "1000"]].concat();
        agent.docker(&words).finish().ok().text()
    };
    run("plain", &[]);
    let job = run("job", &["--rm"]);
    run("service", &["--restart=always"]);
    let inits = ["plain", "job", "service"].map(|name| Pid::from_raw(agent.init_pid(name)));

    agent.kill_dash_nine();
    for init in inits {
        kill(init, Signal::SIGKILL).expect("init lives");
    }
    eventually("nothing of the last boot runs", SHORT, || {
        let are_gone = inits.iter().all(|init| kill(*init, None).is_err());
        are_gone.then_some(())
    });
    std::fs::write(agent.data().join("run/boot-id"), "another boot").expect("a file");
    agent.restart();

    let said = |format: &str, name: &str| {
        let inspect = ["inspect", "-f", format, name];
        agent.docker(&inspect).finish().ok().text()
    };
    assert_eq!(
        said("{{.State.Status}} {{.State.ExitCode}}", "plain"),
        "exited 255"
    );
    eventually("the service is back", SHORT, || {
        (said("{{.State.Status}}", "service") == "running").then_some(())
    });
    let all = agent
        .docker(&["ps", "-a", "--format", "{{.Names}}"])
        .finish();
    let mut names = all.ok().lines();
    names.sort();
    assert_eq!(names, ["plain", "service"]);
    assert_eq!(left_of(&agent, &job), Vec::<PathBuf>::new());
}

/// What there still is of a container, by its id.
fn left_of(agent: &Agent<'_>, id: &str) -> Vec<PathBuf> {
    let mut left = Vec::new();
    let mut todo = vec![agent.data()];
    while let Some(directory) = todo.pop() {
        // Other containers' directories may be on their way out.
        for entry in std::fs::read_dir(&directory)
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.file_name().to_string_lossy().contains(id) {
                left.push(entry.path());
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                todo.push(entry.path());
            }
        }
    }
    left
}

/// Lines in the log file itself: there is no agent to ask.
fn count_log_lines(agent: &Agent<'_>) -> usize {
    let mut todo = vec![agent.data()];
    let mut lines = 0;
    while let Some(directory) = todo.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if !path.ends_with("layers") && !path.ends_with("blobs") {
                    todo.push(path);
                }
            } else if path.to_string_lossy().ends_with("-json.log") {
                lines += std::fs::read_to_string(path)
                    .unwrap_or_default()
                    .lines()
                    .count();
            }
        }
    }
    lines
}

fn wait_for_lines(agent: &Agent<'_>, count: usize) {
    eventually("the container talks", SHORT, || {
        let lines = agent.docker(&["logs", "talk"]).finish().ok().lines();
        (lines.len() >= count).then_some(())
    });
}
