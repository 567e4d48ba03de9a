//! Bytes that go bad on the disk are found, served to nobody, and put right.

use hythe_tests::{
    CommandExt as _, Host, Postgres, S3, SHORT, Server, ServerOptions, busybox, eventually,
    hythe_binary,
};

use crate::registry_admin::{registry, segments};
use crate::{push, push_busybox};

/// Flips a bit in the middle of the largest blob, as a disk does; its digest is the answer.
fn spoil(server: &Server<'_>) -> String {
    let size = |path: &std::path::PathBuf| path.metadata().expect("a file").len();
    let victim = segments(server).into_iter().max_by_key(size);
    let victim = victim.expect("a blob was pushed");
    let mut bytes = std::fs::read(&victim).expect("it can be read");
    let digest = hythe_tests::sha256_digest(&bytes);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(victim, bytes).expect("it can be written");
    digest
}

#[test]
fn a_flipped_bit_is_found_named_hidden_and_repaired_by_a_push() {
    let host = Host::new();
    let server = Server::start(&host);
    push_busybox(&host, &server);
    registry(&server, &["scrub"]).ok();
    let digest = spoil(&server);

    let found = registry(&server, &["scrub"]).fails_with(1).text();
    assert!(found.contains(&digest), "{found}");
    assert!(found.contains("it hurts busybox (1)"), "{found}");
    let url = server.url(&format!("/v2/busybox/blobs/{digest}"));
    let hidden = host.curl(&[&url]);
    assert_eq!(hidden.status, 404, "{hidden:?}");
    assert!(hidden.text().contains("BLOB_UNKNOWN"), "{hidden:?}");
    let checked = registry(&server, &["check"]).fails_with(1).text();
    assert!(checked.contains("is quarantined"), "{checked}");

    push_busybox(&host, &server);
    let back = host.curl(&[&url]);
    assert_eq!(hythe_tests::sha256_digest(&back.body), digest);
    registry(&server, &["scrub"]).ok();
    registry(&server, &["check"]).ok();
}

#[test]
fn another_registry_repairs() {
    let host = Host::new();
    let server = Server::start(&host);
    let replica = Server::start_at(&host, 5001, &[]);
    push_busybox(&host, &server);
    push(&host, &replica, &busybox(), "busybox:1");
    let digest = spoil(&server);

    let scrub = || {
        host.command(hythe_binary())
            .env("HYTHE_SCRUB_REPLICA", replica.url(""))
            .args(["registry", "scrub", "--format", "json", "--data"])
            .arg(server.data())
            .finish()
    };
    let told = scrub().ok();
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(told["bad"][0]["digest"], digest.as_str(), "{told}");
    assert_eq!(told["bad"][0]["remedy"], "repaired", "{told}");
    let back = host.curl(&[&server.url(&format!("/v2/busybox/blobs/{digest}"))]);
    assert_eq!(hythe_tests::sha256_digest(&back.body), digest);
}

#[test]
fn a_running_registry_finds_it_by_itself() {
    let host = Host::new();
    let config = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(config.path(), "[scrub]\ninterval_seconds = 1\n").expect("it is written");
    let path = config.path().to_str().expect("a UTF-8 path");
    let server = Server::start_with(&host, &["--config", path]);
    push_busybox(&host, &server);
    let digest = spoil(&server);
    eventually("the server says what is bad", SHORT, || {
        let log = server.log();
        (log.contains("a blob is not what its digest says")
            && log.contains(&digest)
            && log.contains("busybox:1"))
        .then_some(())
    });
    let metrics = host.curl(&[&server.url("/metrics")]).text();
    let counted = "hythe_scrub_bad_blobs_total{remedy=\"quarantined\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    let quarantined = |count: u8| {
        let metrics = host.curl(&[&server.url("/metrics")]).text();
        let gauge = format!("hythe_quarantined_blobs {count}");
        metrics.lines().any(|line| line == gauge).then_some(())
    };
    eventually("it is counted", SHORT, || quarantined(1));
    push_busybox(&host, &server);
    eventually("the push repaired it", SHORT, || quarantined(0));
}

/// A bucket says of a short object that a range of it is not to be had, and no more.
#[test]
fn what_went_bad_in_a_bucket_is_found_too() {
    let host = Host::new();
    let (s3, postgres) = (S3::start(&host), Postgres::start());
    let environment = || {
        let mut environment = s3.environment(&s3.address());
        environment.push(("HYTHE_STORAGE".to_owned(), s3.url()));
        environment.push(("HYTHE_DATABASE".to_owned(), postgres.url()));
        environment
    };
    let options = ServerOptions {
        environment: environment(),
        ..ServerOptions::default()
    };
    let server = Server::start_as(&host, &options);
    push_busybox(&host, &server);
    let scrub = || {
        host.command(hythe_binary())
            .envs(environment())
            .args(["registry", "scrub"])
            .finish()
    };
    scrub().ok();
    let [first, second] = &s3.objects()[..] else {
        panic!("a layer and a config: {:?}", s3.objects())
    };
    let whole = std::fs::read(first).expect("it can be read");
    std::fs::write(first, &whole[..whole.len() / 2]).expect("it can be cut");
    std::fs::remove_file(second).expect("it can be removed");
    let found = scrub().fails_with(1);
    for words in ["bytes instead of", "is missing", "2 wrong"] {
        assert!(found.text().contains(words), "{words}: {found:?}");
    }

    push_busybox(&host, &server);
    scrub().ok();
}
