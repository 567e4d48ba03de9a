//! Who has no password here: jobs with a token of their platform, machines with a certificate.

use std::path::Path;

use hythe_tests::{Agent, CommandExt as _, Host, Issuer, SHORT, Server, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PASSWORD, Registry};

#[test]
fn a_job_pushes_with_the_identity_that_its_platform_gives_it() {
    let host = Host::new();
    let registry = Registry::start(&host);
    registry.push_as("root", PASSWORD, "team/base:1").ok();
    let issuer = Issuer::on(&host, 5555);
    registry.admin(&["robot", "add", "ci"]);
    registry.admin(&["grant", "add", "robot:ci", "pull,push", "ci/*"]);
    let of_ci = [
        "--issuer",
        &issuer.url(),
        "--subject",
        "repo:team/*:ref:refs/heads/main",
    ];
    registry.admin(&[&["identity", "add", "ci"], &of_ci[..]].concat());
    let of_alice = ["--issuer", &issuer.url(), "--subject", "alice@example.com"];
    registry.admin(&[&["identity", "add", "alice"], &of_alice[..]].concat());

    let job = json!({ "sub": "repo:team/app:ref:refs/heads/main", "aud": "hythe" });
    let saying = |name: &str, value: Value| {
        let mut claims = job.clone();
        claims[name] = value;
        issuer.token(&claims)
    };
    let token = issuer.token(&job);
    let bearer = format!("Authorization: Bearer {token}");
    eventually("the server knows the identity", SHORT, || {
        let answer = registry.curl(&["--header", &bearer], "/v2/");
        (answer.status == 200).then_some(())
    });
    // As a password, under the name of the account and under that for whoever does not know it.
    registry.push_as("ci", &token, "ci/app:1").ok();
    registry.push_as("oidc", &token, "ci/app:2").ok();
    registry.pull_as("oidc", &token, "ci/app:1").ok();
    registry
        .pull_as("oidc", &token, "team/base:1")
        .fails_saying("ci may not pull team/base");
    registry
        .push_as("alice", &token, "ci/app:3")
        .fails_saying("wrong user name or password");

    let agent = Agent::start(&host);
    let address = registry.address();
    let login = |user: &str, secret: &str| {
        agent
            .docker(&["login", "--username", user, "--password-stdin", &address])
            .finish_with_input(secret.as_bytes())
    };
    login("oidc", &token).ok();
    let (one, two) = (format!("{address}/ci/app:1"), format!("{address}/ci/two:1"));
    agent.docker(&["pull", "--quiet", &one]).finish().ok();
    agent.docker(&["tag", &one, &two]).finish().ok();
    agent.docker(&["push", "--quiet", &two]).finish().ok();
    // A person's ID token does as well.
    let person = json!({ "sub": "alice@example.com", "aud": ["other", "hythe"] });
    login("alice", &issuer.token(&person)).ok();
    let base = format!("{address}/team/base:1");
    agent.docker(&["pull", "--quiet", &base]).finish().ok();

    for (what, wrong, why) in [
        ("expired", saying("exp", json!(1)), "the token has expired"),
        ("early", saying("nbf", json!(1_u64 << 40)), "not valid yet"),
        (
            "another branch",
            saying("sub", json!("repo:team/app:ref:refs/heads/x")),
            "subject",
        ),
        (
            "another audience",
            saying("aud", json!("else")),
            "for another service",
        ),
        (
            "another issuer",
            saying("iss", json!("http://127.0.0.1:1")),
            "of that issuer",
        ),
        ("forged", issuer.forged(&job), "signature is wrong"),
    ] {
        let bearer = format!("Authorization: Bearer {wrong}");
        let answer = registry.curl(&["--header", &bearer], "/v2/");
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
        assert!(answer.text().contains(why), "{what}: {answer:?}");
        registry
            .push_as("oidc", &wrong, "ci/app:4")
            .fails_saying(why);
        login("oidc", &wrong).fails_saying(why);
    }
    let log = registry.server.log();
    assert!(!log.contains(&token), "a token in the log");
}

/// A certificate of the authority in the folder, for `name`, and its key: `NAME.cert`, `NAME.key`.
fn certificate_for(name: &str, directory: &Path) {
    let path = |file: String| directory.join(file).display().to_string();
    let openssl = |words: &[&str]| {
        std::process::Command::new("openssl")
            .args(words)
            .finish()
            .ok();
    };
    let (authority, authority_key) = (path("ca.pem".to_owned()), path("ca.key".to_owned()));
    let curve = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ];
    if !Path::new(&authority).exists() {
        let made = [
            "-subj",
            "/CN=clients",
            "-keyout",
            &authority_key,
            "-out",
            &authority,
        ];
        openssl(&[&["req", "-x509", "-days", "2"], &curve[..], &made].concat());
    }
    let [key, request, certificate] =
        ["key", "csr", "cert"].map(|kind| path(format!("{name}.{kind}")));
    let subject = format!("/CN={name}");
    // With an extension it is of version 3, and no other is taken.
    let usage = ["-addext", "extendedKeyUsage=clientAuth"];
    let asked = ["-subj", &subject, "-keyout", &key, "-out", &request];
    openssl(&[&["req"], &curve[..], &usage, &asked].concat());
    let signed = [
        "-in",
        &request,
        "-CA",
        &authority,
        "-CAkey",
        &authority_key,
        "-out",
        &certificate,
    ];
    let how = [
        "x509",
        "-req",
        "-days",
        "2",
        "-CAcreateserial",
        "-copy_extensions",
        "copyall",
    ];
    openssl(&[&how[..], &signed].concat());
}

#[test]
fn a_certificate_is_a_login() {
    let host = Host::new();
    let directory = TempDir::new().expect("a temporary directory");
    let others = TempDir::new().expect("a temporary directory");
    for name in ["alice", "mallory"] {
        certificate_for(name, directory.path());
    }
    certificate_for("alice", others.path());
    let authority = directory.path().join("ca.pem").display().to_string();
    let environment = vec![("HYTHE_TLS_CLIENT_CA".to_owned(), authority)];
    let registry = Registry::start_with(&host, environment, &[]);
    // Who shows none logs in as before.
    registry.push_as("root", PASSWORD, "team/base:1").ok();
    registry.push_as("root", PASSWORD, "secret/base:1").ok();
    assert_eq!(registry.curl(&[], "/v2/").status, 401);

    let shown = |name: &str, directory: &Path| {
        let path = |kind: &str| {
            directory
                .join(format!("{name}.{kind}"))
                .display()
                .to_string()
        };
        [path("cert"), path("key")]
    };
    let [alice, key] = shown("alice", directory.path());
    let who = registry.curl(&["--cert", &alice, "--key", &key], "/api/v1/whoami");
    assert_eq!(who.json()["name"], "alice", "{who:?}");
    let [mallory, mallorys_key] = shown("mallory", directory.path());
    let nobody = registry.curl(&["--cert", &mallory, "--key", &mallorys_key], "/v2/");
    assert_eq!(nobody.status, 401, "{nobody:?}");
    assert!(
        nobody.text().contains("mallory") && nobody.text().contains("who has no account here"),
        "{nobody:?}"
    );
    // Of another authority: no connection at all. With TLS 1.3 a client
    // may find the connection closed before it reads why.
    let [stranger, strangers_key] = shown("alice", others.path());
    host.command("curl")
        .args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--tls-max",
            "1.2",
            "--cacert",
        ])
        .args([
            &registry.authority_file(),
            "--cert",
            &stranger,
            "--key",
            &strangers_key,
        ])
        .arg(registry.server.url("/v2/"))
        .finish()
        .fails_saying("alert");

    // Docker and podman find it beside the authority of the registry, and need no login.
    let address = registry.address();
    for place in ["docker", "containers"] {
        for (from, to) in [(&alice, "client.cert"), (&key, "client.key")] {
            let text = std::fs::read_to_string(from).expect("PEM");
            let path = format!("/etc/{place}/certs.d/{address}/{to}");
            registry.etc.write(&path, &text);
        }
    }
    let agent = Agent::start(&host);
    let (base, mine) = (
        format!("{address}/team/base:1"),
        format!("{address}/team/mine:1"),
    );
    agent.docker(&["pull", "--quiet", &base]).finish().ok();
    agent.docker(&["tag", &base, &mine]).finish().ok();
    agent.docker(&["push", "--quiet", &mine]).finish().ok();
    agent
        .docker(&["pull", &format!("{address}/secret/base:1")])
        .finish()
        .fails_saying("alice may not pull secret/base");
    pushes_and_is_refused(&registry.server, &host);
}

/// skopeo, with what lies in `certs.d`.
fn pushes_and_is_refused(server: &Server<'_>, host: &Host) {
    let push = |name: &str| {
        host.command("skopeo")
            .args(["copy", "--insecure-policy", "--quiet"])
            .arg(hythe_tests::busybox().transport())
            .arg(format!("docker://{}/{name}", server.address()))
            .finish()
    };
    push("team/skopeo:1").ok();
    push("other/skopeo:1").fails_saying("403 (Forbidden)");
}
