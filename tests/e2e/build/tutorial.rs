//! The build that the tutorial teaches.

use super::*;

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
