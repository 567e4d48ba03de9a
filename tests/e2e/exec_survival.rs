//! Commands that were run in a container outlive the agent that started them, and the agent that
//! comes back knows them: their process, their end, their exit code.

use hythe_tests::{Agent, CommandExt as _, Host, SHORT, Server, eventually};
use serde_json::{Value, json};

use crate::{full_id, push_busybox};

#[track_caller]
fn with_container(scenario: impl FnOnce(&mut Agent<'_>)) {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let mut agent = Agent::start(&host);
    agent
        .docker(&["run", "-d", "--name", "box", &image, "sleep", "1000"])
        .finish()
        .ok();
    scenario(&mut agent);
}

fn post(agent: &Agent<'_>, path: &str, body: &Value) -> hythe_tests::Response {
    let body = body.to_string();
    agent.api(path, &["-HContent-Type: application/json", "-d", &body])
}

/// An exec that has a script to run, not started yet.
#[track_caller]
fn create(agent: &Agent<'_>, script: &str) -> String {
    let body = json!({"Cmd": ["sh", "-c", script], "AttachStdout": true, "Env": ["KEPT=word"]});
    let answer = post(agent, "/containers/box/exec", &body);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["Id"].as_str().expect("an id").to_owned()
}

#[track_caller]
fn start(agent: &Agent<'_>, exec: &str) {
    let answer = post(
        agent,
        &format!("/exec/{exec}/start"),
        &json!({"Detach": true}),
    );
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[track_caller]
fn run(agent: &Agent<'_>, script: &str) -> String {
    let exec = create(agent, script);
    start(agent, &exec);
    exec
}

#[track_caller]
fn inspect(agent: &Agent<'_>, exec: &str) -> Value {
    let answer = agent.api(&format!("/exec/{exec}/json"), &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[track_caller]
fn end_of(agent: &Agent<'_>, exec: &str) -> i64 {
    eventually("the command ends", SHORT, || {
        let seen = inspect(agent, exec);
        (seen["Running"] == false).then(|| seen["ExitCode"].as_i64().expect("an exit code"))
    })
}

/// A script that waits for a file in the container, then ends.
fn awaits(file: &str, code: i32) -> String {
    format!("until test -e /{file}; do sleep 0.02; done; exit {code}")
}

/// Makes a file in the container, with or without an agent.
fn touch(init: i32, file: &str) {
    std::fs::write(format!("/proc/{init}/root/{file}"), "").expect("the container lives");
}

fn wait_for_end_of_process(pid: i32) {
    let pid = nix::unistd::Pid::from_raw(pid);
    eventually("the process has ended", SHORT, || {
        nix::sys::signal::kill(pid, None).is_err().then_some(())
    });
}

#[test]
fn a_running_command_is_found_again_with_its_exit_code() {
    with_container(|agent| {
        let ended = run(agent, "exit 3");
        assert_eq!(end_of(agent, &ended), 3);
        let early = run(agent, &awaits("early", 5));
        let late = run(agent, &awaits("late", 7));
        let waiting = create(agent, "test $KEPT = word && exit 9");
        let before = inspect(agent, &late);
        let init = agent.init_pid("box");
        assert_eq!(before["Running"], true, "{before}");

        agent.kill_dash_nine();
        touch(init, "early");
        let shown: i32 = before["Pid"]
            .as_i64()
            .and_then(|pid| pid.try_into().ok())
            .expect("a pid");
        assert!(std::path::Path::new(&format!("/proc/{shown}")).exists());
        agent.restart();

        assert_eq!(end_of(agent, &ended), 3, "what had ended before");
        assert_eq!(end_of(agent, &early), 5, "what ended while nobody looked");
        assert_eq!(inspect(agent, &late), before, "what still runs, all of it");
        let ids = agent
            .docker(&["inspect", "-f", "{{.ExecIDs}}", "box"])
            .finish()
            .ok();
        assert_eq!(ids.text(), format!("[{late}]"));
        // Only the command ends it, and only once.
        let again = post(
            agent,
            &format!("/exec/{late}/start"),
            &json!({"Detach": true}),
        );
        assert_eq!(again.status, 409, "{again:?}");
        touch(init, "late");
        assert_eq!(end_of(agent, &late), 7);
        eventually("its end is told", SHORT, || {
            let told = agent
                .docker(&["events", "--since", "5m", "--until", "0s"])
                .args(["--filter", "event=exec_die", "--format", "{{json .}}"])
                .finish()
                .ok();
            let die = told.lines().into_iter().find(|line| line.contains(&late))?;
            assert!(die.contains(r#""exitCode":"7""#), "{die}");
            Some(())
        });
        // What was only created can be started by the new agent.
        start(agent, &waiting);
        assert_eq!(end_of(agent, &waiting), 9);

        // A second restart, after the ends: they are on record.
        agent.restart();
        for (exec, code) in [(&ended, 3), (&early, 5), (&late, 7), (&waiting, 9)] {
            assert_eq!(end_of(agent, exec), code);
        }
        let container = full_id(agent, "box");
        agent.docker(&["rm", "-f", "box"]).finish().ok();
        assert_eq!(agent.api(&format!("/exec/{late}/json"), &[]).status, 404);
        agent.restart();
        assert_eq!(
            agent.api(&format!("/exec/{late}/json"), &[]).status,
            404,
            "{container}"
        );
    });
}

#[test]
fn a_terminal_of_a_command_can_be_resized_by_the_next_agent() {
    with_container(|agent| {
        let body = json!({
            "Tty": true, "AttachStdin": true, "AttachStdout": true, "ConsoleSize": [20, 60],
            "Cmd": ["sh", "-c", "until stty size | grep -q '41 99'; do sleep 0.02; done; exit 8"],
        });
        let answer = post(agent, "/containers/box/exec", &body).json();
        let exec = answer["Id"].as_str().expect("an id").to_owned();
        start(agent, &exec);
        agent.kill_dash_nine();
        agent.restart();
        let resized = agent.api(&format!("/exec/{exec}/resize?h=41&w=99"), &["-XPOST"]);
        assert_eq!(resized.status, 200, "{resized:?}");
        assert_eq!(end_of(agent, &exec), 8);
    });
}

#[test]
fn ends_are_known_although_the_container_ended_as_well() {
    with_container(|agent| {
        let early = run(agent, &awaits("early", 5));
        let never = run(agent, &awaits("never", 6));
        let waiting = create(agent, "true");
        let init = agent.init_pid("box");
        let pid = inspect(agent, &early)["Pid"].as_i64().expect("a pid");
        agent.kill_dash_nine();
        touch(init, "early");
        wait_for_end_of_process(pid.try_into().expect("a pid"));
        let killed = nix::unistd::Pid::from_raw(init);
        nix::sys::signal::kill(killed, nix::sys::signal::Signal::SIGKILL).expect("init lives");
        wait_for_end_of_process(init);
        agent.restart();

        assert_eq!(end_of(agent, &early), 5);
        assert_eq!(
            end_of(agent, &never),
            137,
            "it was killed with the container"
        );
        let refused = post(
            agent,
            &format!("/exec/{waiting}/start"),
            &json!({"Detach": true}),
        );
        assert_eq!(refused.status, 409, "{refused:?}");
    });
}
