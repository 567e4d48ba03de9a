//! The commands that look at containers and change them.

use hythe_tests::{CommandExt as _, SHORT, eventually};

use super::{docker, inspect, run_script, said, with_agent};

/// Filters of `docker ps -a` and the names that remain, in the order of the list.
const FILTERS: &[(&str, &str)] = &[
    ("status=running", "one"),
    ("status=exited", "two"),
    ("status=created", "three"),
    ("name=o", "two one"),
    ("name=^/one$", "one"),
    ("label=kind", "two one"),
    ("label=kind=b", "two"),
    ("network=none", "two"),
    ("network=bridge", "three one"),
    ("health=none", "three two one"),
    ("exited=7", "two"),
    ("exited=8", ""),
    ("before=two", "one"),
    ("since=one", "three two"),
    ("publish=18081", "one"),
    ("expose=80", "one"),
    ("expose=80-90/tcp", "one"),
    ("volume=/data", "three"),
    ("volume=kept", "three"),
    ("is-task=false", "three two one"),
    ("is-task=true", ""),
];

/// Commands, and what they say; those that begin with `!` have to fail.
const SAYINGS: &[(&str, &str)] = &[
    ("!ps --filter nosuch=1", "invalid filter 'nosuch'"),
    (
        "!ps --filter status=nosuch",
        "invalid filter 'status=nosuch'",
    ),
    ("!ps --filter exited=x", "invalid filter"),
    ("ps -n 2 --format {{.Names}}", "three\ntwo"),
    ("ps -l --format {{.Names}}", "three"),
    ("ps -s --format {{.Size}}", "virtual"),
    ("ps --no-trunc --format {{.Command}}", "exec sleep 1000"),
    ("port one", "80/tcp -> 0.0.0.0:18081"),
    ("port one 80/tcp", "0.0.0.0:18081"),
    ("!port one 81", "o public port '81"),
    ("top one", "sleep 1000"),
    ("top one -o pid,comm", "COMMAND"),
    ("!top two", "is not running"),
    (
        "stats --no-stream --format {{.Name}}:{{.PIDs}} one",
        "one:1",
    ),
    (
        "stats --no-stream --no-trunc --all --format {{.Name}} one two",
        "two",
    ),
    ("!inspect nosuch", "o such object: nosuch"),
    ("inspect --size -f {{.SizeRw}} one", ""),
    ("inspect --type container -f {{.Name}} one", "/one"),
    ("diff one", "A /made"),
    ("diff one", "C /etc"),
    ("diff one", "D /etc/group"),
    ("diff three", ""),
    ("!rename one two", "is already in use"),
    ("!rename nosuch four", "No such container: nosuch"),
    ("!rename one -", "Invalid container name"),
    ("!pause two", "is not running"),
    ("pause one", "one"),
    ("!pause one", "is already paused"),
    ("!exec one true", "is paused"),
    ("!attach one", "paused"),
    ("ps --format {{.Status}}", "(Paused)"),
    ("unpause one", "one"),
    ("!unpause one", "is not paused"),
    ("!kill -s NOPE one", "nvalid signal"),
    ("!kill two", "is not running"),
    ("kill -s USR1 one", "one"),
    ("!rm one", "container is running"),
    ("!start nosuch", "No such container: nosuch"),
    ("start one", "one"),
    ("stop -t 0 two", "two"),
    ("wait two", "7"),
    ("!exec two true", "is not running"),
    ("exec -w /tmp -e A=b -u nobody one env", "A=b"),
    (
        "exec --privileged one grep CapEff /proc/self/status",
        "CapEff",
    ),
    ("!exec one nope", "nope"),
    ("exec -d one touch /tmp/later", ""),
    ("!logs nosuch", "No such container: nosuch"),
    ("!export nosuch", "No such container: nosuch"),
    ("!commit nosuch", "No such container: nosuch"),
    ("!cp nosuch:/etc .", "nosuch"),
    ("!container inspect two:nosuch", "o such container"),
    ("container ls -q --filter name=nosuch", ""),
];

#[test]
fn looking_at_containers() {
    with_agent(|agent, image| {
        docker(agent, "volume create kept").ok();
        let script = "touch /made; rm /etc/group; trap : USR1; exec sleep 1000";
        run_script(
            agent,
            "--name one -p 18081:80 --label kind=a",
            image,
            script,
        );
        run_script(
            agent,
            "--name two --network none --label kind=b",
            image,
            "exit 7",
        );
        docker(
            agent,
            &format!("create --name three -v kept:/data {image} true"),
        )
        .ok();
        docker(agent, "wait two").ok();
        eventually("one has made its file", SHORT, || {
            (docker(agent, "exec one test -e /made").code == 0).then_some(())
        });
        for (filter, names) in FILTERS {
            let run = docker(
                agent,
                &format!("ps -a --format {{{{.Names}}}} --filter {filter}"),
            );
            assert_eq!(run.ok().lines().join(" "), *names, "{filter}");
        }
        let ancestor = format!("ps -aq --filter ancestor={image}");
        assert_eq!(docker(agent, &ancestor).ok().lines().len(), 3);
        for (line, expected) in SAYINGS {
            let (line, fails) = match line.strip_prefix('!') {
                Some(line) => (line, true),
                None => (*line, false),
            };
            let run = docker(agent, line);
            let holds = (run.code != 0) == fails && said(&run).contains(expected);
            assert!(holds, "expected {expected:?}, failure {fails}: {run:?}");
        }
        // Any start of an id names it while it is the only one.
        let id = inspect(agent, "one", "{{.Id}}");
        for name in [&id, &id[..12], &id[..8], "/one"] {
            assert_eq!(inspect(agent, name, "{{.Name}}"), "/one");
        }
        docker(agent, "inspect -f {{.Id}} zz").fails_saying("o such object");
    });
}

#[test]
fn an_ambiguous_prefix_names_nobody() {
    with_agent(|agent, image| {
        // Seventeen ids: two of them begin with the same digit.
        let ids: Vec<String> = (0..17)
            .map(|_| docker(agent, &format!("create {image} true")).ok().text())
            .collect();
        let same = ids.iter().find_map(|id| {
            let first = &id[..1];
            (ids.iter().filter(|other| other.starts_with(first)).count() > 1).then_some(first)
        });
        let digit = same.expect("a digit that two begin with");
        docker(agent, &format!("start {digit}"))
            .fails_saying("multiple IDs found with provided prefix");
        assert_eq!(
            docker(agent, &format!("start {}", ids[0])).ok().text(),
            ids[0]
        );
    });
}

#[test]
fn logs_are_cut_by_time_and_number() {
    with_agent(|agent, image| {
        // Standard error only: lines of two streams may change places.
        let script =
            "for i in 1 2 3 4; do echo line $i >&2; sleep 0.02; done; read x; echo last >&2";
        run_script(agent, "-i --name talk", image, script);
        let logs = |flags: &str| {
            docker(agent, &format!("logs {flags} talk"))
                .ok()
                .error_text()
        };
        eventually("four lines", SHORT, || {
            (logs("").lines().count() == 4).then_some(())
        });
        assert_eq!(logs("--tail 2"), "line 3\nline 4");
        assert_eq!(logs("-n 0"), "");
        assert_eq!(logs("--tail all").lines().count(), 4);
        let stamps: Vec<String> = logs("-t")
            .lines()
            .map(|line| line[..30].to_owned())
            .collect();
        assert_eq!(logs(&format!("--since {}", stamps[2])), "line 3\nline 4");
        assert_eq!(logs(&format!("--until {}", stamps[1])), "line 1\nline 2");
        let (since, until) = (&stamps[1], &stamps[2]);
        assert_eq!(
            logs(&format!("--since {since} --until {until}")),
            "line 2\nline 3"
        );
        assert_eq!(logs("--since 1h").lines().count(), 4);
        assert_eq!(logs("--until 1h"), "");
        docker(agent, "logs --since nonsense talk").fails_saying("");

        let mut follow = agent.docker(&["logs", "-f", "--tail", "1", "talk"]);
        let follow = std::thread::spawn(move || follow.finish());
        agent
            .docker(&["attach", "talk"])
            .finish_with_input(b"\n")
            .ok();
        let followed = follow.join().expect("the follower ends").ok().error_text();
        assert!(
            followed.ends_with("last") && followed.lines().count() <= 2,
            "{followed}"
        );
    });
}

#[test]
fn a_wait_a_prune_and_an_update() {
    with_agent(|agent, image| {
        run_script(
            agent,
            "-i --name waited --label keep=no",
            image,
            "read x; exit 9",
        );
        let mut wait = agent.docker(&["wait", "waited"]);
        let wait = std::thread::spawn(move || wait.finish());
        let update =
            "update -m 64m --memory-swap 64m --cpus 0.5 --restart on-failure:3 --pids-limit 55";
        docker(agent, &format!("{update} waited")).ok();
        let now = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.RestartPolicy.Name}} \
                   {{.HostConfig.PidsLimit}}";
        assert_eq!(
            inspect(agent, "waited", now),
            "67108864 500000000 on-failure 55"
        );
        let limit = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max 2>/dev/null";
        let shown = agent
            .docker(&["exec", "waited", "sh", "-c", limit])
            .finish();
        assert_eq!(shown.text(), "67108864", "the kernel has it too");
        docker(agent, "update -m 1m waited").fails_saying("Minimum memory limit");
        docker(agent, "update --cpuset-cpus 4095 waited").fails_saying("not available");
        docker(agent, "update --restart no waited").ok();

        let prune = |filter: &str| docker(agent, &format!("container prune -f --filter {filter}"));
        prune("label=keep").ok();
        assert_eq!(
            docker(agent, "ps -aq").ok().lines().len(),
            1,
            "it still runs"
        );
        agent
            .docker(&["attach", "waited"])
            .finish_with_input(b"\n")
            .fails_with(9);
        assert_eq!(wait.join().expect("the wait ends").ok().text(), "9");
        prune("label=other").ok();
        prune("label!=keep").ok();
        prune("until=1h").ok();
        assert_eq!(docker(agent, "ps -aq").ok().lines().len(), 1);
        prune("nosuch=1").fails_saying("nosuch");
        let pruned = prune("label=keep=no").ok().text();
        assert!(pruned.contains("Total reclaimed space"), "{pruned}");
        assert_eq!(docker(agent, "ps -aq").ok().text(), "");
        docker(agent, &format!("run --name made {image} sh -c true")).ok();
        docker(agent, "system prune -f").ok();
        assert_eq!(docker(agent, "ps -aq").ok().text(), "");
        docker(agent, "system df -v").ok();
    });
}

#[test]
fn attached_and_let_go() {
    with_agent(|agent, image| {
        docker(agent, &format!("run -dit --name shell {image} sh")).ok();
        for (flags, keys) in [
            ("", b"\x10\x11".as_slice()),
            ("--detach-keys=ctrl-a,x", b"\x01x"),
        ] {
            let mut words = vec!["attach"];
            words.extend(flags.split_whitespace());
            words.push("shell");
            let mut terminal = agent.docker_on_terminal(&words);
            terminal.type_after("", b"echo a$((40+2))b\n");
            terminal.type_after("a42b", keys);
            let left = terminal.finish();
            assert!(left.text().contains("read escape sequence"), "{left:?}");
            assert_eq!(inspect(agent, "shell", "{{.State.Status}}"), "running");
        }
        let mut exec = agent.docker_on_terminal(&["exec", "-it", "shell", "sh"]);
        exec.type_after("#", b"\x10\x11");
        exec.finish();
        assert_eq!(
            inspect(agent, "shell", "{{len .ExecIDs}}"),
            "1",
            "the exec goes on"
        );
        // A single ctrl-p is the shell's own; `start -ai` comes back with the exit code.
        let mut last = agent.docker_on_terminal(&["attach", "shell"]);
        last.type_after("", b"exit 5\n");
        assert_eq!(last.finish().code, 5);
        let mut again = agent.docker_on_terminal(&["start", "-ai", "shell"]);
        again.type_after("#", b"exit 6\n");
        assert_eq!(again.finish().code, 6);

        // Signals sent to the client reach the program, unless told otherwise.
        let script = "trap 'exit 33' TERM; echo up; while :; do sleep 0.1; done";
        let mut run = agent.docker(&["run", "--name", "signalled", image, "sh", "-c", script]);
        let mut client = run.spawn().expect("docker starts");
        eventually("it is up", SHORT, || {
            (docker(agent, "logs signalled").text() == "up").then_some(())
        });
        let pid = nix::unistd::Pid::from_raw(i32::try_from(client.id()).expect("a process id"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it runs");
        assert_eq!(client.wait().expect("it ends").code(), Some(33));
    });
}
