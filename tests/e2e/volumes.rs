//! Volumes: every `docker volume` command and every way to mount, with the real docker command
//! line.

use hythe_tests::{Agent, CommandExt as _, Host, ImageBuilder, Layer, Server, TarBuilder};
use serde_json::{Value, json};

use crate::{push, push_busybox};

#[test]
fn the_volume_commands_are_dockers() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let docker = |words: &[&str]| agent.docker(words).finish();

    // create and ls, as the tutorial shows them
    assert_eq!(docker(&["volume", "create", "html"]).ok().text(), "html");
    assert_eq!(docker(&["volume", "create", "html"]).ok().text(), "html");
    docker(&[
        "volume", "create", "--label", "tier=web", "--label", "x", "labelled",
    ])
    .ok();
    let anonymous = docker(&["volume", "create"]).ok().text();
    assert_eq!(anonymous.len(), 64, "{anonymous}");
    let listed = docker(&["volume", "ls"]).ok().text();
    assert!(listed.starts_with("DRIVER    VOLUME NAME\n"), "{listed}");
    assert!(listed.contains("local     html\n"), "{listed}");
    docker(&["volume", "create", "-d", "nosuch", "v"])
        .fails_with(1)
        .fails_saying("plugin \"nosuch\" not found");
    docker(&["volume", "create", "a b"])
        .fails_with(1)
        .fails_saying("includes invalid characters for a local volume name");

    // inspect: the fields of docker's answer
    let inspected = docker(&["volume", "inspect", "html"]).ok();
    let inspected: Value = serde_json::from_slice(&inspected.stdout).expect("JSON");
    let html = &inspected[0];
    assert_eq!(html["Name"], "html");
    assert_eq!(html["Driver"], "local");
    assert_eq!(html["Scope"], "local");
    assert!(
        html["CreatedAt"]
            .as_str()
            .is_some_and(|at| at.contains('T'))
    );
    let mountpoint = html["Mountpoint"].as_str().expect("a path");
    assert!(mountpoint.ends_with("/volumes/html/_data"), "{mountpoint}");
    assert!(std::path::Path::new(mountpoint).is_dir());
    docker(&["volume", "inspect", "nosuch"])
        .fails_with(1)
        .fails_saying("o such volume");

    // ls: filters, -q, --format
    docker(&["create", "--name", "user", "-v", "html:/html", &image]).ok();
    let list = |filter: &str| {
        docker(&["volume", "ls", "-q", "--filter", filter])
            .ok()
            .lines()
    };
    assert_eq!(list("name=htm"), ["html"]);
    assert_eq!(list("label=tier=web"), ["labelled"]);
    assert_eq!(list("label=x"), ["labelled"]);
    assert_eq!(list("driver=nosuch"), [""; 0]);
    assert_eq!(list("dangling=false"), ["html"]);
    assert!(list("dangling=true").contains(&"labelled".to_owned()));
    docker(&["volume", "ls", "--filter", "nosuch=1"])
        .fails_with(1)
        .fails_saying("invalid filter");
    let format = "{{.Name}}={{.Driver}}={{.Label \"tier\"}}";
    let formatted = docker(&["volume", "ls", "--format", format, "-f", "name=labelled"]).ok();
    assert_eq!(formatted.text(), "labelled=local=web");

    // rm
    docker(&["volume", "rm", "html"])
        .fails_with(1)
        .fails_saying("volume is in use");
    docker(&["volume", "rm", "nosuch"])
        .fails_with(1)
        .fails_saying("o such volume");
    docker(&["volume", "rm", "-f", "nosuch"]).ok();

    // prune: anonymous ones, then all
    let pruned = docker(&["volume", "prune", "-f"]).ok().text();
    assert!(pruned.contains(&anonymous), "{pruned}");
    assert!(pruned.contains("Total reclaimed space"), "{pruned}");
    docker(&["volume", "create", "--label", "keep", "kept"]).ok();
    // docker's command line knows -a from 23.0 on.
    let words = ["volume", "prune", "-a", "-f", "--filter", "label!=keep"];
    agent.hythe(&words).finish().ok();
    let mut left = docker(&["volume", "ls", "-q"]).ok().lines();
    left.sort();
    assert_eq!(left, ["html", "kept"]);
    docker(&["rm", "user"]).ok();
    docker(&["volume", "rm", "html", "kept"]).ok();
    assert_eq!(docker(&["volume", "ls", "-q"]).ok().text(), "");
}

/// An image whose `/seed` has content with owners and modes, and whose `/declared` is a volume.
fn image_with_content() -> ImageBuilder {
    let program = std::fs::read("/bin/busybox").expect("busybox-static");
    let tar = TarBuilder::new()
        .directory("bin/", 0o755)
        .directory("tmp/", 0o1777)
        .file("bin/busybox", 0o755, &program)
        .symlink("bin/sh", "busybox")
        .symlink("bin/stat", "busybox")
        .symlink("bin/ls", "busybox")
        .symlink("bin/cat", "busybox")
        .symlink("bin/touch", "busybox")
        .symlink("bin/mkdir", "busybox")
        .directory("seed/", 0o750)
        .file("seed/secret", 0o640, b"seeded")
        .symlink("seed/link", "secret")
        .directory("declared/", 0o755)
        .file("declared/file", 0o644, b"declared");
    ImageBuilder::new()
        .layer(Layer::new(tar.finish()))
        .config(json!({"Cmd": ["sh"], "Env": ["PATH=/bin"], "Volumes": {"/declared": {}}}))
}

#[test]
fn volumes_are_filled_shared_and_removed_as_dockers() {
    let host = Host::new();
    let server = Server::start(&host);
    let directory = tempfile::tempdir().expect("a directory");
    let layout = image_with_content().write(directory.path());
    let image = push(&host, &server, &layout, "seeded:1");
    let agent = Agent::start(&host);
    let docker = |words: &[&str]| agent.docker(words).finish();
    let run = |mount: &[&str], script: &str| {
        let mut words = vec!["run", "--rm"];
        words.extend_from_slice(mount);
        words.extend_from_slice(&[&image, "sh", "-c", script]);
        docker(&words)
    };

    // The first use of an empty named volume brings the image's content, owners and modes.
    let look = "stat -c '%a %n' /seed /seed/secret; ls -l /seed/link; cat /seed/secret";
    let seen = run(&["-v", "data:/seed"], look).ok().text();
    assert!(seen.contains("750 /seed\n640 /seed/secret"), "{seen}");
    assert!(
        seen.contains("-> secret") && seen.ends_with("seeded"),
        "{seen}"
    );
    // Not again once it has content of its own.
    run(&["-v", "data:/seed"], "echo changed > /seed/secret").ok();
    let kept = run(&["-v", "data:/elsewhere"], "cat /elsewhere/secret").ok();
    assert_eq!(kept.text(), "changed");
    for no_copy in [
        ["-v", "bare:/seed:nocopy"],
        ["--mount", "type=volume,src=bare2,dst=/seed,volume-nocopy"],
    ] {
        assert_eq!(run(&no_copy, "ls -A /seed").ok().text(), "", "{no_copy:?}");
    }

    // Read-only in both spellings.
    for read_only in [
        ["-v", "data:/seed:ro"],
        ["--mount", "type=volume,source=data,target=/seed,readonly"],
    ] {
        run(&read_only, "touch /seed/x").fails_saying("Read-only file system");
    }

    // A part of a volume.
    run(
        &["-v", "data:/seed"],
        "mkdir /seed/sub; echo part > /seed/sub/f",
    )
    .ok();
    // With our own command line: docker's of before 26.0 does not know how to ask for it.
    let part_of = |subpath: &str, script: &str| {
        let mount = format!("type=volume,src=data,dst=/part,volume-subpath={subpath}");
        let words = ["run", "--rm", "--mount", &mount, &image, "sh", "-c", script];
        agent.hythe(&words).finish()
    };
    assert_eq!(part_of("sub", "cat /part/f").ok().text(), "part");
    part_of("../..", "true").fails_with(125);

    // Anonymous volumes: of the image and of the caller; `--rm` and `rm -v` remove them, and a
    // named one stays.
    let volumes = || docker(&["volume", "ls", "-q"]).ok().lines().len();
    let before = volumes();
    run(&["-v", "/anonymous"], "true").ok();
    assert_eq!(volumes(), before, "--rm removes anonymous volumes");
    docker(&[
        "create",
        "--name",
        "cc",
        "-v",
        "data:/seed",
        "-v",
        "/other",
        &image,
    ])
    .ok();
    assert_eq!(volumes(), before + 2, "one declared, one asked for");
    docker(&["rm", "-v", "cc"]).ok();
    assert_eq!(volumes(), before);
    docker(&["create", "--name", "cc", &image]).ok();
    docker(&["rm", "cc"]).ok();
    assert_eq!(volumes(), before + 1, "without -v they stay");

    // volumes-from, also read-only
    docker(&["create", "--name", "source", "-v", "data:/seed", &image]).ok();
    let from = run(
        &["--volumes-from", "source"],
        "cat /seed/sub/f; cat /declared/file",
    )
    .ok();
    assert_eq!(from.text(), "part\ndeclared");
    run(&["--volumes-from", "source:ro"], "touch /seed/x").fails_saying("Read-only");
    run(&["--volumes-from", "nosuch"], "true")
        .fails_with(125)
        .fails_saying("No such container: nosuch");
    let mounts = docker(&["inspect", "-f", "{{json .Mounts}}", "source"]).ok();
    let mounts: Value = serde_json::from_slice(&mounts.stdout).expect("JSON");
    let data = mounts.as_array().expect("a list").iter();
    let data = data
        .clone()
        .find(|mount| mount["Name"] == "data")
        .expect("it");
    assert_eq!(data["Type"], "volume");
    assert_eq!(data["Destination"], "/seed");
    assert_eq!(data["Driver"], "local");
    assert_eq!(data["RW"], true);
}

#[test]
fn binds_and_tmpfs_take_every_option() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().display().to_string();
    let run = |mount: &[&str], script: &str| {
        let mut words = vec!["run", "--rm"];
        words.extend_from_slice(mount);
        words.extend_from_slice(&[&image, "sh", "-c", script]);
        agent.docker(&words).finish()
    };
    let options_of = |mount: &[&str], target: &str| {
        let script = format!("grep ' {target} ' /proc/self/mountinfo");
        run(mount, &script).ok().text()
    };

    // A file, and a source that is missing: -v makes a directory, --mount refuses.
    std::fs::write(directory.path().join("file"), "content").expect("a file");
    let file = format!("{path}/file:/etc/one-file:ro");
    assert_eq!(
        run(&["-v", &file], "cat /etc/one-file").ok().text(),
        "content"
    );
    let missing = format!("{path}/missing:/m");
    run(&["-v", &missing], "test -d /m").ok();
    assert!(directory.path().join("missing").is_dir());
    let refused = format!("type=bind,src={path}/nothing,dst=/m");
    run(&["--mount", &refused], "true")
        .fails_with(125)
        .fails_saying("bind source path does not exist");
    run(&["-v", "relative/path:/m"], "true")
        .fails_with(125)
        .fails_saying("includes invalid characters");
    run(&["-v", &format!("{path}:relative")], "true").fails_with(125);
    run(&["-v", &format!("{path}:/")], "true")
        .fails_with(125)
        .fails_saying("can't be '/'");
    let twice = [format!("{path}:/a"), format!("{path}/missing:/a")];
    run(&["-v", &twice[0], "-v", &twice[1]], "true")
        .fails_with(125)
        .fails_saying("Duplicate mount point");

    // Propagation: as mountinfo has it.
    let propagation = |option: &str| {
        let mount = format!("type=bind,src={path},dst=/p,bind-propagation={option}");
        options_of(&["--mount", &mount], "/p")
    };
    assert!(!propagation("rprivate").contains("shared:"));
    let slave = propagation("rslave");
    assert!(!slave.contains("shared:"), "{slave}");
    run(&["-v", &format!("{path}:/p:sideways")], "true")
        .fails_with(125)
        .fails_saying("invalid mode: sideways");

    // Submounts come along unless told otherwise. This one is seen by the agent alone, and goes
    // with it.
    let nested = directory.path().join("nested");
    std::fs::create_dir(&nested).expect("a directory");
    let agents_mounts = format!("--mount=/proc/{}/ns/mnt", agent.process_id());
    host.command("nsenter")
        .args([&agents_mounts, "mount", "-t", "tmpfs", "tmpfs"])
        .arg(&nested)
        .finish()
        .ok();
    // With our own command line: docker's of before 25.0 does not know how to ask for it.
    let bind = |options: &str, script: &str| {
        let mount = format!("type=bind,src={path},dst=/p{options}");
        let words = ["run", "--rm", "--mount", &mount, &image, "sh", "-c", script];
        agent.hythe(&words).finish()
    };
    let types = |options: &str| bind(options, "stat -f -c %T /p/nested").ok().text();
    assert_eq!(types(""), "tmpfs");
    assert_ne!(types(",bind-recursive=disabled"), "tmpfs");
    let touch = "touch /p/nested/x";
    bind(",readonly", touch).fails_saying("Read-only file system");
    bind(",readonly,bind-recursive=writable", touch).ok();
    bind(
        ",readonly,bind-recursive=readonly,bind-propagation=rprivate",
        touch,
    )
    .fails_saying("Read-only file system");
    let short = format!("{path}:/p:ro");
    run(&["-v", &short], touch).fails_saying("Read-only file system");

    // tmpfs, in both spellings.
    for tmpfs in [
        ["--tmpfs", "/scratch:size=1m,mode=1770,noexec"],
        [
            "--mount",
            "type=tmpfs,dst=/scratch,tmpfs-size=1m,tmpfs-mode=1770",
        ],
    ] {
        let seen = run(&tmpfs, "stat -c %a /scratch; df -k /scratch | tail -n 1").ok();
        assert!(seen.text().starts_with("1770"), "{tmpfs:?}: {seen:?}");
        assert!(seen.text().contains(" 1024 "), "{tmpfs:?}: {seen:?}");
        run(&tmpfs, "dd if=/dev/zero of=/scratch/f bs=1M count=2 2>&1")
            .fails_saying("No space left on device");
    }
    run(&["--tmpfs", "/scratch:size=banana"], "true").fails_with(125);
    run(&["--mount", "type=nosuch,dst=/x"], "true").fails_with(125);
}

#[test]
fn volumes_of_the_local_driver_may_be_mounts() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let mut agent = Agent::start(&host);
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("file"), "bound").expect("a file");
    let device = format!("device={}", directory.path().display());
    let create = |agent: &Agent<'_>, name: &str, options: &[&str]| {
        let mut words = vec!["volume", "create"];
        for option in options {
            words.extend(["--opt", option]);
        }
        words.push(name);
        agent.docker(&words).finish()
    };

    create(&agent, "bound", &["type=none", "o=bind", &device]).ok();
    let script = "cat /v/file; echo more > /v/more";
    let run = |agent: &Agent<'_>, volume: &str, script: &str| {
        let mount = format!("{volume}:/v");
        let words = ["run", "--rm", "-v", &mount, &image, "sh", "-c", script];
        agent.docker(&words).finish()
    };
    assert_eq!(run(&agent, "bound", script).ok().text(), "bound");
    assert!(directory.path().join("more").exists());
    agent.docker(&["volume", "rm", "bound"]).finish().ok();
    assert!(
        directory.path().join("file").exists(),
        "removing a bound volume leaves the directory alone"
    );

    // Docker's own example: a tmpfs of a size.
    create(
        &agent,
        "fast",
        &["type=tmpfs", "device=tmpfs", "o=size=1m,uid=1000,mode=0700"],
    )
    .ok();
    let look = "stat -c '%u %a' /v; df -k /v | tail -n 1; grep ' /v ' /proc/self/mountinfo";
    let seen = run(&agent, "fast", look).ok().text();
    assert!(seen.starts_with("1000 700"), "{seen}");
    assert!(
        seen.contains(" 1024 ") && seen.contains(" - tmpfs "),
        "{seen}"
    );

    // Shared while somebody uses it, whether or not the agent runs, and gone with the last one.
    let keep = [
        "run", "-d", "--name", "keep", "-v", "fast:/v", &image, "sleep", "1000",
    ];
    agent.docker(&keep).finish().ok();
    run(&agent, "fast", "echo shared > /v/f").ok();
    assert_eq!(run(&agent, "fast", "cat /v/f").ok().text(), "shared");
    agent.kill_dash_nine();
    agent.restart();
    let seen = agent.docker(&["exec", "keep", "cat", "/v/f"]).finish().ok();
    assert_eq!(seen.text(), "shared");
    agent
        .docker(&["volume", "rm", "fast"])
        .finish()
        .fails_saying("volume is in use");
    agent.docker(&["rm", "-f", "keep"]).finish().ok();
    assert_eq!(run(&agent, "fast", "ls -A /v").ok().text(), "");
    agent.docker(&["volume", "rm", "fast"]).finish().ok();

    create(&agent, "bad", &["type=tmpfs"])
        .fails_with(1)
        .fails_saying("missing required option: \"device\"");
    create(&agent, "bad", &["nosuch=1"])
        .fails_with(1)
        .fails_saying("invalid option: \"nosuch\"");
    create(&agent, "broken", &["type=nosuchfs", "device=x"]).ok();
    run(&agent, "broken", "true")
        .fails_with(125)
        .fails_saying("failed to mount local volume");
}
