//! Every instruction, with its forms.

use super::*;

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
