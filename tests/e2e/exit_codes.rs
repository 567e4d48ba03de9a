//! Exit codes pass through, whoever ended the program.

use hythe_tests::{Agent, CommandExt as _, Host, Server};

use crate::push_busybox;

#[test]
fn exit_codes_are_dockers() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let run = |arguments: &[&str]| {
        let mut words = vec!["run", "--rm"];
        words.extend_from_slice(arguments);
        agent.docker(&words).finish()
    };

    run(&[&image, "true"]).ok();
    run(&[&image, "sh", "-c", "exit 7"]).fails_with(7);
    run(&[&image, "sh", "-c", "exit 255"]).fails_with(255);
    run(&["--no-such-flag", &image, "true"]).fails_with(125);
    run(&["127.0.0.1:5000/nothing/here:1", "true"]).fails_with(125);
    run(&[&image, "/etc/passwd"])
        .fails_with(126)
        .fails_saying("permission denied");
    run(&[&image, "/etc"]).fails_with(126);
    run(&[&image, "no-such-program"])
        .fails_with(127)
        .fails_saying("executable file not found in $PATH");
    run(&[&image, "/no/such/path"])
        .fails_with(127)
        .fails_saying("no such file or directory");
    run(&["-w", "/etc/passwd", &image, "true"]).fails_with(125);
    for (signal, code) in [("KILL", 137), ("TERM", 143), ("SEGV", 139)] {
        // Init of a pid namespace ignores signals it has no handler for: a child takes it.
        run(&[
            &image,
            "sh",
            "-c",
            &format!("sh -c 'kill -{signal} $$'; exit $?"),
        ])
        .fails_with(code);
    }

    agent
        .docker(&["run", "-d", "--name", "sleeper", &image, "sleep", "1000"])
        .finish()
        .ok();
    agent.docker(&["kill", "sleeper"]).finish().ok();
    let waited = agent.docker(&["wait", "sleeper"]).finish().ok();
    assert_eq!(waited.text(), "137");
    let exec = agent.docker(&["start", "sleeper"]).finish().ok();
    assert_eq!(exec.text(), "sleeper");
    agent
        .docker(&["exec", "sleeper", "sh", "-c", "exit 9"])
        .finish()
        .fails_with(9);
    agent
        .docker(&["exec", "sleeper", "nope"])
        .finish()
        .fails_with(127);
    agent
        .docker(&["exec", "sleeper", "/etc/passwd"])
        .finish()
        .fails_with(126);
    agent
        .docker(&["restart", "-t", "0", "sleeper"])
        .finish()
        .ok();
    agent.docker(&["exec", "sleeper", "true"]).finish().ok();
    agent
        .docker(&["rm", "sleeper"])
        .finish()
        .fails_saying("container is running");
    agent.docker(&["rm", "-f", "sleeper"]).finish().ok();
    agent
        .docker(&["start", "sleeper"])
        .finish()
        .fails_saying("No such container: sleeper");
}

#[test]
fn names_environment_user_and_directory_are_what_was_asked() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let run = |arguments: &[&str]| {
        let mut words = vec!["run", "--rm"];
        words.extend_from_slice(arguments);
        agent.docker(&words).finish().ok().text()
    };

    assert_eq!(
        run(&[
            "-e",
            "GREETING=hi there",
            &image,
            "sh",
            "-c",
            "echo $GREETING"
        ]),
        "hi there"
    );
    assert_eq!(run(&["-w", "/new/place", &image, "pwd"]), "/new/place");
    assert_eq!(run(&["-u", "nobody", &image, "id", "-u"]), "65534");
    assert_eq!(
        run(&["-u", "12:34", &image, "sh", "-c", "id -u; id -g"]),
        "12\n34"
    );
    assert_eq!(run(&["--entrypoint", "/bin/echo", &image, "a", "b"]), "a b");
    assert_eq!(
        run(&["--hostname", "harbour", &image, "hostname"]),
        "harbour"
    );
    let hosts = run(&["--hostname", "harbour", &image, "cat", "/etc/hosts"]);
    assert!(hosts.contains("\tharbour"), "{hosts}");

    agent
        .docker(&["create", "--name", "one", &image, "true"])
        .finish()
        .ok();
    agent
        .docker(&["create", "--name", "one", &image, "true"])
        .finish()
        .fails_saying("is already in use by container");
    let all = agent
        .docker(&["ps", "-a", "--format", "{{.Names}} {{.State}}"])
        .finish()
        .ok();
    assert_eq!(all.lines(), ["one created"]);
    assert_eq!(agent.docker(&["ps", "-q"]).finish().ok().text(), "");
}
