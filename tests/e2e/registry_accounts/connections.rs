//! What a connection may be: versions of TLS and HTTP, and how much its head may hold.

use hythe_tests::{CommandExt as _, Finished, Host};
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
        // A token that no registry made, and one that is no head any more.
        (
            format!("Authorization: Bearer {}\n", "x".repeat(20_000)),
            "1.1 401",
        ),
        (
            format!("Authorization: Bearer {}\n", "x".repeat(600_000)),
            "1.1 431",
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
