//! What a connection may be: versions of TLS and HTTP, and how much its head may hold, how many there are.

use std::process::{Child, Stdio};

use hythe_tests::{CommandExt as _, Finished, Host, SHORT, Server, ServerOptions, eventually};
use tempfile::NamedTempFile;

use super::{PASSWORD, Registry};

/// Asks for `/v2/` and prints version and status of the answer.
fn ask(registry: &Registry<'_>, options: &[&str]) -> Finished {
    registry
        .host
        .command("curl")
        .args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--output",
            "/dev/null",
        ])
        .args(["--write-out", "%{http_version} %{http_code}"])
        .args(["--cacert", &registry.authority_file()])
        .args(["--user", &format!("alice:{PASSWORD}")])
        .args(options)
        .arg(registry.server.url("/v2/"))
        .finish()
}

#[test]
fn both_versions_of_http_over_both_of_tls() {
    let host = Host::new();
    let registry = Registry::start(&host);
    for (tls, http, answer) in [
        (["--tlsv1.2", "--tls-max", "1.2"], "--http1.1", "1.1 200"),
        (["--tlsv1.2", "--tls-max", "1.2"], "--http2", "2 200"),
        (["--tlsv1.3", "--tls-max", "1.3"], "--http1.1", "1.1 200"),
        (["--tlsv1.3", "--tls-max", "1.3"], "--http2", "2 200"),
    ] {
        let options = [&tls[..], &[http]].concat();
        assert_eq!(ask(&registry, &options).ok().text(), answer, "{options:?}");
    }
    // Level 0: this curl would speak it.
    let old = [
        "--tlsv1.0",
        "--tls-max",
        "1.1",
        "--ciphers",
        "DEFAULT@SECLEVEL=0",
    ];
    ask(&registry, &old).fails_saying("alert");
    ask(
        &registry,
        &["--cacert", "/etc/ssl/certs/ca-certificates.crt"],
    )
    .fails_saying("certificate");
}

#[test]
fn a_head_without_end_is_refused() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let file = NamedTempFile::new().expect("a file");
    for (head, answer) in [
        // Longer than any token of ours, and still a head.
        (
            format!("Authorization: Bearer {}\n", "x".repeat(50_000)),
            "1.1 401",
        ),
        ("X-Many: 1\n".repeat(1000), "1.1 431"),
    ] {
        std::fs::write(file.path(), &head).expect("a file");
        let header = format!("@{}", file.path().display());
        let said = ask(&registry, &["--http1.1", "--header", &header]);
        assert_eq!(said.text(), answer, "{} bytes: {said:?}", head.len());
    }
    assert_eq!(
        ask(&registry, &[]).ok().text(),
        "2 200",
        "others are served"
    );
}

/// A connection that says nothing, until its standard input ends.
fn idle(host: &Host, server: &Server<'_>) -> Child {
    let port = server.address().replace(':', "/");
    host.command("bash")
        .args(["-c", &format!("exec 3<>/dev/tcp/{port}; read -r")])
        .stdin(Stdio::piped())
        .spawn()
        .expect("bash starts")
}

#[test]
fn no_more_connections_than_allowed_are_served_at_once() {
    let host = Host::new();
    let options = ServerOptions::default().with("HYTHE_LIMITS_CONNECTIONS", "2");
    let server = Server::start_as(&host, &options);
    // How many the registry has taken, and how many wait to be.
    let count = |what: &[&str]| {
        let filter = format!("sport = :{}", server.address().replace("127.0.0.1:", ""));
        let found = host
            .command("ss")
            .arg("-Htn")
            .args(what)
            .arg(&filter)
            .finish()
            .ok();
        found.lines()
    };
    eventually(
        "those who asked whether it is ready have left",
        SHORT,
        || count(&["state", "established"]).is_empty().then_some(()),
    );
    let mut held = [idle(&host, &server), idle(&host, &server)];
    eventually("two are there", SHORT, || {
        (count(&["state", "established"]).len() == 2).then_some(())
    });
    let mut third = host
        .command("curl")
        .args(["--silent", "--fail", "--noproxy", "*", &server.url("/v2/")])
        .spawn()
        .expect("curl starts");
    eventually("the third waits in the kernel's queue", SHORT, || {
        let listening = count(&["--listening"]).join(" ");
        let waiting = listening.split_whitespace().nth(1).map(str::to_owned);
        (waiting.as_deref() == Some("1")).then_some(())
    });
    assert_eq!(third.try_wait().expect("it can be asked"), None);
    drop(held[0].stdin.take());
    assert!(third.wait().expect("it is served").success());
    drop(held[1].stdin.take());
    for mut connection in held {
        connection.wait().expect("it ends");
    }
}
