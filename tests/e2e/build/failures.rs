//! Builds that fail.

use super::*;

#[test]
fn failures_are_told_and_nothing_is_left() {
    let host = Host::new();
    let server = Server::start(&host);
    let base = push_busybox(&host, &server);
    let mut agent = Agent::start(&host);
    let try_build = |agent: &Agent<'_>, dockerfile: &str, options: &[&str]| {
        let dockerfile = dockerfile.replace("BASE", &base);
        let context = context(&[("Dockerfile", &dockerfile), ("file", "x")]);
        build(agent, context.path(), options)
    };
    let left = |agent: &Agent<'_>| agent.docker(&["ps", "-aq"]).finish().ok().lines().len();
    try_build(&agent, "FROM BASE\nRUN exit 3\n", &["--force-rm"])
        .fails_with(3)
        .fails_saying("The command '/bin/sh -c exit 3' returned a non-zero code: 3");
    assert_eq!(left(&agent), 0);
    // Without it the container stays to be looked at, as with docker.
    try_build(&agent, "FROM BASE\nRUN exit 4\n", &[]).fails_with(4);
    assert_eq!(left(&agent), 1);
    let id = agent.docker(&["ps", "-aq"]).finish().ok().text();
    agent.docker(&["rm", &id]).finish().ok();
    for (dockerfile, options, why) in [
        ("RUN x\n", &[][..], "no build stage in current context"),
        (
            "FROM BASE\nRUN --mount=type=cache,target=/x true\n",
            &[],
            "requires BuildKit",
        ),
        (
            "FROM BASE\nCOPY ../../../etc/passwd /x\n",
            &[],
            "does not exist",
        ),
        (
            "FROM BASE\nCOPY --chown=nosuchuser file /x\n",
            &[],
            "nosuchuser",
        ),
        (
            "FROM BASE\nCOPY file file /x\n",
            &[],
            "must be a directory and end with a /",
        ),
        (
            "FROM BASE\nCOPY --from=7 x /x\n",
            &[],
            "invalid from flag value 7",
        ),
        (
            "FROM BASE\nADD http://127.0.0.1/x /x\n",
            &[],
            "is not supported",
        ),
        ("FROM BASE\nSTOPSIGNAL banana\n", &[], "invalid signal"),
        ("FROM scratch\n", &[], "No image was generated"),
        ("# nothing\n", &[], "no instructions"),
        (
            "FROM BASE\nUSER nosuch\nRUN true\n",
            &["--force-rm"],
            "unable to find user nosuch",
        ),
    ] {
        try_build(&agent, dockerfile, options).fails_saying(why);
    }

    let builds = agent.data().join("builds");
    let n_builds = || fs::read_dir(&builds).map_or(0, Iterator::count);
    eventually("the contexts are gone", SHORT, || {
        (n_builds() == 0).then_some(())
    });

    // Limits of the build reach its containers.
    let look = "FROM BASE\nRUN cat /sys/fs/cgroup/memory/memory.limit_in_bytes \
                /sys/fs/cgroup/memory.max 2>/dev/null; ulimit -n; grep extra /etc/hosts; \
                df -k /dev/shm | tail -n 1\n";
    let limits = [
        "-m",
        "64m",
        "--ulimit",
        "nofile=77:77",
        "--add-host",
        "extra:1.2.3.4",
    ];
    let limits = [&limits[..], &["--shm-size", "1m"]].concat();
    let limited = try_build(&agent, look, &limits).ok().text();
    for part in ["67108864", "77", "1.2.3.4\textra", " 1024 "] {
        assert!(limited.contains(part), "{part:?} in {limited}");
    }
    let look = "FROM BASE\nRUN echo links: $(ls /sys/class/net)\n";
    let none = try_build(&agent, look, &["--network", "none"]).ok();
    assert!(none.text().contains("links: lo\n"), "{none:?}");

    // A client that goes away ends the build; so does the end of the agent.
    for kill_agent in [false, true] {
        let dockerfile = format!("FROM {base}\nRUN echo begun; sleep 1000\n");
        let context = context(&[("Dockerfile", &dockerfile)]);
        let mut client = agent
            .docker(&["build", &context.path().display().to_string()])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("docker build");
        eventually("the step runs", SHORT, || {
            (agent.docker(&["ps", "-q"]).finish().ok().lines().len() == 1).then_some(())
        });
        if kill_agent {
            agent.kill_dash_nine();
            agent.restart();
        }
        // It may have ended by itself.
        let _killed = client.kill();
        client.wait().expect("it ends");
        eventually("the container is gone", SHORT, || {
            (left(&agent) == 0).then_some(())
        });
    }
    eventually("the contexts are gone", SHORT, || {
        (n_builds() == 0).then_some(())
    });
}
