//! What a registry does when something under it, or before it, goes wrong.

use std::process::{Command, Stdio};
use std::time::Duration;

use hythe_tests::{
    CommandExt as _, Faults, Host, Postgres, Response, S3, SHORT, Server, ServerOptions,
    eventually, sha256_digest,
};
use nix::sys::signal::{Signal, kill};
use tempfile::NamedTempFile;

use crate::{push_busybox, registry_admin};

const OCTETS: &str = "Content-Type: application/octet-stream";

fn noise(size: usize) -> Vec<u8> {
    (0..size).map(|_| rand::random()).collect()
}

fn file_with(content: &[u8]) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), content).expect("it is written");
    file
}

/// Pushes a blob as most clients do; the answer that ended it.
#[track_caller]
fn put(host: &Host, server: &Server<'_>, repository: &str, content: &[u8]) -> Response {
    let started = host.curl(&["-X", "POST", &server.url(&uploads(repository))]);
    if started.status != 202 {
        return started;
    }
    let file = file_with(content);
    let url = ending(server, &started, content);
    let path = file.path().display().to_string();
    // Not --data-binary, which reads all of it before it sends any.
    host.curl(&["-H", OCTETS, "--upload-file", &path, &url])
}

fn uploads(repository: &str) -> String {
    format!("/v2/{repository}/blobs/uploads/")
}

/// Where the upload that was started is ended.
fn ending(server: &Server<'_>, started: &Response, content: &[u8]) -> String {
    let digest = sha256_digest(content);
    server.url(&format!("{}?digest={digest}", started.headers["location"]))
}

fn blob_url(server: &Server<'_>, repository: &str, content: &[u8]) -> String {
    server.url(&format!(
        "/v2/{repository}/blobs/{}",
        sha256_digest(content)
    ))
}

#[track_caller]
fn is_unavailable(answer: &Response) {
    assert_eq!(answer.status, 503, "{answer:?}");
    let seconds: u32 = answer.headers["retry-after"].parse().expect("seconds");
    assert!(seconds > 0, "{answer:?}");
}

#[test]
fn a_full_disk_refuses_uploads_gives_pulls_and_recovers() {
    let host = Host::new();
    let options = ServerOptions {
        disk_bytes: Some(64 << 20),
        ..ServerOptions::default()
    };
    let server = Server::start_as(&host, &options);
    push_busybox(&host, &server);
    let kept = noise(1 << 20);
    assert_eq!(put(&host, &server, "kept", &kept).status, 201);

    let large = noise(80 << 20);
    let refused = put(&host, &server, "large", &large);
    assert_eq!(refused.status, 507, "{refused:?}");
    assert!(refused.text().contains("no space left"), "{refused:?}");
    let half = host.curl(&["--head", &blob_url(&server, "large", &large)]);
    assert_eq!(half.status, 404, "nothing is half-visible");
    let staging = server.data().join("store/staging");
    eventually("what was written is removed", SHORT, || {
        let left = std::fs::read_dir(&staging).expect("the folder").count();
        (left == 0).then_some(())
    });

    // Not one byte is free now, for the database neither.
    let filler = server.data().join("filler");
    let filled = Command::new("dd")
        .args([
            "if=/dev/zero",
            &format!("of={}", filler.display()),
            "bs=64k",
        ])
        .finish();
    assert!(filled.error_text().contains("No space left"), "{filled:?}");
    let small = noise(64 << 10);
    let refused = put(&host, &server, "small", &small);
    assert_eq!(refused.status, 507, "{refused:?}");
    let pulled = host.curl(&[&blob_url(&server, "kept", &kept)]);
    assert!(pulled.status == 200 && pulled.body == kept, "pulls go on");
    let manifest = server.url("/v2/busybox/manifests/1");
    assert_eq!(host.curl(&[&manifest]).status, 200, "pulls go on");

    std::fs::remove_file(filler).expect("it can be removed");
    eventually("it recovers by itself", SHORT, || {
        (put(&host, &server, "small", &small).status == 201).then_some(())
    });
    let back = host.curl(&[&blob_url(&server, "small", &small)]);
    assert!(back.body == small, "what it took, it has");
    registry_admin::registry(&server, &["check"]).ok();
}

/// A server on S3, behind a proxy that spoils what it is told to, and PostgreSQL.
fn behind_faults<'host>(
    host: &'host Host,
    s3: &S3<'host>,
    postgres: &Postgres,
    silent_for: &str,
) -> (Faults, Server<'host>) {
    let faults = Faults::before(host, 9001, &s3.address());
    let options = ServerOptions {
        environment: s3.environment(&faults.address()),
        ..ServerOptions::default()
    };
    let options = options
        .with("HYTHE_STORAGE", &s3.url())
        .with("HYTHE_DATABASE", &postgres.url())
        .with("HYTHE_DATABASE_POOL_ACQUIRE_TIMEOUT_SECONDS", "1")
        // What a store may be silent for; half a minute unless said.
        .with("AWS_READ_TIMEOUT", silent_for);
    let server = Server::start_as(host, &options);
    (faults, server)
}

#[test]
fn an_object_store_that_fails_one_in_ten_is_asked_again() {
    let host = Host::new();
    let (s3, postgres) = (S3::start(&host), Postgres::start());
    // A busy machine's store takes a second for a part.
    let (faults, server) = behind_faults(&host, &s3, &postgres, "5 seconds");
    faults.spoil_one_in(10);
    let (mut taken, mut later) = (0, 0);
    for round in 0..12 {
        // Every third one goes in parts.
        let content = noise(if round % 3 == 0 { 17 << 20 } else { 100_000 });
        let pushed = put(&host, &server, "flaky", &content);
        if pushed.status != 201 {
            is_unavailable(&pushed);
            later += 1;
            continue;
        }
        taken += 1;
        for _ in 0..4 {
            let pulled = host.curl(&[&blob_url(&server, "flaky", &content)]);
            if pulled.status == 200 {
                assert!(pulled.body == content, "never wrong bytes");
            } else {
                is_unavailable(&pulled);
                later += 1;
            }
        }
    }
    assert!(
        faults.spoiled() > 5,
        "{} answers were spoiled",
        faults.spoiled()
    );
    println!(
        "{taken} of 12 pushes taken, {later} answers were 503, {} spoiled",
        faults.spoiled()
    );
    assert!(
        taken >= 10 && later <= 3,
        "it tries again: {taken} taken, {later} refused"
    );
}

#[test]
fn an_object_store_that_is_gone_or_silent_is_a_503_and_comes_back() {
    let host = Host::new();
    let (s3, postgres) = (S3::start(&host), Postgres::start());
    let (faults, server) = behind_faults(&host, &s3, &postgres, "1 second");
    let content = noise(100_000);
    assert_eq!(put(&host, &server, "away", &content).status, 201);
    faults.spoil_one_in(1);

    is_unavailable(&host.curl(&[&blob_url(&server, "away", &content)]));
    is_unavailable(&put(&host, &server, "away", &noise(1000)));
    is_unavailable(&host.curl(&[&server.url("/readyz")]));
    assert_eq!(host.curl(&[&server.url("/healthz")]).status, 200);
    // The database knows without asking the store.
    let known = host.curl(&["--head", &blob_url(&server, "away", &content)]);
    assert_eq!(known.status, 200, "{known:?}");
    let metrics = host.curl(&[&server.url("/metrics")]).text();
    let counted = "hythe_errors_total{part=\"store\",kind=\"not available\"}";
    assert!(metrics.contains(counted), "{metrics}");

    faults.spoil_one_in(0);
    faults.fall_silent(true);
    is_unavailable(&host.curl(&[&blob_url(&server, "away", &content)]));
    is_unavailable(&put(&host, &server, "away", &noise(1000)));

    faults.fall_silent(false);
    let back = host.curl(&[&blob_url(&server, "away", &content)]);
    assert!(
        back.status == 200 && back.body == content,
        "{}",
        back.status
    );
    assert_eq!(put(&host, &server, "away", &noise(1000)).status, 201);
}

/// The store keeps, and bills, the parts of an upload until somebody ends it.
#[test]
fn what_a_kill_leaves_in_a_bucket_is_collected() {
    let host = Host::new();
    let (s3, postgres) = (S3::start(&host), Postgres::start());
    let (_faults, mut server) = behind_faults(&host, &s3, &postgres, "1 second");
    let content = noise(40 << 20);
    let started = host.curl(&["-X", "POST", &server.url(&uploads("killed"))]);
    let file = file_with(&content);
    let mut client = host
        .command("curl")
        .args([
            "--silent",
            "--noproxy",
            "*",
            "--limit-rate",
            "8M",
            "-H",
            OCTETS,
        ])
        .arg("--upload-file")
        .arg(file.path())
        .arg(ending(&server, &started, &content))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("curl starts");
    eventually("a part is in the bucket", SHORT, || {
        (s3.parts() > 0).then_some(())
    });
    server.kill_dash_nine();
    client.wait().expect("curl ends");
    assert!(s3.parts() > 0, "the bucket still has parts");

    let collect = |words: &[&str]| {
        let mut environment = s3.environment(&s3.address());
        environment.extend(
            [
                ("HYTHE_STORAGE", s3.url()),
                ("HYTHE_DATABASE", postgres.url()),
                ("HYTHE_GC_GRACE_SECONDS", "0".to_owned()),
                ("HYTHE_UPLOADS_EXPIRE_SECONDS", "0".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        host.command(hythe_tests::hythe_binary())
            .envs(environment)
            .args(["registry", "gc", "--audit"])
            .args(words)
            .finish()
            .ok()
            .text()
    };
    let explained = collect(&["--dry-run"]);
    assert!(
        explained.contains("a crash left the upload unfinished"),
        "{explained}"
    );
    let told = collect(&[]);
    assert!(told.contains("1 stale upload"), "{told}");
    assert!(told.contains("1 unfinished object"), "{told}");
    assert_eq!(s3.parts(), 0, "nothing is left to pay for");
}

#[test]
fn a_database_that_is_gone_is_a_503_and_comes_back() {
    let host = Host::new();
    let (s3, mut postgres) = (S3::start(&host), Postgres::start());
    let (_faults, server) = behind_faults(&host, &s3, &postgres, "1 second");
    push_busybox(&host, &server);
    let content = noise(100_000);
    assert_eq!(put(&host, &server, "away", &content).status, 201);
    postgres.stop();

    let manifest = server.url("/v2/busybox/manifests/1");
    for url in [
        &manifest,
        &blob_url(&server, "away", &content),
        &server.url("/v2/_catalog"),
    ] {
        is_unavailable(&host.curl(&[url]));
    }
    is_unavailable(&put(&host, &server, "away", &noise(1000)));
    is_unavailable(&host.curl(&[&server.url("/readyz")]));
    assert_eq!(host.curl(&[&server.url("/healthz")]).status, 200);

    let metrics = host.curl(&[&server.url("/metrics")]).text();
    let counted = "hythe_errors_total{part=\"database\",kind=\"not available\"}";
    assert!(metrics.contains(counted), "{metrics}");

    postgres.resume();
    eventually("it finds the database again", SHORT, || {
        (host.curl(&[&server.url("/readyz")]).status == 200).then_some(())
    });
    assert_eq!(host.curl(&[&manifest]).status, 200);
    let back = host.curl(&[&blob_url(&server, "away", &content)]);
    assert!(
        back.status == 200 && back.body == content,
        "{}",
        back.status
    );
    assert_eq!(put(&host, &server, "away", &noise(1000)).status, 201);
}

#[test]
fn a_sender_that_falls_silent_is_not_waited_for() {
    let host = Host::new();
    let options = ServerOptions::default().with("HYTHE_LIMITS_BODY_IDLE_TIMEOUT_SECONDS", "1");
    let server = Server::start_as(&host, &options);
    let started = host.curl(&["-X", "POST", &server.url("/v2/slow/blobs/uploads/")]);
    let location = &started.headers["location"];
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/5000; \
         printf 'PATCH {location} HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 1000\\r\\n\\r\\nfirst' >&3; \
         cat <&3"
    );
    let answer = host.command("bash").args(["-c", &script]).finish().text();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    // What came is kept, and another connection goes on from there.
    let status = host.curl(&[&server.url(location)]);
    assert_eq!(
        (status.status, status.headers["range"].as_str()),
        (204, "0-4")
    );
}

#[test]
fn a_sender_that_goes_away_can_go_on_from_where_it_was() {
    let host = Host::new();
    let server = Server::start(&host);
    let content = noise(3 << 20);
    let started = host.curl(&["-X", "POST", &server.url(&uploads("gone"))]);
    let location = &started.headers["location"];
    let (first, rest) = content.split_at(1 << 20);
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        content.len()
    );
    let said = file_with(&[head.as_bytes(), first].concat());
    // The connection is closed when the shell ends, in the middle of the body.
    let script = format!("cat {} >/dev/tcp/127.0.0.1/5000", said.path().display());
    host.command("bash").args(["-c", &script]).finish().ok();
    let kept = format!("0-{}", first.len() - 1);
    eventually("what came is kept", SHORT, || {
        let status = host.curl(&[&server.url(location)]);
        (status.headers.get("range") == Some(&kept)).then_some(())
    });
    let file = file_with(rest);
    let path = file.path().display().to_string();
    let url = ending(&server, &started, &content);
    let ended = host.curl(&["-H", OCTETS, "--upload-file", &path, &url]);
    assert_eq!(ended.status, 201, "{ended:?}");
    let back = host.curl(&[&blob_url(&server, "gone", &content)]);
    assert!(back.body == content, "it comes back whole");
}

#[test]
fn two_hundred_clients_at_once_all_get_what_they_want() {
    let host = Host::new();
    let server = Server::start(&host);
    push_busybox(&host, &server);
    let blobs: Vec<NamedTempFile> = (0..200_u32).map(|n| file_with(&blob(n))).collect();
    let mut transfers = Vec::new();
    for (n, file) in (0..).zip(&blobs) {
        let digest = sha256_digest(&blob(n));
        let url = server.url(&format!("/v2/many{}/blobs/uploads/?digest={digest}", n % 7));
        transfers.push(format!(
            "url = \"{url}\"\nrequest = POST\nheader = \"{OCTETS}\"\n\
             data-binary = \"@{}\"\n",
            file.path().display()
        ));
    }
    let pushed = at_once(&host, &transfers);
    assert_eq!(pushed, vec!["201"; 200], "every push is taken");

    let mut transfers = Vec::new();
    for n in 0..200 {
        let url = match n % 2 {
            0 => blob_url(&server, &format!("many{}", n % 7), &blob(n)),
            _ => server.url("/v2/busybox/manifests/1"),
        };
        transfers.push(format!("url = \"{url}\"\noutput = /dev/null\n"));
    }
    assert_eq!(
        at_once(&host, &transfers),
        vec!["200"; 200],
        "every pull is given"
    );
    for n in (0..200).step_by(17) {
        let back = host.curl(&[&blob_url(&server, &format!("many{}", n % 7), &blob(n))]);
        assert!(back.body == blob(n), "blob {n} comes back whole");
    }
}

fn blob(n: u32) -> Vec<u8> {
    n.to_string().repeat(5000).into_bytes()
}

/// Runs transfers, in the words of a curl script, on 200 connections; the status of each.
#[track_caller]
fn at_once(host: &Host, transfers: &[String]) -> Vec<String> {
    let script = transfers.join("write-out = \"%{http_code}\\n\"\nnext\n");
    let script = script + "write-out = \"%{http_code}\\n\"\n";
    let run = host
        .command("curl")
        .args([
            "--silent",
            "--parallel",
            "--parallel-immediate",
            "--parallel-max",
            "200",
        ])
        .args(["--noproxy", "*", "--config", "-"])
        .finish_with_input(script.as_bytes())
        .ok();
    run.lines()
}

#[test]
fn a_shutdown_lets_an_upload_finish() {
    let host = Host::new();
    let mut server = Server::start(&host);
    let content = noise(6 << 20);
    let file = file_with(&content);
    let started = host.curl(&["-X", "POST", &server.url(&uploads("last"))]);
    let client = host
        .command("curl")
        .args([
            "--silent",
            "--noproxy",
            "*",
            "--limit-rate",
            "2M",
            "--output",
            "/dev/null",
        ])
        .args(["--write-out", "%{http_code}", "-H", OCTETS, "-H", "Expect:"])
        .arg("--upload-file")
        .arg(file.path())
        .arg(ending(&server, &started, &content))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl starts");
    eventually("the upload is under way", SHORT, || {
        let metrics = host.curl(&[&server.url("/metrics")]).text();
        metrics.contains("hythe_uploads_in_flight 1").then_some(())
    });
    kill(server.process_id(), Signal::SIGTERM).expect("it can be told");
    let refused = || {
        let probe = host
            .command("curl")
            .args(["--silent", "--noproxy", "*", "--output", "/dev/null"])
            .arg(server.url("/healthz"))
            .finish();
        (probe.code == 7).then_some(())
    };
    eventually("nobody new is let in", Duration::from_secs(10), refused);
    let ended = client.wait_with_output().expect("curl ends");
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "201");
    server.restart();
    let back = host.curl(&[&blob_url(&server, "last", &content)]);
    assert!(back.body == content, "what was acknowledged is there");
}
