//! Dockerfiles: `docker build` and `hythe build`, from the tutorial's to the odd ones.

use std::fs;
use std::path::Path;

use hythe_tests::{Agent, CommandExt as _, Finished, Host, SHORT, Server, eventually};
use serde_json::Value;
use tempfile::TempDir;

use crate::push_busybox;

/// A folder with a Dockerfile and other files.
fn context(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, content).expect("a file");
    }
    directory
}

fn build(agent: &Agent<'_>, context: &Path, options: &[&str]) -> Finished {
    let path = context.display().to_string();
    let mut words = vec!["build"];
    words.extend_from_slice(options);
    words.push(&path);
    agent.docker(&words).finish()
}

#[track_caller]
fn inspect(agent: &Agent<'_>, image: &str) -> Value {
    let run = agent.docker(&["image", "inspect", image]).finish().ok();
    let images: Value = serde_json::from_slice(&run.stdout).expect("JSON of inspect");
    images[0].clone()
}

#[track_caller]
fn run(agent: &Agent<'_>, image: &str, script: &str) -> String {
    let words = ["run", "--rm", "--entrypoint", "sh", image, "-c", script];
    agent.docker(&words).finish().ok().text()
}

/// The tutorial's Dockerfile with busybox for Ubuntu and a shell for Java.
#[test]
fn the_tutorials_image_is_built_and_serves() {
    let host = Host::new();
    let server = Server::start(&host);
    let base = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    agent.docker(&["pull", "-q", &base]).finish().ok();
    agent.docker(&["tag", &base, "ubuntu:16.04"]).finish().ok();

    let dockerfile = "# 指定基础镜像
FROM ubuntu:16.04

# 配置环境变量，JDK的安装目录
ENV JAVA_DIR=/usr/local

# 拷贝jdk的到JAVA_DIR目录下
COPY ./jdk8.tar.gz $JAVA_DIR/

# 安装JDK
RUN cd $JAVA_DIR && tar -xzf ./jdk8.tar.gz && mv ./jdk1.8.0_44 ./java8

# 配置环境变量
ENV JAVA_HOME=$JAVA_DIR/java8
ENV PATH=$PATH:$JAVA_HOME/bin

# 拷贝java项目的包到指定目录下
COPY ./docker-demo.jar /tmp/app.jar

# 暴露端口
EXPOSE 8090

# 入口，java项目的启动命令
ENTRYPOINT java -jar /tmp/app.jar
";
    let context = context(&[
        ("Dockerfile", dockerfile),
        ("docker-demo.jar", "<h1>hello count</h1>"),
        (
            "jdk/jdk1.8.0_44/bin/java",
            "#!/bin/sh\nmkdir -p /www/hello && cp $2 /www/hello/count && exec httpd -f -p 8090 -h /www\n",
        ),
    ]);
    let path = context.path().display().to_string();
    host.command("sh")
        .args(["-c", &format!("cd {path} && chmod +x jdk/jdk1.8.0_44/bin/java && tar -C jdk -czf jdk8.tar.gz jdk1.8.0_44 && rm -r jdk")])
        .finish()
        .ok();

    let built = build(&agent, context.path(), &["-t", "javaweb:1.0"]).ok();
    let text = built.text();
    for line in [
        "Step 1/9 : FROM ubuntu:16.04",
        "Step 3/9 : COPY ./jdk8.tar.gz $JAVA_DIR/",
        " ---> Running in ",
        " ---> Removed intermediate container ",
        "Successfully built ",
        "Successfully tagged javaweb:1.0",
    ] {
        assert!(text.contains(line), "{line:?} in {built:?}");
    }
    let listed = agent.docker(&["images", "javaweb"]).finish().ok().text();
    assert!(
        listed.contains("javaweb") && listed.contains("1.0"),
        "{listed}"
    );
    let image = inspect(&agent, "javaweb:1.0");
    assert_eq!(
        image["Config"]["Entrypoint"],
        serde_json::json!(["/bin/sh", "-c", "java -jar /tmp/app.jar"])
    );
    assert!(
        image["Config"]["ExposedPorts"]["8090/tcp"].is_object(),
        "{image}"
    );
    let env = image["Config"]["Env"].as_array().expect("variables");
    assert!(
        env.iter()
            .any(|entry| entry == "JAVA_HOME=/usr/local/java8"),
        "{env:?}"
    );

    let words = [
        "run",
        "--name",
        "testDemo",
        "-p",
        "8090:8090",
        "-d",
        "javaweb:1.0",
    ];
    agent.docker(&words).finish().ok();
    eventually("the page is served", SHORT, || {
        let words = ["-s", "--max-time", "3", "http://127.0.0.1:8090/hello/count"];
        (host.command("curl").args(words).finish().text() == "<h1>hello count</h1>").then_some(())
    });

    // Again: every step is there already, and the image is the same.
    let again = build(&agent, context.path(), &["-t", "javaweb:1.0"]).ok();
    assert_eq!(
        again.text().matches("---> Using cache").count(),
        8,
        "{again:?}"
    );
    assert_eq!(inspect(&agent, "javaweb:1.0")["Id"], image["Id"]);
    // A changed file: from there on anew. Another time is no change.
    fs::write(context.path().join("docker-demo.jar"), "changed").expect("a file");
    let changed = build(&agent, context.path(), &["-t", "javaweb:1.1"]).ok();
    assert_eq!(
        changed.text().matches("---> Using cache").count(),
        5,
        "{changed:?}"
    );
    let anew = build(&agent, context.path(), &["--no-cache", "-q"]).ok();
    assert!(
        anew.text().starts_with("sha256:") && anew.lines().len() == 1,
        "{anew:?}"
    );

    // Steps on the way are hidden, and go with their last image.
    let visible = agent.docker(&["images", "-q"]).finish().ok().lines().len();
    let all = agent.docker(&["images", "-aq"]).finish().ok().lines().len();
    assert!(all > visible, "{all} {visible}");
    agent.docker(&["rm", "-f", "testDemo"]).finish().ok();
    agent
        .docker(&["rmi", "javaweb:1.0", "javaweb:1.1"])
        .finish()
        .ok();
    agent.docker(&["image", "prune", "-f"]).finish().ok();
    let left = agent.docker(&["images", "-aq"]).finish().ok().lines();
    assert!(
        left.iter().all(|id| *id == left[0]),
        "only the base is left: {left:?}"
    );

    // The tutorial's own misprint, and a file that is not there.
    let misprint = dockerfile.replace("ENTRYPOINT", "ENTERPOINT");
    fs::write(context.path().join("Dockerfile"), misprint).expect("a file");
    build(&agent, context.path(), &[])
        .fails_with(1)
        .fails_saying("unknown instruction: ENTERPOINT");
    fs::write(
        context.path().join("Dockerfile"),
        "FROM ubuntu:16.04\nCOPY nosuch /x\n",
    )
    .expect("a file");
    build(&agent, context.path(), &[])
        .fails_with(1)
        .fails_saying("nosuch: file does not exist");
}

#[test]
fn every_instruction_does_what_it_says() {
    let host = Host::new();
    let server = Server::start(&host);
    let base = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let dockerfile = format!(
        "# escape=\\
ARG BASE={base}
FROM $BASE AS first
LABEL a=1 \"b c\"='d e'
RUN echo one > /one && \\
    # a comment inside
    chmod 640 /one
FROM scratch AS empty
COPY --from=first /bin /bin
FROM ${{BASE:-nosuch}} AS main
MAINTAINER Somebody <some@body>
ARG WORD
ARG WITH=default
ENV SHOWN=${{WORD}}-$WITH  QUOTED=\"a  b\"
RUN echo \"$WORD $WITH\" > /args
COPY --from=first --chown=nobody:wheel --chmod=600 /one /copied/one
COPY --from=0 /one /zero
WORKDIR /srv
WORKDIR app
COPY *.txt sub /srv/files/
COPY dir ./dir
COPY link /linked
ADD archive.tar.gz /unpacked/
ADD --chown=5:6 archive.tar.gz /owned/
COPY archive.tar.gz /kept/
RUN [\"sh\", \"-c\", \"pwd > /pwd\"]
SHELL [\"/bin/sh\", \"-ec\"]
RUN false || true; echo shell > /shell
USER nobody
RUN id -un > /tmp/who
USER root
VOLUME /vol
EXPOSE 80 90/udp
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s CMD true
RUN <<EOF
echo here > /here
echo \"$SHOWN\" >> /here
EOF
COPY <<DOC /doc
word is $WORD
DOC
ENTRYPOINT [\"sh\", \"-c\"]
CMD [\"echo run\"]
"
    );
    let context = context(&[
        ("Dockerfile", &dockerfile),
        ("a.txt", "a"),
        ("b.txt", "b"),
        ("ignored.txt", "i"),
        ("sub/c", "c"),
        ("dir/deep/d", "d"),
        (".dockerignore", "ignored.txt\n"),
        ("packed/p", "p"),
    ]);
    let path = context.path().display().to_string();
    let prepare = format!(
        "cd {path} && tar -C packed -czf archive.tar.gz p && rm -r packed && ln -s a.txt link && \
         ln -s nowhere dir/dangling"
    );
    host.command("sh").args(["-c", &prepare]).finish().ok();

    let arguments = ["--build-arg", "WORD=hello"];
    let options = ["-t", "made:1", "-t", "made:2", "--label", "given=x y"];
    let built = build(&agent, context.path(), &[&options[..], &arguments].concat()).ok();
    assert!(
        built.text().contains("Successfully tagged made:2"),
        "{built:?}"
    );
    for (script, expected) in [
        ("cat /args", "hello default"),
        ("echo \"$SHOWN/$QUOTED\"", "hello-default/a  b"),
        ("stat -c '%U:%G %a' /copied/one", "nobody:wheel 600"),
        ("cat /zero", "one"),
        ("pwd; cat /pwd", "/srv/app\n/srv/app"),
        ("cd /srv/files && echo *", "a.txt b.txt c"),
        ("cat dir/deep/d; readlink dir/dangling", "dnowhere"),
        ("cat /linked", "a"),
        (
            "cat /unpacked/p; stat -c %u:%g /owned/p; ls /kept",
            "p5:6\narchive.tar.gz",
        ),
        ("cat /shell /tmp/who", "shell\nnobody"),
        ("cat /here", "here\nhello-default"),
        ("cat /doc", "word is hello"),
    ] {
        assert_eq!(run(&agent, "made:1", script), expected, "{script}");
    }
    let run_it = agent.docker(&["run", "--rm", "made:1"]).finish().ok();
    assert_eq!(run_it.text(), "run");
    let image = inspect(&agent, "made:1");
    let config = &image["Config"];
    assert_eq!(config["Labels"]["given"], "x y");
    assert_eq!(config["Labels"]["b c"], Value::Null, "of another stage");
    assert_eq!(config["StopSignal"], "SIGINT");
    assert_eq!(config["WorkingDir"], "/srv/app");
    assert_eq!(config["Healthcheck"]["Test"][0], "CMD-SHELL");
    assert!(config["Volumes"]["/vol"].is_object(), "{config}");
    assert_eq!(image["Author"], "Somebody <some@body>");
    let words = [
        "history",
        "--no-trunc",
        "--format",
        "{{.CreatedBy}}",
        "made:1",
    ];
    let history = agent.docker(&words).finish().ok().text();
    assert!(
        history.contains("|2 WITH=default WORD=hello /bin/sh -c echo"),
        "{history}"
    );
    assert!(history.contains("#(nop) COPY multi:"), "{history}");

    // One stage alone, from nothing.
    let target = |words: &[&str]| build(&agent, context.path(), words);
    target(&[
        "--target",
        "empty",
        "-t",
        "empty:1",
        "--build-arg",
        "WORD=hello",
    ])
    .ok();
    assert_eq!(
        run(&agent, "empty:1", "echo /*"),
        "/bin /dev /etc /proc /sys"
    );
    target(&["--target", "nosuch"])
        .fails_with(1)
        .fails_saying("nosuch");
    let warned = target(&["--target", "empty", "--build-arg", "UNUSED=1"]).ok();
    assert!(
        warned.text().contains("[UNUSED] were not consumed"),
        "{warned:?}"
    );
}

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

#[test]
fn triggers_of_the_base_run_in_its_children() {
    let host = Host::new();
    let server = Server::start(&host);
    let base = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let dockerfile =
        format!("FROM {base}\nONBUILD COPY app /app\nONBUILD RUN echo triggered >> /app\n");
    let parent = context(&[("Dockerfile", &dockerfile)]);
    build(&agent, parent.path(), &["-t", "parent"]).ok();
    let dockerfile = "FROM parent\nRUN echo child >> /app\n";
    let child = context(&[("Dockerfile", dockerfile), ("app", "app\n")]);
    let built = build(&agent, child.path(), &["-t", "child"]).ok();
    assert!(
        built.text().contains("# Executing 2 build triggers"),
        "{built:?}"
    );
    assert_eq!(run(&agent, "child", "cat /app"), "app\ntriggered\nchild");
    let grandchild = context(&[("Dockerfile", "FROM child\nRUN true\n")]);
    let built = build(&agent, grandchild.path(), &[]).ok();
    assert!(!built.text().contains("trigger"), "{built:?}");
}

/// Our own command line, a Dockerfile elsewhere and from standard input, and what becomes of the
/// image: other clients pull it from the registry it was pushed to.
#[test]
fn what_is_built_is_pushed_and_pulled_by_others() {
    let host = Host::new();
    let server = Server::start(&host);
    let base = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let dockerfile = format!("FROM {base}\nCOPY app /app\nRUN rm /etc/group\n");
    let context = context(&[("deploy/app.dockerfile", &dockerfile), ("app", "app")]);
    let file = |name: &str| context.path().join(name).display().to_string();
    let name = format!("{}/team/app:1", server.address());
    let (dockerfile, iidfile, folder) = (file("deploy/app.dockerfile"), file("iid"), file(""));
    let words = [
        "build",
        "-f",
        &dockerfile,
        "-t",
        &name,
        "--iidfile",
        &iidfile,
        &folder,
    ];
    let built = agent.hythe(&words).finish().ok();
    assert!(built.text().contains("Successfully built"), "{built:?}");
    let id = fs::read_to_string(file("iid")).expect("the id");
    assert_eq!(inspect(&agent, &name)["Id"], id.as_str());

    agent.docker(&["push", &name]).finish().ok();
    let podman = |words: &[&str]| {
        host.command("podman")
            .args(["--root", &file("podman"), "--runroot", &file("podman-run")])
            .args(["--storage-driver", "vfs"])
            .args(words)
            .finish()
    };
    podman(&["pull", "-q", "--tls-verify=false", &name]).ok();
    let theirs = podman(&["images", "-q", "--no-trunc"]).ok();
    assert_eq!(theirs.text(), id);

    let dockerfile = format!("FROM {base}\nRUN echo piped > /piped\n");
    for (command, tag) in [
        (agent.docker(&["build", "-t", "piped:1", "-"]), "piped:1"),
        (agent.hythe(&["build", "-t", "piped:2", "-"]), "piped:2"),
    ] {
        let mut command = command;
        command.finish_with_input(dockerfile.as_bytes()).ok();
        assert_eq!(run(&agent, tag, "cat /piped"), "piped");
    }
    agent.docker(&["builder", "prune", "-f"]).finish().ok();
}
