//! The container commands that a beginner's tutorial shows, with docker and with our own
//! command line: both get the same answers.

use hythe_tests::{Agent, CommandExt as _, SHORT, eventually};

use super::with_agent;

/// A command of the tutorial, words that its answer holds. `IMAGE` stands for the image.
const COMMANDS: &[(&str, &str)] = &[
    ("version", "API version"),
    ("info", "Storage Driver"),
    (
        "run -d --name=web -p 18080:80 IMAGE httpd -f -p 80 -h /etc",
        "",
    ),
    ("ps", "0.0.0.0:18080->80/tcp"),
    ("ps -q", ""),
    ("ps -a", "web"),
    ("ps -s", "virtual"),
    ("ps -n 1", "web"),
    ("ps -l", "web"),
    ("ps --no-trunc", "httpd -f -p 80 -h /etc"),
    ("pause web", "web"),
    ("unpause web", "web"),
    ("restart -t 0 web", "web"),
    ("exec web cat /etc/passwd", "root"),
    ("top web", "httpd"),
    ("stats --no-stream web", "CPU %"),
    ("inspect web", "\"Name\": \"/web\""),
    ("port web", "18080"),
    ("logs web", ""),
    ("logs -f -t --tail=2 --until=1s web", ""),
    ("logs --since=2023-08-21 --tail=2 web", ""),
    ("cp web:/etc/passwd PLACE/passwd", ""),
    ("cp PLACE/passwd web:/root/", ""),
    ("exec web ls /root", "passwd"),
    ("diff web", "A /root/passwd"),
    ("rename web site", ""),
    ("update -m 64m --memory-swap 64m site", "site"),
    ("stop -t 0 site", "site"),
    ("start site", "site"),
    ("kill site", "site"),
    ("wait site", "137"),
    ("export -o PLACE/site.tar site", ""),
    ("commit -m message -a author site site:1", "sha256:"),
    ("rm -v site", "site"),
    ("run --rm site:1 cat /root/passwd", "root"),
    ("create --name data -v html:/root/html IMAGE true", ""),
    ("volume inspect html", "_data"),
    ("rm -f data", "data"),
    ("volume rm html", "html"),
    ("rmi site:1", "Untagged: site:1"),
    ("container prune -f", ""),
];

fn tutorial(agent: &Agent<'_>, image: &str, hythe: bool) {
    let place = tempfile::tempdir().expect("a directory");
    let folder = place.path().display().to_string();
    let run = |words: &[&str]| {
        let mut command = if hythe {
            agent.hythe(words)
        } else {
            agent.docker(words)
        };
        command.finish()
    };
    for (line, expected) in COMMANDS {
        let line = line.replace("IMAGE", image).replace("PLACE", &folder);
        let answer = run(&line.split_whitespace().collect::<Vec<_>>()).ok();
        assert!(
            answer.text().contains(expected),
            "expected {expected:?}: {answer:?}"
        );
    }
    assert_eq!(run(&["ps", "-aq"]).ok().text(), "");

    // In and out of a terminal: `exit` ends the container, ctrl-p ctrl-q leaves it running.
    let terminal = |words: &[&str]| {
        let command = if hythe {
            agent.hythe(words)
        } else {
            agent.docker(words)
        };
        hythe_tests::Terminal::start(&command)
    };
    let mut shell = terminal(&["run", "-it", "--name", "shell", image, "/bin/sh"]);
    shell.type_after("#", b"\x10\x11");
    assert_eq!(shell.finish().code, 0);
    let names = |flags: &[&str]| {
        run(&[&["ps", "--format", "{{.Names}}"], flags].concat())
            .ok()
            .text()
    };
    assert_eq!(names(&[]), "shell");
    let mut shell = terminal(&["exec", "-it", "shell", "/bin/sh"]);
    shell.type_after("#", b"exit 4\n");
    assert_eq!(shell.finish().code, 4);
    let mut shell = terminal(&["attach", "shell"]);
    shell.type_after("", b"exit 3\n");
    assert_eq!(shell.finish().code, 3);
    eventually("it ended", SHORT, || names(&[]).is_empty().then_some(()));
    // As `rm -f $(ps -aq)` does.
    let all = run(&["ps", "-aq"]).ok().lines();
    let mut words = vec!["rm", "-f"];
    words.extend(all.iter().map(String::as_str));
    run(&words).ok();
    assert_eq!(names(&["-a"]), "");
}

#[test]
fn with_docker() {
    with_agent(|agent, image| tutorial(agent, image, false));
}

#[test]
fn with_hythe() {
    with_agent(|agent, image| tutorial(agent, image, true));
}
