//! How containers end, begin again, and fare while their agent is away.

use hythe_tests::{Agent, CommandExt as _, SHORT, eventually};

use super::{docker, inspect, run_script, with_agent};

fn state(agent: &Agent<'_>, container: &str) -> String {
    inspect(agent, container, "{{.State.Status}}")
}

fn kill_init(pid: i32) {
    use nix::sys::signal::{Signal, kill};
    let init = nix::unistd::Pid::from_raw(pid);
    kill(init, Signal::SIGKILL).expect("init lives");
    eventually("init is gone", SHORT, || {
        kill(init, None).is_err().then_some(())
    });
}

#[test]
fn restart_policies_hold_with_and_without_the_agent() {
    with_agent(|agent, image| {
        run_script(
            agent,
            "--name failing --restart on-failure:2",
            image,
            "exit 1",
        );
        run_script(agent, "--name well --restart on-failure", image, "exit 0");
        run_script(agent, "--name busy --restart always", image, "exit 0");
        for name in ["always", "unless-stopped", "no"] {
            let flags = format!("--name {name} --restart {name}");
            run_script(agent, &flags, image, "exec sleep 1000");
            let flags = format!("--name {name}-halted --restart {name}");
            run_script(agent, &flags, image, "exec sleep 1000");
        }
        eventually("the failing one has given up", SHORT, || {
            let now = inspect(agent, "failing", "{{.State.Status}} {{.RestartCount}}");
            (now == "exited 2").then_some(())
        });
        eventually("it ended well", SHORT, || {
            (state(agent, "well") == "exited").then_some(())
        });
        assert_eq!(inspect(agent, "well", "{{.RestartCount}}"), "0");
        eventually("it comes again and again", SHORT, || {
            let count: u32 = inspect(agent, "busy", "{{.RestartCount}}")
                .parse()
                .expect("a number");
            (count >= 4).then_some(())
        });
        // The pauses double: 100 ms, 200 ms, …
        eventually("it waits between two lives", SHORT, || {
            (state(agent, "busy") == "restarting").then_some(())
        });
        docker(agent, "stop -t 0 busy").ok();
        assert_eq!(state(agent, "busy"), "exited");
        docker(agent, "rm busy").ok();

        // One that is killed comes again, one that is stopped does not.
        let pid = agent.init_pid("always");
        kill_init(pid);
        eventually("it is back", SHORT, || {
            let now = inspect(agent, "always", "{{.State.Status}} {{.State.Pid}}");
            (now.starts_with("running") && now != format!("running {pid}")).then_some(())
        });
        docker(
            agent,
            "stop -t 0 always-halted unless-stopped-halted no-halted",
        )
        .ok();

        let pids: Vec<i32> = ["always", "unless-stopped", "no"]
            .map(|name| agent.init_pid(name))
            .into();
        agent.kill_dash_nine();
        // `always` lives on; the two others end while nobody looks.
        kill_init(pids[1]);
        kill_init(pids[2]);
        agent.restart();
        assert_eq!(agent.init_pid("always"), pids[0], "the same process");
        eventually("what shall run does", SHORT, || {
            let running = ["unless-stopped", "always-halted"];
            running
                .iter()
                .all(|name| state(agent, name) == "running")
                .then_some(())
        });
        for name in [
            "no",
            "no-halted",
            "unless-stopped-halted",
            "failing",
            "well",
        ] {
            assert_eq!(state(agent, name), "exited", "{name}");
        }
    });
}

#[test]
fn what_happens_while_the_agent_is_away() {
    with_agent(|agent, image| {
        run_script(agent, "--name gone --rm", image, "exec sleep 1000");
        run_script(
            agent,
            "--name kept --init -p 18083:80",
            image,
            "exec httpd -f -p 80 -h /etc",
        );
        run_script(agent, "--name held", image, "exec sleep 1000");
        docker(agent, "pause held").ok();
        // A command goes on without its agent, and what it writes arrives.
        let exec = "for i in $(seq 1 1000); do echo $i > /tmp/n; sleep 0.05; done";
        agent
            .docker(&["exec", "-d", "kept", "sh", "-c", exec])
            .finish()
            .ok();
        let gone = agent.init_pid("gone");
        agent.kill_dash_nine();
        kill_init(gone);
        agent.restart();
        eventually("--rm holds", SHORT, || {
            (docker(agent, "ps -a --format {{.Names}}").ok().text() == "held\nkept").then_some(())
        });
        assert_eq!(state(agent, "held"), "paused");
        docker(agent, "unpause held").ok();
        let n = || docker(agent, "exec kept cat /tmp/n").ok().text();
        let before = n();
        eventually("the command still runs", SHORT, || {
            (n() != before).then_some(())
        });
        let page = agent.host().curl(&["http://127.0.0.1:18083/passwd"]);
        assert!(
            page.text().contains("root"),
            "the port is still published: {page:?}"
        );
        docker(agent, "rm -f held kept").ok();
    });
}

#[test]
fn signals_and_patience_of_a_stop() {
    with_agent(|agent, image| {
        let script =
            "trap 'exit 41' TERM; trap 'exit 42' USR1; echo up; while :; do sleep 0.05; done";
        let cases = [
            ("plain", "", "stop plain", "41"),
            ("own", "--stop-signal SIGUSR1", "stop own", "42"),
            ("told", "", "stop -s USR1 told", "42"),
            ("killed", "", "kill killed", "137"),
            ("asked", "", "kill -s TERM asked", "41"),
            ("again", "--restart always", "kill -s KILL again", "137"),
        ];
        for (name, flags, command, code) in cases {
            run_script(agent, &format!("--name {name} {flags}"), image, script);
            eventually("it listens", SHORT, || {
                (docker(agent, &format!("logs {name}")).text() == "up").then_some(())
            });
            if command.contains(" -s USR1")
                && docker(agent, "stop --help").text().contains("--signal")
            {
                docker(agent, command).ok();
            } else if command.contains(" -s USR1") {
                // Docker 20.10 has no such flag; the request is the same.
                let answer =
                    agent.api(&format!("/containers/{name}/stop?signal=USR1"), &["-XPOST"]);
                assert_eq!(answer.status, 204, "{answer:?}");
            } else {
                docker(agent, command).ok();
            }
            eventually("it ended", SHORT, || {
                let now = inspect(agent, name, "{{.State.Running}} {{.State.ExitCode}}");
                (now == format!("false {code}")).then_some(())
            });
        }
        // One that does not listen is killed after the time it was given.
        run_script(
            agent,
            "--name deaf --stop-timeout 1",
            image,
            "trap '' TERM; exec sleep 1000",
        );
        docker(agent, "stop deaf").ok();
        assert_eq!(inspect(agent, "deaf", "{{.State.ExitCode}}"), "137");
        // What `init` is there for: nobody else's children stay as zombies.
        run_script(
            agent,
            "--name reaping --init",
            image,
            "(sleep 0.1 & ) ; exec sleep 1000",
        );
        eventually("the orphan is gone", SHORT, || {
            let top = docker(agent, "top reaping -o pid,stat,args").ok().text();
            (!top.contains("sleep 0.1") && !top.contains('Z')).then_some(())
        });
    });
}

#[test]
fn health_is_looked_after() {
    with_agent(|agent, image| {
        let every = "--health-interval 200ms --health-timeout 5s --health-retries 2";
        let health = |name: &str| inspect(agent, name, "{{.State.Health.Status}}");
        let start = |name: &str, flags: &str, command: &str| {
            let mut words = vec!["run", "-d", "--name", name, "--health-cmd", command];
            words.extend(flags.split_whitespace());
            words.extend(every.split_whitespace());
            words.extend([image, "sleep", "1000"]);
            agent.docker(&words).finish().ok();
        };
        start("watched", "", "test -e /well");
        start("patient", "--health-start-period 1h", "false");
        start("slow", "", "sleep 100");
        let off = format!("run -d --name unwatched --no-healthcheck {image} sleep 1000");
        docker(agent, &off).ok();
        eventually("it is ill", SHORT, || {
            (health("watched") == "unhealthy").then_some(())
        });
        docker(agent, "exec watched touch /well").ok();
        eventually("it is well", SHORT, || {
            (health("watched") == "healthy").then_some(())
        });
        eventually("a probe that hangs is a failure", SHORT, || {
            let last = inspect(
                agent,
                "slow",
                "{{range .State.Health.Log}}{{.Output}}{{end}}",
            );
            last.contains("Health check exceeded timeout").then_some(())
        });
        assert_eq!(health("patient"), "starting", "failures do not count yet");
        assert_eq!(
            inspect(agent, "unwatched", "{{json .State.Health}}"),
            "null"
        );
        assert_eq!(
            docker(agent, "ps --format {{.Names}} --filter health=healthy")
                .ok()
                .text(),
            "watched"
        );
        let events = "events --since 5m --until 0s --filter container=watched --format {{.Action}}";
        let told = docker(agent, events).ok().text();
        for wanted in ["health_status: unhealthy", "health_status: healthy"] {
            assert!(told.contains(wanted), "{told}");
        }
        // A restarted agent goes on looking.
        agent.kill_dash_nine();
        agent.restart();
        docker(agent, "exec watched rm /well").ok();
        eventually("it is ill again", SHORT, || {
            (inspect(agent, "watched", "{{.State.Health.Status}}") == "unhealthy").then_some(())
        });
    });
}
