//! Where logs go: `json-file` and `local` with their sizes, `none`, and what is not there.

use std::path::Path;

use std::process::Command;

use hythe_tests::{Agent, AgentOptions, CommandExt as _, Host, SHORT, Server, eventually};
use serde_json::Value;

use super::{docker, inspect, run_script, with_agent};
use crate::{full_id, push_busybox};

#[test]
fn drivers_keep_what_they_promise() {
    with_agent(|agent, image| {
        let count = "for i in $(seq 1 3000); do echo line $i; done";
        for driver in ["json-file", "local"] {
            let options = "--log-opt max-size=20k --log-opt max-file=3";
            for compress in ["true", "false"] {
                let name = format!("{driver}-{compress}");
                let flags = format!(
                    "--name {name} --log-driver {driver} {options} --log-opt compress={compress}"
                );
                run_script(agent, &flags, image, count);
                docker(agent, &format!("wait {name}")).ok();
                let lines = docker(agent, &format!("logs {name}")).ok().lines();
                // The oldest are gone, the others are there in order, up to the last.
                let first = 3001 - lines.len();
                let expected: Vec<String> = (first..=3000).map(|i| format!("line {i}")).collect();
                assert_eq!(lines, expected, "{name}");
                assert!(
                    (300..3000).contains(&lines.len()),
                    "{name}: {}",
                    lines.len()
                );
                let tail = docker(agent, &format!("logs --tail 300 {name}"))
                    .ok()
                    .lines();
                assert_eq!(tail, expected[expected.len() - 300..], "{name}");
            }
        }
        let path = inspect(agent, "json-file-true", "{{.LogPath}}");
        let folder = Path::new(&path).parent().expect("a folder");
        let logs: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder of the log")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .filter(|name| name.contains("-json.log"))
            .collect();
        assert_eq!(logs.len(), 3, "{logs:?}");
        assert_eq!(
            logs.iter().filter(|name| name.contains(".gz")).count(),
            2,
            "{logs:?}"
        );
        let config = inspect(agent, "json-file-true", "{{json .HostConfig.LogConfig}}");
        assert!(config.contains(r#""max-size":"20k""#), "{config}");

        run_script(
            agent,
            "--name silent --log-driver none",
            image,
            "echo unheard; exec sleep 1000",
        );
        docker(agent, "logs silent").fails_saying("does not support reading");
        // A follower goes over from one file to the next.
        let flags = "-i --name rolled --log-opt max-size=4k --log-opt max-file=2";
        run_script(
            agent,
            flags,
            image,
            "read x; for i in $(seq 1 200); do echo line $i; sleep 0.002; done",
        );
        let mut follow = agent.docker(&["logs", "-f", "rolled"]);
        let follow = std::thread::spawn(move || follow.finish());
        agent
            .docker(&["attach", "rolled"])
            .finish_with_input(b"\n")
            .ok();
        let followed = follow.join().expect("the follower ends").ok().lines();
        assert_eq!(followed.last().map(String::as_str), Some("line 200"));

        let journald = format!("run --rm --log-driver journald {image} true");
        if !Path::new("/run/systemd/journal/socket").exists() {
            docker(agent, &journald).fails_saying("journald is not enabled on this host");
        }
        eventually("all but the silent one have ended", SHORT, || {
            (docker(agent, "ps -q").ok().lines().len() == 1).then_some(())
        });
    });
}

/// Runs the agent beside a journal of its own, which nobody else of this machine sees.
const WITH_JOURNAL: &str = r#"
mkdir -p /run/systemd /run/log
for place in /run/systemd /run/log /var/log; do mount -t tmpfs none $place; done
mkdir /run/systemd/journal
/lib/systemd/systemd-journald &
echo $! >/run/systemd/journald.pid
until [ -S /run/systemd/journal/socket ]; do sleep 0.05; done
exec "$@""#;

/// Ends the journal with the test.
struct Journal {
    agent: nix::unistd::Pid,
    pid: nix::unistd::Pid,
}

impl Journal {
    fn of(agent: &Agent<'_>) -> Self {
        let agent = agent.process_id();
        let path = format!("/proc/{agent}/root/run/systemd/journald.pid");
        let pid = std::fs::read_to_string(path).expect("it was started");
        let pid = nix::unistd::Pid::from_raw(pid.trim().parse().expect("a process id"));
        Self { agent, pid }
    }

    /// Every entry of a container, oldest first.
    fn entries(&self, container: &str) -> Vec<Value> {
        let run = Command::new("nsenter")
            .arg(format!("--mount=/proc/{}/ns/mnt", self.agent))
            .args(["journalctl", "--output=json", "--all", "--quiet"])
            .arg(format!("CONTAINER_NAME={container}"))
            .finish()
            .ok();
        let parse = |line: &String| serde_json::from_str(line).expect("JSON");
        run.lines().iter().map(parse).collect()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _sent = nix::sys::signal::kill(self.pid, nix::sys::signal::Signal::SIGKILL);
    }
}

#[test]
fn journald_has_every_line_and_logs_shows_them() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let under = ["sh", "-c", WITH_JOURNAL, "sh"].map(str::to_owned);
    let options = AgentOptions {
        under: under.into(),
        ..AgentOptions::default()
    };
    let agent = Agent::start_with(&host, options);
    let journal = Journal::of(&agent);
    let long = "x".repeat(20_000);
    let script = format!("echo out; echo err >&2; echo {long}; printf end");
    let flags = "--name talk --log-driver journald --log-opt tag={{.Name}}/{{.ID}}";
    run_script(&agent, flags, &image, &script);
    docker(&agent, "wait talk").ok();
    let entries = eventually("the journal has all of it", SHORT, || {
        let entries = journal.entries("talk");
        (entries.len() >= 5).then_some(entries)
    });
    let id = full_id(&agent, "talk");
    let field = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    // Each stream for itself: lines of two may change places.
    let said = |priority: &str| -> Vec<(String, String)> {
        let of_stream = entries
            .iter()
            .filter(|it| field(it, "PRIORITY") == priority);
        of_stream
            .map(|it| (field(it, "MESSAGE"), field(it, "CONTAINER_PARTIAL_MESSAGE")))
            .collect()
    };
    let expected = [
        ("out", ""),
        (&long[..16_384], "true"),
        (&long[16_384..], ""),
        ("end", ""),
    ];
    assert_eq!(
        said("6"),
        expected.map(|(message, partial)| (message.into(), partial.into()))
    );
    assert_eq!(said("3"), [("err".to_owned(), String::new())]);
    let tag = format!("talk/{}", &id[..12]);
    for (name, value) in [
        ("CONTAINER_ID", &id[..12]),
        ("CONTAINER_ID_FULL", &id),
        ("CONTAINER_TAG", &tag),
        ("SYSLOG_IDENTIFIER", &tag),
        ("IMAGE_NAME", &image),
    ] {
        assert!(
            entries.iter().all(|it| field(it, name) == value),
            "{name}: {entries:?}"
        );
    }
    let logs = docker(&agent, "logs talk").ok();
    assert_eq!(logs.text(), format!("out\n{long}\nend"));
    assert_eq!(logs.error_text(), "err");
    assert_eq!(
        inspect(&agent, "talk", "{{json .HostConfig.LogConfig}}"),
        r#"{"Type":"journald","Config":{"tag":"{{.Name}}/{{.ID}}"}}"#
    );
    let tagged = |tag: &str| {
        let flags = format!("run --rm --log-driver journald --log-opt tag={tag}");
        docker(&agent, &format!("{flags} {image} true"))
    };
    tagged("{{.Nope}}").fails_saying("failed to initialize logging driver");
    tagged("{{.Name").fails_saying("failed to initialize logging driver");
    docker(&agent, "rm talk").ok();
    drop(agent);
    drop(journal);
}
