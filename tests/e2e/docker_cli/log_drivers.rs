//! Where logs go: `json-file` and `local` with their sizes, `none`, and what is not there.

use std::path::Path;

use hythe_tests::{CommandExt as _, SHORT, eventually};

use super::{docker, inspect, run_script, with_agent};

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
            docker(agent, &journald).fails_saying("journald");
        }
        eventually("all but the silent one have ended", SHORT, || {
            (docker(agent, "ps -q").ok().lines().len() == 1).then_some(())
        });
    });
}
